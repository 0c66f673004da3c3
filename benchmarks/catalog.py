"""The list and the details of 5,000 tables against one catalog query that reads their columns.

Run it with `uv run python -m benchmarks.catalog`. It makes a PostgreSQL 16 of its own with 5,000 tables of 3
to 6 columns, each with a primary key, an index and a row, a third with a foreign key and a quarter with a
default. Measured is the quickest of alternated rounds, the least disturbed, all objects made: one reading that
gives the list and the details (`table_details`, of which each names its table with rows, bytes and owner)
against the columns of all tables in order, fetched whole through psycopg2. Target: at most 2 times. The list by
itself is measured beside it: who wants it first, as the screen does, and then all details, pays for both.
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
WARM_UP = 2  # rounds: the server session's caches fill in the first
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
    """The ratio of the quickest of alternated rounds, after some that are thrown away."""

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
    for one, first, both in rounds:
        _say(
            f"one query {one:6.1f} ms    list {first:6.1f} ms {first / one:.2f}    "
            f"list and details {both:6.1f} ms {both / one:.2f}"
        )
    quickest: list[float] = [min(column) for column in zip(*rounds, strict=True)]
    one, first, both = quickest
    _say(
        f"{TABLES} tables: list and details in one reading {both / one:.2f} times one catalog query (target: at most "
        f"{TARGET}); the list {first / one:.2f}, so one after the other {(first + both) / one:.2f}"
    )
    return both / one


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
