"""Row counts of a SQL Server table: exact for short tables, else the number in sys.partitions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.mssql.failures import LOCK_TIMEOUT, UNSEEN, error_number
from magetui.backends.mssql.query import fetch, identifier, literal
from magetui.backends.problems import NO_TIME_TO_COUNT, TABLE_IS_LOCKED, not_counted
from magetui.model.schema import Counted, Table, Wanted

COUNTED_ROWS = 100_000  # a longer table is not counted, because nothing could end the query in time


def count(connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int) -> tuple[Counted, ...]:
    """See `Catalog.count`. Counts of columns and values have no estimate."""
    if limit_ms <= 0:
        return not_counted(table, wanted, NO_TIME_TO_COUNT)
    if table.rows is None or table.rows > COUNTED_ROWS:
        return not_counted(table, wanted, "on SQL Server a table that long is not counted")
    parts = ", ".join(_part(item) for item in wanted)
    name = ".".join(identifier(part) for part in (table.schema, table.name) if part)
    try:
        [row] = fetch(connection, f"select {parts} from {name}")
    except DBAPIError as error:
        number = error_number(error.orig)
        if error.connection_invalidated or number not in UNSEEN:
            raise
        problem = TABLE_IS_LOCKED if number == LOCK_TIMEOUT else "this login may not read the table"
        return not_counted(table, wanted, problem)
    return tuple(Counted(rows, exact=True) for rows in row)


def _part(item: Wanted) -> str:
    if item.column is None:
        return "count_big(*)"
    if item.value is None:
        return f"count_big({identifier(item.column)})"
    return f"count_big(case when {identifier(item.column)} = {literal(item.value)} then 1 end)"
