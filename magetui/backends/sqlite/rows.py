"""The first rows of a SQLite table, with each value cut by SQLite.

Any column may hold a value of any type (sqlite.org/datatype3.html), and a text need not be valid. So each value comes
as bytes behind a letter that says whether the value is a text or a blob.
"""

from __future__ import annotations

import sqlite3
import time

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.base import READ_STATEMENT_TIMEOUT_MS
from magetui.backends.problems import DATABASE_IS_LOCKED, READING_TOOK_TOO_LONG
from magetui.backends.query import fetch, identifier
from magetui.backends.sqlite.counts import INSTRUCTIONS
from magetui.model.schema import (
    FIRST_ROWS,
    SHOWN_BYTES,
    SHOWN_CHARACTERS,
    Binary,
    FirstRows,
    Hidden,
    Table,
    Value,
    holds_credentials,
)

COLUMNS_SQL = """
select c.name from sqlite_master m join pragma_table_xinfo(m.name) c
where m.type = 'table' and m.name = :name and c.hidden <> 1
order by c.cid
"""
BLOB = "b"
VALUE = (
    "case typeof({name}) when 'null' then null "
    f"when 'blob' then cast('{BLOB}' || length({{name}}) || ' ' || hex(substr({{name}}, 1, {SHOWN_BYTES})) as blob) "
    f"else cast('t' || substr(cast({{name}} as text), 1, {SHOWN_CHARACTERS + 1}) as blob) end"
)
CREDENTIAL_VALUE = "case when {name} is not null then x'' end"


def first_rows(connection: Connection, table: Table) -> FirstRows:
    """See `Catalog.first_rows`."""
    columns = [name for (name,) in fetch(connection, COLUMNS_SQL, {"name": table.name})]
    if not columns:
        return FirstRows(problem="the table has just been dropped")
    hidden = {column for column in columns if holds_credentials(table.name, column)}
    values = ", ".join(_value(column, is_hidden=column in hidden) for column in columns)
    raw = connection.connection.dbapi_connection
    assert isinstance(raw, sqlite3.Connection)
    deadline = time.monotonic() + READ_STATEMENT_TIMEOUT_MS / 1000
    raw.set_progress_handler(lambda: time.monotonic() > deadline, INSTRUCTIONS)
    try:
        rows = fetch(connection, f"select {values} from {identifier(table.name)} limit {FIRST_ROWS + 1}", {})
    except DBAPIError as error:
        return _problem(str(error.orig), is_late=time.monotonic() > deadline)
    finally:
        raw.set_progress_handler(None, 0)
    are_hidden = [column in hidden for column in columns]
    shown = [tuple(map(_read, row, are_hidden)) for row in rows[:FIRST_ROWS]]
    return FirstRows(tuple(columns), tuple(shown), len(rows) > FIRST_ROWS)


def _value(column: str, *, is_hidden: bool) -> str:
    """Return the expression of a value that is cut to what is shown and one character more."""
    pattern = CREDENTIAL_VALUE if is_hidden else VALUE
    return pattern.format(name=identifier(column))


def _read(value: bytes | None, is_hidden: bool) -> Value:
    if value is None:
        return None
    if is_hidden:
        return Hidden()
    text = value.decode("utf-8", "surrogateescape")
    if not text.startswith(BLOB):
        return text[1:]
    length, _, digits = text[1:].partition(" ")
    return Binary(digits.lower(), int(length))


def _problem(message: str, *, is_late: bool) -> FirstRows:
    if "interrupted" in message:
        if not is_late:
            raise KeyboardInterrupt  # ctrl+c: sqlite3 swallows what a progress handler raises
        return FirstRows(problem=READING_TOOK_TOO_LONG)
    return FirstRows(problem=DATABASE_IS_LOCKED if "locked" in message else message)
