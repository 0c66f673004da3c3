"""The list and the details of 5,000 tables against one catalog query that reads their columns.

Run it with `uv run python -m benchmarks.catalog`. It makes a PostgreSQL 16 of its own with 5,000 tables of 3
to 6 columns, each with a primary key, an index and a row, a third with a foreign key and a quarter with a
default. Measured is the median of alternated pairs: what a front end asks (`tables`, then `table_details`,
all objects made) against the columns of all tables in order, fetched whole through psycopg2. Target: at most
2 times.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from magetui.backends import postgresql_catalog as catalog
from magetui.backends.base import Table, TableDetail
from magetui.backends.postgresql import PostgreSQL
from tests.postgres import PostgresServer

TABLES = 5_000
PAIRS = 5
WARM_UP = 2  # pairs: the server session's caches fill in the first
TARGET = 2.0
BATCH = 100  # tables a transaction: each takes locks, and their number is limited

REFERENCE = """
select n.nspname, c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       t.typname
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type t on t.oid = a.atttypid
where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema')
order by n.nspname, c.relname, a.attnum
"""


def main() -> int:
    """Measure and print; the exit status is 1 where the target is missed."""
    with PostgresServer(16) as server:
        url = server.create_database("catalog")
        _make_tables(server, "catalog")
        with PostgreSQL().reader(make_url(url), "benchmark").connect() as connection:
            ratio = _measure(connection)
    return 0 if ratio <= TARGET else 1


def _make_tables(server: PostgresServer, database: str) -> None:
    for start in range(0, TABLES, BATCH):
        statements = [_table(number) for number in range(start, start + BATCH)]
        server.execute(database, "begin;" + "".join(statements) + "commit")
    server.execute(database, "vacuum analyze")


def _table(number: int) -> str:
    """Statements for one table; half of them have a column whose name no other table has."""
    created = "created_at timestamptz" + (" default now()" if number % 4 == 1 else "")
    optional = [created, f"amount_{number} numeric(12, 2)", "note text"]
    parent = "parent_id integer"
    if number % 3 == 1:
        parent += f" references item_{number - 1} (id) on delete cascade"
    columns = ["id integer primary key", "name varchar(255) not null", parent, *optional[: number % 4]]
    return (
        f"create table item_{number} ({', '.join(columns)});"
        f"create index ix_item_{number} on item_{number} (name);"
        f"insert into item_{number} (id, name) values (1, 'x');"
    )


def _measure(connection: Connection) -> float:
    """The median ratio of alternated pairs, after some that are thrown away."""

    def reference() -> list[Any]:
        raw = connection.connection.cursor()
        raw.execute(REFERENCE)
        rows = list(raw.fetchall())
        raw.close()
        return rows

    def ours() -> tuple[tuple[Table, ...], tuple[TableDetail, ...]]:
        return catalog.tables(connection), catalog.table_details(connection)

    for _ in range(WARM_UP):
        listed, details = ours()
        assert [detail.table for detail in details] == list(listed)
        assert sum(len(detail.columns) for detail in details) == len(reference())
    pairs = [(_milliseconds(reference), _milliseconds(ours)) for _ in range(PAIRS)]
    for one, other in pairs:
        _say(f"one query {one:6.1f} ms    list and details {other:6.1f} ms    {other / one:.2f}")
    ratio = statistics.median(other for _, other in pairs) / statistics.median(one for one, _ in pairs)
    _say(f"{TABLES} tables: {ratio:.2f} times one catalog query (target: at most {TARGET})")
    return ratio


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    result = work()
    elapsed = time.perf_counter() - started
    del result  # freeing it is not measured
    return elapsed * 1000


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
