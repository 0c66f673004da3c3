"""Rows of a SQLite table: counted within a time limit, or else what ANALYZE counted."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from magetui.model.schema import Counted, Table, Wanted

INSTRUCTIONS = 10_000  # of SQLite's machine between two looks at the clock: some tens of microseconds


def count(connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int) -> tuple[Counted, ...]:
    """See `Backend`; of columns and values there is no estimate."""
    if limit_ms <= 0:
        return _estimated(table, wanted, "there was no time left to count")
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    deadline = time.monotonic() + limit_ms / 1000
    raw.set_progress_handler(lambda: time.monotonic() > deadline, INSTRUCTIONS)
    try:
        parts = ", ".join(_part(one) for one in wanted)
        values = tuple(one.value for one in wanted if one.value is not None)
        [row] = connection.exec_driver_sql(f"select {parts} from {_quoted(table.name)}", values).all()
    except OperationalError as error:
        if "interrupted" in str(error.orig):
            return _estimated(table, wanted, "counting took too long")
        if "locked" in str(error.orig):
            return _estimated(table, wanted, "somebody has the database locked")
        raise
    finally:
        raw.set_progress_handler(None, 0)
    return tuple(Counted(rows, exact=True) for rows in row)


def _part(one: Wanted) -> str:
    if one.column is None:
        return "count(1)"  # count(*) is one instruction of SQLite's machine, and could not be interrupted
    if one.value is None:
        return f"count({_quoted(one.column)})"
    return f"count(*) filter (where {_quoted(one.column)} = ?)"


def _estimated(table: Table, wanted: Sequence[Wanted], problem: str) -> tuple[Counted, ...]:
    return tuple(Counted(table.rows if one.column is None else None, exact=False, problem=problem) for one in wanted)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
