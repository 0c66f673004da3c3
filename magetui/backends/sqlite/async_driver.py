"""The drivers' connections to a SQLite file: sqlite3's own, and aiosqlite's, which keeps one in a thread of its own.

An async `env.py` migrates through aiosqlite. What makes a run atomic, patient and cancellable needs the same few
things of either; SQLAlchemy's adapter waits for that other thread, wherever it may.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection


class Awaited:
    """What this program needs of sqlite3's connection, from SQLAlchemy's adapter of aiosqlite's."""

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter

    def execute(self, statement: str) -> Any:
        """Run it in the driver's thread; the cursor."""
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
            return False  # it is closed

    def interrupt(self) -> None:
        """End what runs, from whichever thread."""
        inner: sqlite3.Connection | None = self._adapter.driver_connection._connection
        if inner is not None:
            inner.interrupt()


Driver = sqlite3.Connection | Awaited


def driver_of(connection: Connection) -> Driver | None:
    """The driver's connection, the same object each time; None where it is to another kind of database."""
    raw = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection):
        return raw
    if raw is None or connection.dialect.driver != "aiosqlite":
        return None
    awaited: Awaited = connection.info.setdefault("magetui_driver", Awaited(raw))
    return awaited
