"""Row counts of a SQLite table: exact within a time limit, or else the count of the last ANALYZE."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from magetui.backends.problems import COUNTING_TOOK_TOO_LONG, DATABASE_IS_LOCKED, NO_TIME_TO_COUNT, not_counted
from magetui.backends.query import identifier
from magetui.model.schema import Counted, Table, Wanted

INSTRUCTIONS = 10_000  # instructions of SQLite's virtual machine between two checks of the time: some tens of µs


def count(connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int) -> tuple[Counted, ...]:
    """See `Catalog.count`. Counts of columns and values have no estimate."""
    if limit_ms <= 0:
        return not_counted(table, wanted, NO_TIME_TO_COUNT)
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    deadline = time.monotonic() + limit_ms / 1000
    raw.set_progress_handler(lambda: time.monotonic() > deadline, INSTRUCTIONS)
    try:
        parts = ", ".join(_part(item) for item in wanted)
        values = tuple(item.value for item in wanted if item.value is not None)
        [row] = connection.exec_driver_sql(f"select {parts} from {identifier(table.name)}", values).all()
    except OperationalError as error:
        if "interrupted" in str(error.orig):
            if time.monotonic() <= deadline:
                raise KeyboardInterrupt from error  # ctrl+c: sqlite3 swallows what a progress handler raises
            return not_counted(table, wanted, COUNTING_TOOK_TOO_LONG)
        if "locked" in str(error.orig):
            return not_counted(table, wanted, DATABASE_IS_LOCKED)
        raise
    finally:
        raw.set_progress_handler(None, 0)
    return tuple(Counted(rows, exact=True) for rows in row)


def _part(item: Wanted) -> str:
    if item.column is None:
        return "count(1)"  # count(*) is one instruction of SQLite's virtual machine and could not be interrupted
    if item.value is None:
        return f"count({identifier(item.column)})"
    return f"count(*) filter (where {identifier(item.column)} = ?)"
