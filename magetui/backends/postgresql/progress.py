"""How far a long statement has come: whoever waits for a migration wants to know whether to wait or to cancel.

Index builds, CLUSTER, VACUUM, ANALYZE and COPY are counted by the server (manual, 28.4 in the book of version 16). A
table that ALTER TABLE rewrites is not: there the growth of the new file against the old one is our estimate. Nothing
here takes, or waits for, a lock on a user's table: a rewritten one is locked ACCESS EXCLUSIVE by the very session that
is watched (manual, 13.3.1), and what takes ACCESS SHARE, such as pg_relation_size(), would wait for its end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql.query import INSUFFICIENT_PRIVILEGE, fetch, sqlstate, statement
from magetui.model.sessions import StatementProgress

Unit = Literal["blocks", "rows", "bytes", "sessions"]

# A view or column that this version does not have, or a file that may not be asked for.
NOT_TOLD = frozenset({"42P01", "42703", "42883", INSUFFICIENT_PRIVILEGE})

BLANK = r"(?:\s|--[^\n]*\n|/\*.*?\*/)"
NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
ALTER_TABLE = re.compile(
    rf"{BLANK}*alter{BLANK}+table{BLANK}+(?:if{BLANK}+exists{BLANK}+)?(?:only{BLANK}+)?"
    rf"(?:(?P<schema>{NAME})\s*\.\s*)?(?P<table>{NAME})(?P<changes>.*)",
    re.IGNORECASE | re.DOTALL,
)
# The subcommands that may rewrite the table (manual, ALTER TABLE, Notes); the server alone knows whether one does.
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
    """How far the statement of session `pid` of this database has come; None where the server does not tell.

    None too of other roles' sessions without pg_read_all_stats. A table rewrite is told of a statement that is one
    ALTER TABLE of an ordinary table without children, to those who may execute pg_stat_file(): superusers, and whom it
    was granted to (pg_read_server_files alone has it not). For others there is the growth of pg_database_size(), but
    that asks for every file of the database, 25 ms for 5,000 tables, and counts what everybody writes: nothing is
    told instead. Where the new files outgrow the old ones (wider columns), `total` is None from then on; where they
    stay smaller (a bloated table), `total` is never reached; while indexes are rebuilt, after the rows, nothing
    grows. The first second of a rewrite is not told.

    Raises SQLAlchemy's `DBAPIError`, but not for a view or a privilege that is missing.
    """
    try:
        rows = fetch(connection, statement("progress"), {"pid": pid})
        found: StatementProgress | None = None
        for what, command, phase, relation, done, total, began, may_stat in rows:
            if what != "statement":
                return COUNTED[what](_Counted(command, phase, relation, done, total))
            if may_stat:
                found = _rewrite(connection, pid, phase, began)
    except DBAPIError as error:
        if sqlstate(error) in NOT_TOLD:
            return None
        raise
    return found


@dataclass(frozen=True, slots=True)
class _Counted:
    """A row of a progress view; what `done` and `total` hold, the query says."""

    command: str | None
    phase: str | None
    relation: str | None
    done: Sequence[int]
    total: Sequence[int]

    def told(self, doing: str, done: int, total: int | None, unit: Unit) -> StatementProgress:
        return StatementProgress(doing, self.relation, self.phase, done, total or None, unit)


def _index(row: _Counted) -> StatementProgress:
    """Which counter moves depends on the phase (manual, 28.4.4); those of phases gone by keep their last value."""
    (lockers, blocks, rows), (all_lockers, all_blocks, all_rows) = row.done, row.total
    command, phase = row.command or "", row.phase or ""
    doing = "rebuilding index" if command.startswith("REINDEX") else "building index"
    if command.endswith("CONCURRENTLY"):
        doing += " concurrently"
    if phase.startswith("waiting"):
        return row.told(doing, lockers, all_lockers, "sessions")
    if all_rows and blocks >= all_blocks:  # the table is read, its rows are put in
        return row.told(doing, rows, all_rows, "rows")
    return row.told(doing, blocks, all_blocks, "blocks")


def _cluster(row: _Counted) -> StatementProgress:
    (blocks, read, written), (all_blocks,) = row.done, row.total
    doing = "clustering table" if row.command == "CLUSTER" else "vacuuming table in full"
    if row.phase == "writing new heap":  # after a sort of all that were read
        return row.told(doing, written, read, "rows")
    if all_blocks:
        return row.told(doing, blocks, all_blocks, "blocks")
    return row.told(doing, read, None, "rows")  # by the index, whose end is not known


def _vacuum(row: _Counted) -> StatementProgress:
    (scanned, vacuumed), (all_blocks,) = row.done, row.total
    done = vacuumed if row.phase == "vacuuming heap" else scanned
    return row.told("vacuuming table", done, all_blocks, "blocks")


def _analyze(row: _Counted) -> StatementProgress:
    return row.told("analyzing table", row.done[0], row.total[0], "blocks")


def _copy(row: _Counted) -> StatementProgress:
    """Bytes where the server reads a file of its own, whose size it knows (manual, 28.4.3); rows elsewhere."""
    (read, rows), (all_bytes,) = row.done, row.total
    doing = "copying into table" if row.command == "COPY FROM" else "copying out"
    if all_bytes:
        return row.told(doing, read, all_bytes, "bytes")
    return row.told(doing, rows, None, "rows")


COUNTED: Mapping[str, Callable[[_Counted], StatementProgress]] = {
    "index": _index,
    "cluster": _cluster,
    "vacuum": _vacuum,
    "analyze": _analyze,
    "copy": _copy,
}


def _rewrite(connection: Connection, pid: int, query: str, began: datetime) -> StatementProgress | None:
    """The estimate for an ALTER TABLE whose new heap is found among the relations that nobody else can see yet."""
    altered = ALTER_TABLE.match(query)
    if altered is None or MAY_REWRITE.search(altered["changes"]) is None:
        return None
    if ";" in query.rstrip("; \t\r\n"):  # several statements: which of them runs is not told
        return None
    names = {"table": _folded(altered["table"]), "schema": altered["schema"] and _folded(altered["schema"])}
    files = [_File(*row) for row in fetch(connection, statement("progress_rewrite"), {"pid": pid, **names})]
    old = [file for file in files if file.age == "old"]
    new = _new_heap([file for file in files if file.age == "new"])
    if not old or len({file.relation for file in old}) > 1 or not new:
        return None
    # What the transaction made before is older than the statement; the server tells whole seconds of a file's time.
    if new[-1].written is None or new[-1].written <= began:
        return None
    done, total = sum(file.size for file in new), sum(file.size for file in old)
    known = total if done <= total else None
    return StatementProgress("rewriting table", old[0].relation, None, done, known, "bytes", estimate=True)


@dataclass(frozen=True, slots=True)
class _File:
    """A relation's files, all segments together; `written` None where there are none."""

    age: Literal["old", "new"]
    relation: str  # the table's name
    modes: Sequence[str] | None
    size: int
    written: datetime | None


def _new_heap(newest: Sequence[_File]) -> Sequence[_File]:
    """Of the newest invisible relations those that a rewrite is filling, the heap last; () where it cannot be one.

    ALTER TABLE makes the new heap last, after all else of the transaction, and holds ACCESS EXCLUSIVE on it and nothing
    more, where a table that a statement inserts into has ROW EXCLUSIVE too. If it has a TOAST table, that comes next,
    locked SHARE as well while its index, the last of the three, is made; both get ROW EXCLUSIVE with the first value.
    """
    match [frozenset(file.modes or ()) for file in newest]:
        case [index, toast, heap] if index <= FILLED and toast >= FRESH_TOAST and heap == FRESH:
            return newest
        case [heap, *_] if heap == FRESH:
            return newest[:1]
    return ()


def _folded(name: str) -> str:
    """An identifier as the catalog has it (manual, 4.1.1)."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
