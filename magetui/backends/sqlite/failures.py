"""The meaning of SQLite's errors, which the driver reports in words."""

from __future__ import annotations

import re
import sqlite3

from magetui.backends.problems import original
from magetui.model.server import ErrorKind, ErrorSubject, Failure

# SQLite has no codes for these: its messages tell them (sqlite.org/rescode.html names only the classes).
KINDS: tuple[tuple[str, ErrorKind], ...] = (
    ("UNIQUE constraint failed", "duplicates"),
    ("NOT NULL constraint failed", "nulls"),
    ("FOREIGN KEY constraint failed", "orphans"),
    ("rows would refer to rows", "orphans"),
    ("CHECK constraint failed", "check"),
    ("already exists", "exists"),
    ("duplicate column name", "exists"),
    ("no such ", "missing"),
    ("readonly database", "read-only"),
    ("disk is full", "disk"),
)
COLUMN = re.compile(r"([^\s.,]+)\.([^\s,]+)")  # in 'UNIQUE constraint failed: t.a, t.b'


def failure(error: BaseException) -> Failure:
    own = original(error)
    message = str(own).strip()
    if isinstance(own, PermissionError) or "unable to open database file" in message:
        return Failure("not-readable", message)
    if "locked" in message and isinstance(own, sqlite3.OperationalError):
        return Failure("lock-timeout", message)
    if "interrupted" in message:
        return Failure("cancelled", message)
    if "file is not a database" in message or "malformed" in message:
        return Failure("not-a-database", message)
    kind = next((kind for words, kind in KINDS if words in message), None)
    return Failure(
        "failed" if isinstance(own, sqlite3.Error) else "other", message, kind=kind, subject=_subject(message)
    )


def _subject(message: str) -> ErrorSubject | None:
    if "constraint failed: " not in message:
        return None
    named = COLUMN.findall(message.partition("constraint failed: ")[2])
    return ErrorSubject(None, named[0][0], tuple(column for _, column in named)) if named else None
