"""The counts of a data loss: exact ones, and estimates where counting takes too long or is not allowed."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from magetui.engine.preview import data_loss as module
from magetui.engine.preview.data_loss import Losses
from magetui.model.operations import (
    DropColumn,
    DropTable,
)
from magetui.model.plan import Loss
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.losses import found, preview

pytestmark = pytest.mark.every_version

NEWER_PG = pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])


@pytest.fixture
def big(pg_database: PostgresDatabase) -> PostgresDatabase:
    """300,000 rows, a third of them with a note, after ANALYZE; and a small table."""
    pg_database.rows(
        "CREATE TABLE big AS SELECT n AS id, CASE WHEN n % 3 = 0 THEN 'x' END AS note FROM generate_series(1, 300000) n"
    )
    pg_database.rows("CREATE TABLE small AS SELECT 1 AS id")
    pg_database.rows("ANALYZE")
    return pg_database


def by_table(losses: Losses) -> dict[tuple[str, str | None], Loss]:
    return {(one.table, one.column): one for one in losses.known}


def test_slow_count_gives_the_estimate_and_says_so(big: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "COUNT_MS", 1)
    column = preview(big.url, [DropColumn("big", None, "note")]).known[0]
    assert not column.exact
    assert column.rows == pytest.approx(100_000, rel=0.1)
    assert column.problem == "counting took too long"
    monkeypatch.undo()
    assert found(preview(big.url, [DropColumn("big", None, "note")])) == {("column", "big", "note", None): 100_000}


def test_small_tables_come_first_where_time_is_short(big: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.0, 10.0])  # when it begins, before the first table, before the second
    monkeypatch.setattr("magetui.engine.preview.data_loss.monotonic", lambda: next(clock, 10.0))
    losses = by_table(preview(big.url, [DropTable("big", None), DropTable("small", None)], budget_ms=2_000))
    monkeypatch.undo()
    assert (losses["small", None].rows, losses["small", None].exact) == (1, True)
    assert not losses["big", None].exact
    assert losses["big", None].rows == pytest.approx(300_000, rel=0.1)
    assert losses["big", None].problem == "there was no time left to count"


def test_locked_table_is_not_waited_for(big: PostgresDatabase) -> None:
    with big.session("LOCK TABLE big IN ACCESS EXCLUSIVE MODE"):
        began = time.monotonic()
        losses = by_table(preview(big.url, [DropTable("big", None), DropTable("small", None)]))
        assert time.monotonic() - began < 5
    assert losses["small", None].exact
    assert losses["big", None].problem == "somebody has the table locked"
    assert losses["big", None].rows == pytest.approx(300_000, rel=0.1)


def test_nothing_stronger_than_a_reading_is_locked(big: PostgresDatabase) -> None:
    with big.session("LOCK TABLE big IN EXCLUSIVE MODE"):  # lets nothing but ACCESS SHARE through
        assert found(preview(big.url, [DropTable("big", None)])) == {("table", "big", None, None): 300_000}


@NEWER_PG
def test_table_that_this_role_may_not_read_is_estimated(big: PostgresDatabase) -> None:
    big.rows("CREATE ROLE looker LOGIN PASSWORD 'only looks'")
    try:
        url = f"postgresql://looker:only%20looks@{big.url.rpartition('@')[2]}"
        [loss] = preview(url, [DropColumn("big", None, "note")]).known
        assert (loss.rows, loss.exact, loss.problem) == (None, False, "this role may not read the table")
    finally:
        big.rows("DROP ROLE looker")


def test_slow_count_on_sqlite_gives_what_analyze_counted(
    sqlite_database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.execute("CREATE TABLE big (id integer PRIMARY KEY, note text)")
        connection.executemany("INSERT INTO big (note) VALUES (?)", (("x" * 50,) for _ in range(300_000)))
        connection.execute("ANALYZE")
        connection.commit()
    monkeypatch.setattr(module, "COUNT_MS", 1)
    losses = by_table(preview(sqlite_database.url, [DropTable("big", None)]))
    assert losses["big", None] == Loss("table", None, "big", None, 300_000, False, "counting took too long")
    monkeypatch.undo()
    assert found(preview(sqlite_database.url, [DropTable("big", None)])) == {("table", "big", None, None): 300_000}
