"""Compare the list and the details of 5,000 tables with one catalog query that reads their columns.

Run it with `uv run python -m benchmarks.catalog`. It starts a PostgreSQL 16 and creates 5,000 tables of 3 to 6
columns. Each table has a primary key, an index and a row, a third have a foreign key, a quarter have a default. One
call of `table_details` returns the list and the details: each detail names its table with rows, bytes and owner. The
reference reads the columns of all tables in order through psycopg2. The benchmark alternates both, includes the cost of
all objects, and takes the fastest round of each, because that round is the least disturbed. Target: at most 2 times
the reference. The list alone is measured too: the screen reads the list first and all details later, and pays for both.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from magetui.backends.postgresql import catalog
from magetui.backends.postgresql.backend import PostgreSQL
from magetui.model.schema import Table, TableDetail
from tests.support.postgres import PostgresServer

TABLES = 5_000
ROUNDS = 9
WARM_UP = 2  # rounds: the first fills the caches of the server session
TARGET = 2.0
BATCH = 100  # tables per transaction: each table takes locks, and the lock table is limited

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
    """Measure and print. The exit status is 1 if the target is missed."""
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
    """Return the statements for one table. Half of the tables have a column name that no other table has."""
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
    """Return the ratio of the fastest rounds, after WARM_UP rounds that do not count."""

    def reference() -> list[Any]:
        raw = connection.connection.cursor()
        raw.execute(REFERENCE)
        rows = list(raw.fetchall())
        raw.close()
        return rows

    def listed() -> tuple[Table, ...]:
        return catalog.tables(connection)

    def detailed() -> tuple[TableDetail, ...]:
        return catalog.table_details(connection)

    for _ in range(WARM_UP):
        details = detailed()
        assert tuple(detail.table for detail in details) == listed()
        assert sum(len(detail.columns) for detail in details) == len(reference())
    rounds: list[list[float]] = [[_milliseconds(work) for work in (reference, listed, detailed)] for _ in range(ROUNDS)]
    for query, first, both in rounds:
        _say(
            f"one query {query:6.1f} ms    list {first:6.1f} ms {first / query:.2f}    "
            f"list and details {both:6.1f} ms {both / query:.2f}"
        )
    quickest: list[float] = [min(column) for column in zip(*rounds, strict=True)]
    query, first, both = quickest
    _say(
        f"{TABLES} tables: list and details in one reading {both / query:.2f} times one catalog query (target: at most "
        f"{TARGET}); the list {first / query:.2f}, list then details {(first + both) / query:.2f}"
    )
    return both / query


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    result = work()
    elapsed = time.perf_counter() - started
    del result  # the time to free the objects does not count
    return elapsed * 1000


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
