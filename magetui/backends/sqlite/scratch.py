"""A scratch database on SQLite: a database in memory, which disappears with its connection."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection, Engine

from magetui.backends.scratch import Scratch

REACHES_A_FILE = re.compile(r"\b(?:attach\b|vacuum\s+(?:\w+\s+)?into\b)", re.IGNORECASE)
IN_MEMORY = ("", ":memory:", None)


def outreach(sql: str) -> str | None:
    """See `Backend.outreach`. A database in memory has no other schemas, but SQL can open files."""
    return "another file (attach)" if REACHES_A_FILE.search(sql) else None


@contextmanager
def scratch(engine: Engine) -> Iterator[MemoryScratch]:
    """Open a database in memory. The engine must keep its only connection open."""
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.set_authorizer(_without_files)
        yield MemoryScratch(connection)


def _without_files(action: int, first: str | None, *_: Any) -> int:
    """Forbid ATTACH of a file. SQLite asks before it compiles a statement (sqlite.org/c3ref/set_authorizer.html)."""
    attaches = action == sqlite3.SQLITE_ATTACH and first not in IN_MEMORY
    return sqlite3.SQLITE_DENY if attaches else sqlite3.SQLITE_OK


class MemoryScratch(Scratch):
    """See `Scratch`. The connection reaches no other database, so `check` has nothing to do."""

    schema = None
    guard = None

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
