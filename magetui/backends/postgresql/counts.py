"""Row counts of a PostgreSQL table: exact if counting is quick and no lock blocks it, else estimated.

Counting takes an ACCESS SHARE lock, as any query does, and one scan of the table for all wanted counts. An estimate
comes from the statistics of the last VACUUM or ANALYZE (manual, 14.2 and 53.27, pg_stats).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql.bounded_reads import OWN_NAMES
from magetui.backends.postgresql.query import (
    INSUFFICIENT_PRIVILEGE,
    LOCK_NOT_AVAILABLE,
    fetch,
    identifier,
    sqlstate,
    statement,
)
from magetui.backends.problems import COUNTING_TOOK_TOO_LONG, NO_TIME_TO_COUNT, TABLE_IS_LOCKED
from magetui.model.schema import Counted, Table, Wanted

QUERY_CANCELED, UNDEFINED_TABLE = "57014", "42P01"
PROBLEMS = {
    LOCK_NOT_AVAILABLE: TABLE_IS_LOCKED,
    QUERY_CANCELED: COUNTING_TOOK_TOO_LONG,
    UNDEFINED_TABLE: "the table has just been dropped",
    INSUFFICIENT_PRIVILEGE: "this role may not read the table",
}


POLICY = "row-level security policy"  # of the message: its code is the one for missing rights, too
HIDDEN_ROWS = "a row security policy of the table hides rows from this role"


class Share(NamedTuple):
    """Shares of a table's rows, from 0 to 1: the rows with null in a column, and the rows with each common value."""

    nulls: float
    values: Mapping[str, float]


def count(connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int) -> tuple[Counted, ...]:
    columns = sorted({item.column for item in wanted if item.column is not None})
    rows = fetch(connection, statement("shares"), {"schema": table.schema, "table": table.name, "columns": columns})
    shares = {
        column: Share(nulls or 0.0, dict(zip(values or (), frequencies or (), strict=True)))
        for _, column, nulls, values, frequencies in rows
        if column is not None
    }
    problem = NO_TIME_TO_COUNT if limit_ms <= 0 else None
    if any(row[0] for row in rows):
        problem = TABLE_IS_LOCKED
    if problem is None:
        try:
            return tuple(Counted(rows, exact=True) for rows in _counted(connection, table, wanted, limit_ms))
        except DBAPIError as error:
            problem = HIDDEN_ROWS if POLICY in str(error.orig) else PROBLEMS.get(sqlstate(error) or "")
            if problem is None or error.connection_invalidated:
                raise
    return tuple(Counted(_estimate(table, item, shares), exact=False, problem=problem) for item in wanted)


def _counted(connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int) -> tuple[int, ...]:
    parameters: dict[str, str] = {}
    parts = []
    for number, item in enumerate(wanted):
        if item.column is None:
            parts.append("count(*)")
        elif item.value is None:
            parts.append(f"count({identifier(item.column)})")
        else:
            parameters[f"value{number}"] = item.value
            # format() prints any value, while a cast to text may be a function of whoever made the type.
            parts.append(f"count(*) filter (where format('%%s', {identifier(item.column)}) = %(value{number})s)")
    name = ".".join(identifier(part) for part in (table.schema, table.name) if part)
    # The statements are in one message, so in one transaction, and the settings end with it. No cursor: it would count
    # without parallel workers.
    sql = f"{OWN_NAMES}; set local statement_timeout = {limit_ms}; select {', '.join(parts)} from {name}"
    [row] = connection.exec_driver_sql(sql, parameters).all()
    return tuple(row)


def _estimate(table: Table, item: Wanted, shares: Mapping[str, Share]) -> int | None:
    if table.rows is None or item.column is None:
        return table.rows
    share = shares.get(item.column)
    if share is None:
        return None
    return round(table.rows * (1 - share.nulls if item.value is None else share.values.get(item.value, 0.0)))
