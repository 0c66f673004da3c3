"""Runs that are ended on purpose: by ctrl+c, from elsewhere, or by the statement timeout."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from magetui.cli.run_follower import Interrupts
from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.journals import journal, named, wait_for_statement
from tests.support.live import Live

pytestmark = pytest.mark.slow

SLOW = {
    "postgresql": "SELECT pg_sleep(600)",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
}


def slow_project(directory: Path, database: Database) -> AlembicProject:
    """rev1 and rev2 are quick; rev3 makes a table and then runs a statement without an end."""
    slow = Revision(
        id="rev3",
        down="rev2",
        message="Take for ever",
        upgrade=f'op.create_table("t3", sa.Column("id", sa.Integer))\nop.execute("{SLOW[database.dialect]}")',
    )
    return make_project(directory, (*linear(2), slow), database.url)


@pytest.fixture
def common(database: Database, magetui: Magetui, tmp_path: Path) -> tuple[object, ...]:
    """The flags for a project of which rev1 is applied."""
    flags = ("--config", slow_project(tmp_path / "project", database).ini)
    assert magetui(*flags, "migrate", "--revision", "rev1", "--yes").status == 0
    return flags


def running_statement(state_dir: Path, database: Database) -> None:
    wait_for_statement(state_dir, SLOW[database.dialect], run=2)


def nobody_works_any_more(database: Database) -> bool:
    if isinstance(database, SqliteDatabase):
        database.rows("BEGIN IMMEDIATE")  # raises where somebody has the file locked
        return True
    return not database.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")


def test_ctrl_c_cancels_the_statement_and_rolls_all_of_it_back(
    database: Database, magetui: Magetui, state_dir: Path, common: tuple[object, ...]
) -> None:
    before = database.content
    live = Live(magetui.start(*common, "migrate", "--yes", "--json"))
    running_statement(state_dir, database)
    live.interrupt(signal.SIGINT)
    ended = live.end()
    assert ended.status == 130, ended
    assert "cancelling …" in ended.stderr
    assert ended.json["outcome"] == "cancelled"
    assert ended.json["unchanged"] is True
    assert ended.json["current_after"] == ["rev1"]
    assert [step["state"] for step in ended.json["steps"]] == ["undone", "stopped"]
    assert nobody_works_any_more(database)
    assert database.content == before
    told = magetui("runs", 2)
    assert "Cancelled. The database is unchanged. Current revision: rev1." in told.stdout


def test_run_is_cancelled_from_another_terminal(
    database: Database, magetui: Magetui, state_dir: Path, common: tuple[object, ...]
) -> None:
    before = database.content
    live = Live(magetui.start(*common, "migrate", "--yes"))
    running_statement(state_dir, database)
    elsewhere = magetui("runs", 2, "--cancel")
    assert elsewhere.status == 0, elsewhere
    assert "Run 2 was asked to stop." in elsewhere.stderr
    assert "Cancelled. The database is unchanged. Current revision: rev1." in elsewhere.stdout
    ended = live.end()
    assert ended.status == 130, ended
    assert "Cancelled. " in ended.stdout
    assert database.content == before
    too_late = magetui("runs", 2, "--cancel")
    assert "Run 2 has already ended." in too_late.stderr


@pytest.mark.parametrize("early", [True, False], ids=["before-it-began", "after-it-ended"])
def test_ctrl_c_that_comes_too_late_for_a_run_is_answered(
    sqlite_database: SqliteDatabase, magetui: Magetui, tmp_path: Path, capfd: pytest.CaptureFixture[str], early: bool
) -> None:
    project = make_project(tmp_path / "project", linear(1), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    with Interrupts(os.environ) as interrupts:
        if early:
            signal.raise_signal(signal.SIGINT)
        interrupts.started(1)
        if not early:
            signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr().err == "run 1 has already ended, so it is not cancelled\n"


def test_statement_timeout_ends_the_statement_and_rolls_all_of_it_back(
    database: Database, magetui: Magetui, state_dir: Path, common: tuple[object, ...]
) -> None:
    before = database.content
    ended = magetui(*common, "migrate", "--yes", "--statement-timeout-seconds", 1, "--json")
    assert ended.status == 1, ended
    assert ended.json["outcome"] == "statement-timeout"
    assert ended.json["unchanged"] is True
    assert ended.json["current_after"] == ["rev1"]
    assert "rev3_take_for_ever.py, line " in ended.json["where"]
    assert SLOW[database.dialect] in named(journal(state_dir, 2), "run-ended")[0]["statement"]
    assert database.content == before
    told = magetui("runs", 2)
    assert "Statement timeout. The database is unchanged. Current revision: rev1." in told.stdout


def test_ctrl_c_while_waiting_for_a_lock(pg_database: PostgresDatabase, magetui: Magetui, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    before = pg_database.content
    with pg_database.session("SELECT * FROM t2"):
        rollback = ("rollback", "--revision", "-1", "--yes", "--lock-timeout-seconds", 600)
        live = Live(magetui.start("--config", project.ini, *rollback))
        live.hears("WAITING for access exclusive on t2")
        live.interrupt()
        ended = live.end()
        assert ended.status == 130, ended
        assert "Cancelled. The database is unchanged. Current revision: rev2." in ended.stdout
        assert pg_database.content == before


def test_ctrl_c_while_somebody_else_migrates(pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path) -> None:
    before = pg_database.content
    with pg_database.session("SELECT pg_advisory_lock(1)"):
        common = ("--mage-path", mage_home, "--url", pg_database.url)
        live = Live(magetui.start(*common, "migrate", "--yes", "--lock-timeout-seconds", 600))
        live.hears("WAITING for the migration lock")
        live.interrupt()
        ended = live.end()
    assert ended.status == 130, ended
    assert "Cancelled. " in ended.stdout
    assert pg_database.content == before


def test_ctrl_c_at_the_very_beginning_cancels_too_and_the_end_is_told(
    database: Database, magetui: Magetui, common: tuple[object, ...]
) -> None:
    before = database.content
    live = Live(magetui.start(*common, "migrate", "--yes"))
    live.hears("run 2 started")  # its child is only just starting
    live.interrupt()
    ended = live.end()
    assert ended.status == 130, ended
    assert "cancelling …" in ended.stderr
    assert "Cancelled. The database is unchanged. Current revision: rev1." in ended.stdout
    assert database.content == before


def test_ctrl_c_on_who_merely_follows_leaves_the_run_alone(
    database: Database, magetui: Magetui, state_dir: Path, common: tuple[object, ...]
) -> None:
    live = Live(magetui.start(*common, "migrate", "--yes"))
    running_statement(state_dir, database)
    follower = Live(magetui.start("runs", 2))
    follower.hears("step 2 of 2: upgrade rev3")
    follower.interrupt()
    ended = follower.end()
    assert ended.status == 130, ended
    assert "no longer following run 2; the run continues" in ended.stderr
    assert magetui("runs", "--json").json["runs"][0]["alive"] is True
    live.interrupt()
    assert live.end().status == 130
