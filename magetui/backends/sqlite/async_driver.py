"""The driver's connection to a SQLite file: sqlite3's own, or aiosqlite's, which keeps one in a thread.

An async `env.py` migrates through aiosqlite. Transactions, waits and cancellation need the same few functions from
both. SQLAlchemy's adapter waits for aiosqlite's thread, whichever thread calls it.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.engine import Connection


class Awaited:
    """The functions of sqlite3's connection that this program needs, on SQLAlchemy's adapter for aiosqlite."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def execute(self, statement: str) -> Any:
        """Execute a statement in the driver's thread and return the cursor."""
        cursor = self._adapter.cursor()
        cursor.execute(statement)
        return cursor

    @property
    def isolation_level(self) -> Any:
        return self._adapter.isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        self._adapter.isolation_level = level

    @property
    def in_transaction(self) -> bool:
        try:
            return bool(self._adapter.driver_connection.in_transaction)
        except ValueError:
            return False  # the connection is closed

    def interrupt(self) -> None:
        """Interrupt the running statement, from any thread."""
        inner: sqlite3.Connection | None = self._adapter.driver_connection._connection
        if inner is not None:
            inner.interrupt()


Driver = sqlite3.Connection | Awaited


def driver_of(connection: Connection) -> Driver | None:
    """Return the driver's connection, the same object on each call; None if the database is not SQLite."""
    raw = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection):
        return raw
    if raw is None or connection.dialect.driver != "aiosqlite":
        return None
    awaited: Awaited = connection.info.setdefault("magetui_driver", Awaited(raw))
    return awaited
