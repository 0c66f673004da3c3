"""The connection of asyncpg, on which an async `env.py` migrates.

Other drivers of PostgreSQL wrap libpq and need no special case.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection


def asyncpg_of(connection: Connection) -> Any | None:
    """Return the driver's own connection if the driver is asyncpg and the connection is open, else None."""
    if connection.dialect.driver != "asyncpg":
        return None
    driver: Any = connection.connection.driver_connection
    return None if driver is None or driver.is_closed() else driver


def socket_of(driver: Any) -> int:
    """Return the file descriptor of an asyncpg connection's socket."""
    return int(driver._transport.get_extra_info("socket").fileno())
