"""A migration that commits each revision by itself: locks end with each revision, and what is done stays."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase
from tests.support.live import Live
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SLEEPS = 'op.execute("ALTER TABLE t1 ADD COLUMN n int")\nop.execute("SELECT pg_sleep(60)")'
FAILS = Revision("rev3", "rev2", "Fails", 'op.execute("SELECT * FROM nowhere")')


def test_each_revision_is_a_run_of_its_own(magetui: Magetui, tmp_path: Path, database: Database) -> None:
    project = make_project(tmp_path / "project", linear(3), database.url)
    common = ("--config", project.ini)
    done = magetui(*common, "migrate", "--commit-each", "--yes", "--json")
    assert done.status == 0, done
    assert "Each revision is committed by itself." in " ".join(done.stderr.split())
    runs = done.json["runs"]
    assert [(run["run"], run["target"], run["outcome"]) for run in runs] == [
        (1, "rev1", "done"),
        (2, "rev2", "done"),
        (3, "rev3", "done"),
    ]
    back = magetui(*common, "rollback", "--revision", "base", "--commit-each", "--yes", "--json")
    assert [run["target"] for run in back.json["runs"]] == ["rev2", "rev1", "base"]
    assert database.current == []


def test_if_one_fails_those_before_it_stay(magetui: Magetui, tmp_path: Path, database: Database) -> None:
    project = make_project(tmp_path / "project", (*linear(2), FAILS), database.url)
    common = ("--config", project.ini)
    failed = magetui(*common, "migrate", "--commit-each", "--yes")
    assert failed.status == 1, failed
    assert database.current == ["rev2"]
    assert magetui(*common, "evidence", "--json").json["current_matches"] is True


@pytest.mark.slow
def test_a_cancelled_slice_is_taken_back_and_the_locks_of_those_before_it_are_gone(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    sleeps = Revision("rev2", "rev1", "Sleeps", SLEEPS)
    project = make_project(tmp_path / "project", (linear(1)[0], sleeps), pg_database.url)
    live = Live(magetui.start("--config", project.ini, "migrate", "--commit-each", "--yes"))
    live.hears("run 2 started", 30)
    assert pg_database.current == ["rev1"]  # others read it: it is committed
    eventually(lambda: pg_database.rows("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'"), 30)
    live.process.send_signal(signal.SIGINT)
    ended = live.end()
    assert ended.status == 130, ended
    assert pg_database.current == ["rev1"]
    assert magetui("--config", project.ini, "evidence", "--json").json["current_matches"] is True
