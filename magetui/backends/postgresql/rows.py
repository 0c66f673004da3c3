"""The first rows of a PostgreSQL table, with each value cut by the server.

A table's column may have a type of anybody, with casts and functions of its own. So a value becomes text by its type's
output function alone, as `format()` calls it (manual, 9.4.1). A text is cut before anything else is done with it, and a
bytea is never written out: its length is known without reading it (manual, 66.2, TOAST).
"""

from __future__ import annotations

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends import query
from magetui.backends.postgresql.counts import HIDDEN_ROWS, POLICY, PROBLEMS, QUERY_CANCELED
from magetui.backends.postgresql.query import fetch, identifier, sqlstate
from magetui.backends.problems import READING_TOOK_TOO_LONG
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

BYTEA = 17
TEXTS = (25, 1043)  # text and varchar (pg_type.dat)
COLUMNS_SQL = """
select a.attname, case when t.typtype = 'd' then t.typbasetype else t.oid end
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
join pg_type t on t.oid = a.atttypid
where c.relname = %(name)s and n.nspname = coalesce(%(schema)s, current_schema()) and c.relkind in ('r', 'p')
  and a.attnum > 0 and not a.attisdropped
order by a.attnum
"""


def first_rows(connection: Connection, table: Table) -> FirstRows:
    """See `Catalog.first_rows`."""
    columns = fetch(connection, COLUMNS_SQL, {"schema": table.schema, "name": table.name})
    if not columns:
        return FirstRows(problem="the table has no columns, or has just been dropped")
    name = ".".join(identifier(part) for part in (table.schema, table.name) if part)
    hidden = {column for column, _ in columns if holds_credentials(table.name, column)}
    values = ", ".join(_value(column, kind, is_hidden=column in hidden) for column, kind in columns)
    try:
        rows = query.fetch(connection, f"select {values} from {name} limit {FIRST_ROWS + 1}", {})
    except DBAPIError as error:
        code = sqlstate(error)
        if code is None or error.connection_invalidated:
            raise
        return FirstRows(problem=_problem(code, str(error.orig)))
    kinds = [None if column in hidden else kind for column, kind in columns]
    shown = [tuple(map(_read, row, kinds)) for row in rows]
    return FirstRows(tuple(column for column, _ in columns), tuple(shown[:FIRST_ROWS]), len(rows) > FIRST_ROWS)


def _value(column: str, kind: int, *, is_hidden: bool) -> str:
    """Return the expression of a value that is cut to what is shown and one character more."""
    name = identifier(column)
    if is_hidden:
        return f"case when {name} is distinct from null then '' end"
    if kind == BYTEA:
        start = f"encode(substr({name}, 1, {SHOWN_BYTES}), 'hex')"
        return f"case when {name} is not null then concat(octet_length({name}), ' ', {start}) end"
    text = name if kind in TEXTS else f"format('%%s', {name})"
    return f"case when {name} is distinct from null then left({text}, {SHOWN_CHARACTERS + 1}) end"


def _read(value: str | None, kind: int | None) -> Value:
    """Return a value as it is shown. `kind` is None if it is hidden."""
    if value is None:
        return None
    if kind is None:
        return Hidden()
    if kind != BYTEA:
        return value
    length, _, digits = value.partition(" ")
    return Binary(digits, int(length))


def _problem(code: str, message: str) -> str:
    if POLICY in message:
        return HIDDEN_ROWS
    if code == QUERY_CANCELED:
        return READING_TOOK_TOO_LONG
    return PROBLEMS.get(code) or message.partition("\n")[0]
