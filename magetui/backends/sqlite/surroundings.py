"""What surrounds SQLite's tables: views and triggers; and queries for the rows that would stop an operation."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.problems import DATABASE_IS_LOCKED, LOOKING_TOOK_TOO_LONG, NO_TIME_TO_LOOK
from magetui.backends.query import fetch, first_rows, found
from magetui.backends.sqlite.counts import INSTRUCTIONS
from magetui.model import surroundings as model

OBJECTS_SQL = "select type, name, tbl_name, coalesce(sql, '') from sqlite_master"
CONSTRAINT = re.compile(r'\bconstraint\s+(?:"((?:[^"]|"")+)"|([^\W\d]\w*))', re.IGNORECASE)
WORD = re.compile(r"[^\W\d]\w*")


def surroundings(connection: Connection) -> model.Surroundings:
    """See `Catalog.surroundings`. The words of its text say what a view or a trigger needs."""
    objects = fetch(connection, OBJECTS_SQL, {})
    tables = {name.lower(): name for kind, name, _, _ in objects if kind == "table"}
    stored = [(kind, name, sql) for kind, name, _, sql in objects if kind in ("view", "trigger")]
    named = (
        model.NamedConstraint((None, name), (quoted or plain).replace('""', '"'), "")
        for kind, name, _, sql in objects
        if kind == "table"
        for quoted, plain in CONSTRAINT.findall(sql)
    )
    return model.Surroundings(
        constraints=tuple(named),
        relations=tuple(model.Relation(None, name, kind) for kind, name, _ in stored if kind == "view"),
        dependents=tuple(_dependents(stored, tables)),
    )


def _dependents(stored: list[tuple[str, str, str]], tables: dict[str, str]) -> Iterator[model.Dependent]:
    for kind, name, sql in stored:
        words = {word.lower() for word in WORD.findall(sql)}
        for table in words & tables.keys():
            reads = rf"\b(?:from|join)\s+[\"\[`']?{re.escape(table)}\b"
            holds = re.search(reads, sql, re.IGNORECASE) is not None
            yield model.Dependent((None, tables[table]), None, f"{kind} {name}", holds)
            yield from (model.Dependent((None, tables[table]), word, f"{kind} {name}") for word in sorted(words))


def find(connection: Connection, sql: str, limit_ms: int) -> model.Found:
    """See `Catalog.find`."""
    if limit_ms <= 0:
        return model.Found(problem=NO_TIME_TO_LOOK)
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    deadline = time.monotonic() + limit_ms / 1000
    raw.set_progress_handler(lambda: time.monotonic() > deadline, INSTRUCTIONS)
    try:
        return found(connection.exec_driver_sql(first_rows(sql)))
    except DBAPIError as error:
        return _problem(str(error.orig), is_late=time.monotonic() > deadline)
    finally:
        raw.set_progress_handler(None, 0)


def _problem(message: str, *, is_late: bool) -> model.Found:
    if "interrupted" in message:
        if not is_late:
            raise KeyboardInterrupt  # ctrl+c: sqlite3 swallows what a progress handler raises
        return model.Found(problem=LOOKING_TOOK_TOO_LONG)
    return model.Found(problem=DATABASE_IS_LOCKED if "locked" in message else message)
