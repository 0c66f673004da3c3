"""What is asked of asyncpg's connection, on which an async `env.py` migrates; other drivers speak libpq's own words."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection


def asyncpg_of(connection: Connection) -> Any | None:
    """The driver's own connection, where the driver is asyncpg and the connection is open."""
    if connection.dialect.driver != "asyncpg":
        return None
    driver: Any = connection.connection.driver_connection
    return None if driver is None or driver.is_closed() else driver


def socket_of(driver: Any) -> int:
    """The descriptor of its socket."""
    return int(driver._transport.get_extra_info("socket").fileno())
