"""Rows of a PostgreSQL table: counted where that is quick and nobody is in the way, estimated where not.

Counting takes ACCESS SHARE, as any query does, and one reading of the table for everything that is wanted of it. An
estimate is made of what the last VACUUM or ANALYZE wrote down (manual, 14.2 and 53.27, pg_stats).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql.query import INSUFFICIENT_PRIVILEGE, LOCK_NOT_AVAILABLE, fetch, sqlstate, statement
from magetui.model.schema import Counted, Table, Wanted

QUERY_CANCELED, UNDEFINED_TABLE = "57014", "42P01"
LOCKED = "somebody has the table locked"
PROBLEMS = {
    LOCK_NOT_AVAILABLE: LOCKED,
    QUERY_CANCELED: "counting took too long",
    UNDEFINED_TABLE: "the table has just been dropped",
    INSUFFICIENT_PRIVILEGE: "this role may not read the table",
}
NO_TIME = "there was no time left to count"


@dataclass(frozen=True, slots=True)
class Share:
    """Shares of a table's rows, from 0 to 1: those with a null in a column, and those with each common value."""

    nulls: float
    values: Mapping[str, float]


def count(connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int) -> tuple[Counted, ...]:
    """See `Backend`."""
    columns = sorted({one.column for one in wanted if one.column is not None})
    rows = fetch(connection, statement("shares"), {"schema": table.schema, "table": table.name, "columns": columns})
    shares = {
        column: Share(nulls or 0.0, dict(zip(values or (), frequencies or (), strict=True)))
        for _, column, nulls, values, frequencies in rows
        if column is not None
    }
    if any(row[0] for row in rows):
        return _estimated(table, wanted, shares, LOCKED)
    if limit_ms <= 0:
        return _estimated(table, wanted, shares, NO_TIME)
    try:
        counts = _counted(connection, table, wanted, limit_ms)
    except DBAPIError as error:
        problem = PROBLEMS.get(sqlstate(error) or "")
        if problem is None or error.connection_invalidated:
            raise
        return _estimated(table, wanted, shares, problem)
    return tuple(Counted(rows, exact=True) for rows in counts)


def _counted(connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int) -> tuple[int, ...]:
    parameters: dict[str, str] = {}
    parts = []
    for number, one in enumerate(wanted):
        if one.column is None:
            parts.append("count(*)")
        elif one.value is None:
            parts.append(f"count({_quoted(one.column)})")
        else:
            parameters[f"value{number}"] = one.value
            parts.append(f"count(*) filter (where {_quoted(one.column)}::text = %(value{number})s)")
    name = f"{_quoted(table.schema)}.{_quoted(table.name)}" if table.schema else _quoted(table.name)
    # In one message, so in one transaction, with which the limit ends.
    sql = f"set local statement_timeout = {limit_ms}; select {', '.join(parts)} from {name}"
    [row] = connection.exec_driver_sql(sql, parameters).all()
    return tuple(row)


def _estimated(
    table: Table, wanted: Sequence[Wanted], shares: Mapping[str, Share], problem: str
) -> tuple[Counted, ...]:
    return tuple(Counted(_estimate(table, one, shares), exact=False, problem=problem) for one in wanted)


def _estimate(table: Table, one: Wanted, shares: Mapping[str, Share]) -> int | None:
    if table.rows is None or one.column is None:
        return table.rows
    share = shares.get(one.column)
    if share is None:
        return None
    return round(table.rows * (1 - share.nulls if one.value is None else share.values.get(one.value, 0.0)))


def _quoted(name: str) -> str:
    """An identifier as SQL has it; psycopg2 wants a percent sign doubled."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'
