"""The lock forecast of statements, against what real servers lock, read and rewrite for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from psycopg2 import extensions

from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.preview.lock_forecast import effects
from magetui.model.lock_modes import lock_mode
from magetui.model.operations import (
    ExecuteSql,
)
from tests.support.databases import PostgresDatabase
from tests.support.lock_facts import (
    WANTED,
    claimed,
    differences,
    observed,
    strength,
)
from tests.support.lock_statements import (
    AROUND,
    COLUMNS,
    CONCURRENTLY,
    CONSTRAINTS,
    INDEXES,
    NEEDS_18,
    TABLES,
    TYPES,
    UNKNOWN,
    UNNAMED,
)
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.every_version]


@pytest.mark.parametrize(
    "several",
    [COLUMNS, TYPES, CONSTRAINTS, INDEXES, TABLES, AROUND],
    ids=["columns", "types", "constraints", "indexes", "tables", "around"],
)
def test_statement_locks_reads_and_writes_anew_what_the_plan_says(
    house: PostgresDatabase, session: extensions.connection, known: SchemaState, several: list[str]
) -> None:
    assert differences(session, known, house.server.major, several) == {}


def test_statement_of_a_newer_server_is_read_too(
    house: PostgresDatabase, session: extensions.connection, known: SchemaState
) -> None:
    if house.server.major >= 18:
        assert differences(session, known, house.server.major, NEEDS_18) == {}


def test_tables_that_cannot_be_named_are_described_and_cover_all_that_is_locked(
    house: PostgresDatabase, session: extensions.connection, known: SchemaState
) -> None:
    with session.cursor() as cursor:
        for statement, note in UNNAMED.items():
            made = effects(ExecuteSql(statement), house.server.major, known)
            seen = observed(cursor, partial(cursor.execute, statement))
            session.rollback()
            [described] = [one for one in made if one.table is None]
            assert described.note == note, statement
            named = claimed(made)
            assert named.items() <= seen.locks.items(), statement
            others = {mode for name, mode in seen.locks.items() if name not in named}
            assert described.mode is not None and all(strength(mode) <= described.mode.strength for mode in others), (
                statement
            )


@pytest.mark.parametrize(("statement", "note"), UNKNOWN.items(), ids=lambda one: str(one)[:20])
def test_what_cannot_be_told_is_said(statement: str, note: str) -> None:
    [unknown] = [one for one in effects(ExecuteSql(statement), 16, SchemaState("postgresql")) if one.unknown]
    assert (unknown.table, unknown.work, unknown.note) == (None, "unknown", note)


@pytest.mark.parametrize(
    "statement", ["select from where (", "select 'open", "insert into", "create", "alter table", "drop", ";;"]
)
def test_text_that_is_no_sql_is_no_reason_to_fail(statement: str) -> None:
    made = effects(ExecuteSql(statement), 16, SchemaState("postgresql"))
    assert all(one.unknown for one in made)


def test_time_zone_of_the_session_decides_whether_timestamps_are_written_anew(
    house: PostgresDatabase, session: extensions.connection, known: SchemaState
) -> None:
    statement = "alter table town alter column seen type timestamp with time zone"
    [made] = effects(ExecuteSql(statement), house.server.major, known)
    assert (made.work, made.note) == ("rewrite", "unless the session's time zone is UTC")
    with session.cursor() as cursor:
        for zone, rewritten in (("UTC", set()), ("Europe/Paris", {"town"})):
            cursor.execute("set local time zone %s", (zone,))
            assert observed(cursor, partial(cursor.execute, statement)).rewritten == rewritten
            session.rollback()


# -- concurrently: only outside of a transaction, and so looked at while it waits


def test_statement_outside_of_a_transaction_wants_the_lock_that_the_plan_says(
    house: PostgresDatabase, known: SchemaState
) -> None:
    for statement, (table, mode, work) in CONCURRENTLY.items():
        made = effects(ExecuteSql(statement), house.server.major, known)
        assert [(one.mode, one.work) for one in made if one.table == table] == [(lock_mode(mode), work)], statement
        with (
            house.session(f"lock table {table} in share update exclusive mode") as blocker,
            closing(house.server.connect(house.name, autocommit=True)) as connection,
            ThreadPoolExecutor(1) as other,
        ):
            wanted_by = WANTED.format(pid=connection.get_backend_pid())
            running = other.submit(connection.cursor().execute, statement)
            try:
                wanted = eventually(partial(house.rows, wanted_by), describe=partial(str, statement))
            finally:
                blocker.rollback()
            running.result(timeout=30)
            assert wanted == [(table, mode)], statement
