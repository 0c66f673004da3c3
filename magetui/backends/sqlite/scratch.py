"""A scratch database of SQLite's: in memory, gone with its connection."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine

REACHES_A_FILE = re.compile(r"\b(?:attach\b|vacuum\s+(?:\w+\s+)?into\b)", re.IGNORECASE)
IN_MEMORY = ("", ":memory:", None)


def outreach(sql: str) -> str | None:
    """What `sql` would reach outside of a database in memory; None where it reaches nothing."""
    return "another file (attach)" if REACHES_A_FILE.search(sql) else None


@contextmanager
def scratch(engine: Engine) -> Iterator[MemoryScratch]:
    """Open a database in memory on an engine that keeps its one connection."""
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_authorizer(_without_files)
        yield MemoryScratch(connection)


def _without_files(action: int, first: str | None, *_: Any) -> int:
    """SQLite asks before it compiles a statement (sqlite.org/c3ref/set_authorizer.html)."""
    attaches = action == sqlite3.SQLITE_ATTACH and first not in IN_MEMORY
    return sqlite3.SQLITE_DENY if attaches else sqlite3.SQLITE_OK


class MemoryScratch:
    """See `Scratch`."""

    schema = None
    guard = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def check(self) -> None:
        """There is nothing else on that connection."""

    def done(self) -> None:
        """Nothing was looked at."""

    def hint(self, error: BaseException) -> str | None:  # noqa: ARG002
        """A database in memory is like any other."""
        return None
