"""The progress of a long statement, so that an operator can decide whether to wait or to cancel.

The server counts the progress of index builds, CLUSTER, VACUUM, ANALYZE and COPY (manual of version 16, 28.4). It does
not count a table that ALTER TABLE rewrites. There we estimate the progress by the size of the new file in proportion
to the old file.

Nothing in this module takes or waits for a lock on a user's table. The watched session itself locks a table that it
rewrites with ACCESS EXCLUSIVE (manual, 13.3.1). A function that takes ACCESS SHARE, such as pg_relation_size(), would
wait for the end of the rewrite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql.query import INSUFFICIENT_PRIVILEGE, fetch, folded, sqlstate, statement
from magetui.model.sessions import StatementProgress

Unit = Literal["blocks", "rows", "bytes", "sessions"]

# This version has no such view, column or function, or the role may not read the file.
NOT_REPORTED = frozenset({"42P01", "42703", "42883", INSUFFICIENT_PRIVILEGE})

BLANK = r"(?:\s|--[^\n]*\n|/\*.*?\*/)"
NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
ALTER_TABLE = re.compile(
    rf"{BLANK}*alter{BLANK}+table{BLANK}+(?:if{BLANK}+exists{BLANK}+)?(?:only{BLANK}+)?"
    rf"(?:(?P<schema>{NAME})\s*\.\s*)?(?P<table>{NAME})(?P<changes>.*)",
    re.IGNORECASE | re.DOTALL,
)
# The subcommands that may rewrite the table (manual, ALTER TABLE, Notes). Only the server knows whether they do.
MAY_REWRITE = re.compile(
    rf"\balter\s+(?:column\s+)?{NAME}\s+(?:(?:set\s+data\s+)?type|set\s+expression)\b"
    r"|\badd\s+(?!constraint\b|check\b|foreign\b|primary\b|unique\b|exclude\b)"
    r"|\bset\s+(?:(?:un)?logged|access\s+method)\b",
    re.IGNORECASE,
)
FRESH = frozenset({"AccessExclusiveLock"})
FRESH_TOAST = FRESH | {"ShareLock"}
FILLED = FRESH | {"RowExclusiveLock"}


def progress(connection: Connection, pid: int) -> StatementProgress | None:
    """Return the progress of the statement of session `pid` of this database; None if the server does not report it.

    Without pg_read_all_stats, the result is also None for the sessions of other roles.

    A table rewrite is estimated, after its first second, for a statement that is one ALTER TABLE of an ordinary table
    without children, if the role may execute pg_stat_file() (pg_read_server_files alone does not include it).
    pg_database_size() would read the size of every file, 25 ms for 5,000 tables, and count the writes of all sessions.

    If the new files outgrow the old files (wider columns), `total` is None from then on. If the new files stay smaller
    (a bloated table), `done` never reaches `total`. While indexes are rebuilt, after the rows, nothing grows.
    """
    try:
        rows = fetch(connection, statement("progress"), {"pid": pid})
        estimate: StatementProgress | None = None
        for what, command, phase, relation, done, total, began, may_stat in rows:
            if what != "statement":
                return COUNTED[what](_Counted(command, phase, relation, done, total))
            if may_stat:
                estimate = _rewrite(connection, pid, phase, began)
    except DBAPIError as error:
        if sqlstate(error) in NOT_REPORTED:
            return None
        raise
    return estimate


@dataclass(frozen=True, slots=True)
class _Counted:
    """A row of a progress view; sql/progress.sql defines the counters in `done` and `total`."""

    command: str | None
    phase: str | None
    relation: str | None
    done: Sequence[int]
    total: Sequence[int]

    def progress(self, doing: str, done: int, total: int | None, unit: Unit) -> StatementProgress:
        return StatementProgress(doing, self.relation, self.phase, done, total or None, unit)


def _index(row: _Counted) -> StatementProgress:
    """Return the counter that moves in this phase (manual, 28.4.4). Counters of earlier phases keep their value."""
    (lockers, blocks, rows), (all_lockers, all_blocks, all_rows) = row.done, row.total
    command, phase = row.command or "", row.phase or ""
    doing = "rebuilding index" if command.startswith("REINDEX") else "building index"
    if command.endswith("CONCURRENTLY"):
        doing += " concurrently"
    if phase.startswith("waiting"):
        return row.progress(doing, lockers, all_lockers, "sessions")
    if all_rows and blocks >= all_blocks:  # the table is read, and its rows are inserted into the index
        return row.progress(doing, rows, all_rows, "rows")
    return row.progress(doing, blocks, all_blocks, "blocks")


def _cluster(row: _Counted) -> StatementProgress:
    (blocks, read, written), (all_blocks,) = row.done, row.total
    doing = "clustering table" if row.command == "CLUSTER" else "vacuuming table in full"
    if row.phase == "writing new heap":  # after all rows were read and sorted
        return row.progress(doing, written, read, "rows")
    if all_blocks:
        return row.progress(doing, blocks, all_blocks, "blocks")
    return row.progress(doing, read, None, "rows")  # in the order of an index, whose end is not known


def _vacuum(row: _Counted) -> StatementProgress:
    scanned, vacuumed = row.done
    done = vacuumed if row.phase == "vacuuming heap" else scanned
    return row.progress("vacuuming table", done, row.total[0], "blocks")


def _analyze(row: _Counted) -> StatementProgress:
    return row.progress("analyzing table", row.done[0], row.total[0], "blocks")


def _copy(row: _Counted) -> StatementProgress:
    """Return bytes if the server reads its own file, whose size it knows (manual, 28.4.3); otherwise rows."""
    (read, rows), (all_bytes,) = row.done, row.total
    doing = "copying into table" if row.command == "COPY FROM" else "copying out"
    if all_bytes:
        return row.progress(doing, read, all_bytes, "bytes")
    return row.progress(doing, rows, None, "rows")


COUNTED: Mapping[str, Callable[[_Counted], StatementProgress]] = {
    "index": _index,
    "cluster": _cluster,
    "vacuum": _vacuum,
    "analyze": _analyze,
    "copy": _copy,
}


def _rewrite(connection: Connection, pid: int, query: str, began: datetime) -> StatementProgress | None:
    """Return an estimate for ALTER TABLE from the size of the new heap, which no other session can see yet."""
    altered = ALTER_TABLE.match(query)
    if altered is None or MAY_REWRITE.search(altered["changes"]) is None:
        return None
    if ";" in query.rstrip("; \t\r\n"):  # several statements: the server does not report which of them runs
        return None
    names = {"table": folded(altered["table"]), "schema": altered["schema"] and folded(altered["schema"])}
    files = [_File(*row) for row in fetch(connection, statement("progress_rewrite"), {"pid": pid, **names})]
    old = [file for file in files if file.age == "old"]
    new = _new_heap([file for file in files if file.age == "new"])
    if not old or len({file.relation for file in old}) > 1 or not new:
        return None
    # Earlier files of the transaction are older than the statement. The server reports a file's time in full seconds.
    if new[-1].written is None or new[-1].written <= began:
        return None
    done, total = sum(file.size for file in new), sum(file.size for file in old)
    known = total if done <= total else None
    return StatementProgress("rewriting table", old[0].relation, None, done, known, "bytes", estimate=True)


@dataclass(frozen=True, slots=True)
class _File:
    """The total of a relation's files over all segments; `written` is None if there are no files."""

    age: Literal["old", "new"]
    relation: str  # the table's name
    modes: Sequence[str] | None
    size: int
    written: datetime | None


def _new_heap(newest: Sequence[_File]) -> Sequence[_File]:
    """Return those of the newest invisible relations that a rewrite fills, the heap last; () if there is no rewrite.

    ALTER TABLE creates the new heap after all other relations of the transaction, and holds only ACCESS EXCLUSIVE on
    it. A table that a statement inserts into has ROW EXCLUSIVE too. If the heap has a TOAST table, that is created
    next. It is also locked with SHARE while its index, the last of the three, is built. Both get ROW EXCLUSIVE with
    the first value.
    """
    match [frozenset(file.modes or ()) for file in newest]:
        case [index, toast, heap] if index <= FILLED and toast >= FRESH_TOAST and heap == FRESH:
            return newest
        case [heap, *_] if heap == FRESH:
            return newest[:1]
    return ()
