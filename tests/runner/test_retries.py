"""A lock that is taken now may be free in a moment: beginning anew, and when that is not to be done."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, linear, make_project, table
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.journals import Event, journal, moment, named
from tests.support.live import Live
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

READS_T1 = "SELECT * FROM t1"
ALTERS_T1 = Revision(
    id="rev2",
    down="rev1",
    message="Add extra to t1",
    upgrade='op.create_table("t2", sa.Column("id", sa.Integer))\nop.add_column("t1", sa.Column("extra", sa.Integer))',
    downgrade='op.drop_column("t1", "extra")\nop.drop_table("t2")',
)
COMMITS_FIRST = Revision(
    id="rev2",
    down="rev1",
    message="Add a value, then a column",
    upgrade="""\
with op.get_context().autocommit_block():
    op.execute("CREATE TYPE colour AS ENUM ('red')")
op.add_column("t1", sa.Column("extra", sa.Integer))""",
)
ENOUGH = ("--lock-timeout-seconds", "0.4", "--lock-retries")


@pytest.fixture
def project(pg_database: PostgresDatabase, tmp_path: Path, magetui: Magetui) -> AlembicProject:
    """rev1 is applied; rev2, which makes t2 and alters t1, is pending."""
    return at_rev1(tmp_path, pg_database, magetui, ALTERS_T1)


def at_rev1(
    tmp_path: Path, database: PostgresDatabase | SqliteDatabase, magetui: Magetui, second: Revision
) -> AlembicProject:
    project = make_project(tmp_path / "project", (table(1), second), database.url)
    first = magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes")
    assert first.status == 0, first
    return project


def failed_attempts(state_dir: Path, at_least: int) -> list[Event]:
    """The failed attempts of run 2, once there are so many."""

    def so_far() -> list[Event] | None:
        failed = named(journal(state_dir, 2), "attempt-failed")
        return failed if len(failed) >= at_least else None

    return eventually(so_far, 30, lambda: str(journal(state_dir, 2))) or []


def test_blocker_that_comes_and_goes_is_outlived(
    pg_database: PostgresDatabase, project: AlembicProject, magetui: Magetui, state_dir: Path
) -> None:
    with pg_database.session(READS_T1) as first, pg_database.session("SELECT 1", "mage-worker") as second:
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", "--json", *ENOUGH, 5))
        failed_attempts(state_dir, 1)
        with second.cursor() as cursor:
            cursor.execute(READS_T1)  # another one comes before the first one goes
        first.rollback()
        failed_attempts(state_dir, 2)
        second.rollback()
        ended = live.end()
    assert ended.status == 0, ended
    assert pg_database.current == ["rev2"] == ended.json["current_after"]
    # Each attempt was said, and what it did was undone before the next: t2 was made once.
    assert "attempt 1 of 6 could not get the lock; next attempt in" in ended.stderr
    assert "attempt 2 of 6 could not get the lock; next attempt in" in ended.stderr
    assert [attempt["number"] for attempt in ended.json["attempts"]][:2] == [1, 2]
    assert [step["state"] for step in ended.json["steps"]] == ["done"]
    pauses = [attempt["retry_in_ms"] for attempt in ended.json["attempts"]]
    assert 500 <= pauses[0] <= 1_000 <= pauses[1] <= 2_000
    events = journal(state_dir, 2)
    began = [moment(e) for e in named(events, "step-started")]
    gave_up = [moment(e) for e in named(events, "attempt-failed")]
    for pause, failed, again in zip(pauses, gave_up, began[1:], strict=True):
        assert again - failed >= pause / 1000 - 0.05


def test_all_attempts_used_up_leaves_the_database_as_it_was(
    pg_database: PostgresDatabase, project: AlembicProject, magetui: Magetui
) -> None:
    before = pg_database.content
    with pg_database.session(READS_T1):
        ended = magetui("--config", project.ini, "migrate", "--yes", *ENOUGH, 1)
    assert ended.status == 5, ended
    assert "attempt 2 of 2 could not get the lock; no retry: all 2 attempts were used up" in ended.stderr
    assert "The database is unchanged. Current revision: rev1." in ended.stdout
    assert pg_database.content == before


def test_what_an_autocommit_block_committed_is_not_done_twice(
    pg_database: PostgresDatabase, tmp_path: Path, magetui: Magetui
) -> None:
    project = at_rev1(tmp_path, pg_database, magetui, COMMITS_FIRST)
    with pg_database.session(READS_T1):
        ended = magetui("--config", project.ini, "migrate", "--yes", *ENOUGH, 5)
    assert ended.status == 5, ended
    assert "attempt 1 of 6 could not get the lock; no retry" in ended.stderr
    assert "attempt 2" not in ended.stderr
    assert (
        "No retry: part of it is already committed, as an autocommit_block does, and cannot be done twice"
        in ended.stdout
    )
    assert "Part of the run was committed and stays." in ended.stdout
    assert pg_database.current == ["rev1"]
    assert pg_database.rows("SELECT 1 FROM pg_type WHERE typname = 'colour'")


def test_cancel_in_the_pause_between_two_attempts_ends_the_run(
    pg_database: PostgresDatabase, project: AlembicProject, magetui: Magetui, state_dir: Path
) -> None:
    with pg_database.session(READS_T1):
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", *ENOUGH, 9))
        failed_attempts(state_dir, 2)  # the pause is of a second at least
        live.interrupt()
        ended = live.end()
        assert ended.status == 130, ended
        assert "Cancelled. The database is unchanged. Current revision: rev1." in ended.stdout
        assert len(named(journal(state_dir, 2), "attempt-failed")) <= 3


def test_mutex_that_another_holds_is_tried_for_again(
    pg_database: PostgresDatabase, project: AlembicProject, magetui: Magetui, state_dir: Path
) -> None:
    [(key,)] = mutex_keys(pg_database, project, magetui, state_dir)
    with pg_database.session(f"SELECT pg_advisory_lock({key})", "colleague") as holder:
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", *ENOUGH, 9))
        failed_attempts(state_dir, 1)
        with holder.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock_all()")
        ended = live.end()
    assert ended.status == 0, ended
    assert "attempt 1 of 10 could not get the lock; next attempt" in ended.stderr
    assert pg_database.current == ["rev2"]


def mutex_keys(
    database: PostgresDatabase, project: AlembicProject, magetui: Magetui, state_dir: Path
) -> list[tuple[int]]:
    """The key of the project's mutex, as the server lists it while a run waits."""
    with database.session(READS_T1):
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes"))
        live.hears("WAITING for access exclusive on t1")
        keys = database.rows(
            "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND database = "
            "(SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        live.interrupt()
        live.end()
    (state_dir / "runs" / "2.jsonl").unlink()
    return keys


def test_sqlite_file_that_is_locked_for_a_while_is_tried_again(
    sqlite_database: SqliteDatabase, tmp_path: Path, magetui: Magetui, state_dir: Path
) -> None:
    project = at_rev1(tmp_path, sqlite_database, magetui, linear(2)[1])
    with closing(sqlite3.connect(sqlite_database.path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", *ENOUGH, 5))
        failed_attempts(state_dir, 1)
        writer.rollback()
        ended = live.end()
    assert ended.status == 0, ended
    assert "attempt 1 of 6 could not get the lock; next attempt in" in ended.stderr
    assert "Done. Current revision: rev2." in ended.stdout
    assert sqlite_database.current == ["rev2"]
