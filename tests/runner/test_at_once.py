"""Two who want to migrate one database at the same time: one does, the other knows for whom it waits."""

from __future__ import annotations

import fcntl
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from magetui.backends.sqlite.mutex import LockFile, lock_path
from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.gate import REWRITE, closed_gate, gated_project
from tests.support.journals import child_of, wait_for_statement
from tests.support.live import Live
from tests.support.mage import HEAD, migrate_with_alembic

pytestmark = pytest.mark.slow


def test_second_migrate_names_the_first_and_finds_its_work_done(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    project = gated_project(tmp_path / "project", pg_database)
    migrate = ("--config", project.ini, "migrate", "--yes", "--json", "--lock-timeout-seconds", 60)
    with closed_gate(pg_database) as gate:
        first = Live(magetui.start(*migrate))
        wait_for_statement(state_dir, REWRITE)
        second = Live(magetui.start(*migrate))
        second.hears("WAITING for the migration lock, up to 1 min")
        second.hears(r"blocker: \d+  mage  magetui run 1 mutex")
        running = magetui("--config", project.ini, "diagnose", "--json").json
        assert "migration-running" in [finding["code"] for finding in running["findings"]]
        gate.rollback()
        one, two = first.end(), second.end()
    assert (one.status, two.status) == (0, 0), f"{one}\n{two}"
    assert [step["state"] for step in one.json["steps"]] == ["done", "done", "done"]
    assert [step["state"] for step in two.json["steps"]] == ["pending", "pending", "pending"]
    assert one.json["current_after"] == two.json["current_after"] == ["rev3"] == pg_database.current


def test_second_migrate_of_a_sqlite_file_names_the_first_and_finds_its_work_done(
    sqlite_database: SqliteDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(3), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    migrate = ("--config", project.ini, "migrate", "--yes", "--lock-timeout-seconds", 60)
    with closing(sqlite3.connect(sqlite_database.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        first = Live(magetui.start(*migrate))
        first.hears("WAITING for write lock on the database file")
        second = Live(magetui.start(*migrate))
        second.hears("WAITING for the migration lock, up to 1 min")
        second.hears(rf"process {child_of(state_dir, 2)} \(migrate\), since ")
        running = magetui("--config", project.ini, "diagnose", "--json").json
        assert "migration-running" in [finding["code"] for finding in running["findings"]]
        writer.execute("ROLLBACK")
        one, two = first.end(), second.end()
    assert (one.status, two.status) == (0, 0), f"{one}\n{two}"
    assert "Done. Current revision: rev3." in one.stdout
    assert "Done. Current revision: rev3." in two.stdout
    assert sqlite_database.current == ["rev3"]
    healthy = magetui("--config", project.ini, "diagnose")
    assert healthy.status == 0, healthy  # nobody is said to be migrating still


def test_second_migrate_that_will_not_wait_any_longer_ends_with_5_and_names_the_first(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    project = gated_project(tmp_path / "project", pg_database)
    with closed_gate(pg_database) as gate:
        first = Live(magetui.start("--config", project.ini, "migrate", "--yes"))
        wait_for_statement(state_dir, REWRITE)
        second = magetui("--config", project.ini, "migrate", "--yes", "--lock-timeout-seconds", 1)
        assert second.status == 5, second
        assert "magetui run 1" in second.stderr
        given_up = " ".join(second.stdout.split())
        assert "(magetui run 1 mutex" in given_up
        assert "holds the migration lock and did not release it within 1 s. Nothing was done." in given_up
        gate.rollback()
        assert first.end().status == 0


def test_starting_mage_that_holds_its_lock_is_named_and_given_up_on(
    pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, "1a737bdee53b")
    before = pg_database.content
    common = ("--mage-path", mage_home, "--url", pg_database.url)
    with pg_database.session("SELECT pg_advisory_lock(1)", "mage-server") as mage:
        pid = mage.info.backend_pid
        found = magetui(*common, "diagnose", "--json").json["findings"]
        [running] = [finding for finding in found if finding["code"] == "migration-lock-held"]
        assert running["facts"]["pid"] == pid
        assert f"session {pid} (mage-server)" in running["message"]

        told = magetui(*common, "migrate", "--yes", "--lock-timeout-seconds", 1)
        assert told.status == 5, told
        assert f"blocker: {pid}  mage  mage-server" in told.stderr
        assert "SELECT pg_advisory_lock(1)" in told.stderr
        kept = (
            f"Session {pid} (mage-server) holds the migration lock and did not release it within 1 s; it is idle in a"
        )
        assert f"{kept} transaction." in told.stdout
        assert "Nothing was done." in told.stdout
        assert "The database is unchanged. Current revision: 1a737bdee53b." in told.stdout
        assert pg_database.content == before


def test_starting_mage_that_gives_its_lock_back_is_waited_for(
    pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path
) -> None:
    common = ("--mage-path", mage_home, "--url", pg_database.url)
    with pg_database.session("SELECT pg_advisory_lock(1)", "mage-server") as mage:
        live = Live(magetui.start(*common, "migrate", "--yes", "--lock-timeout-seconds", 60))
        live.hears(f"blocker: {mage.info.backend_pid}  mage  mage-server")
        mage.cursor().execute("SELECT pg_advisory_unlock(1)")
        ended = live.end()
    assert ended.status == 0, ended
    assert pg_database.current == [HEAD]


def test_run_holds_the_lock_that_a_starting_mage_wants(
    pg_database: PostgresDatabase, magetui: Magetui, mage_home: Path
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, "1a737bdee53b")
    wanted = "SELECT pg_try_advisory_lock(1)"
    with pg_database.session('SELECT id FROM "user"') as reader:
        rollback = (
            "--mage-path",
            mage_home,
            "--url",
            pg_database.url,
            "rollback",
            "--revision",
            "-1",
            "--yes",
        )
        live = Live(magetui.start(*rollback, "--lock-timeout-seconds", 60))
        live.hears("WAITING for access exclusive on user")
        assert pg_database.rows(wanted) == [(False,)]
        reader.rollback()
        assert live.end().status == 0
    assert pg_database.rows(wanted) == [(True,)]


def test_lock_file_that_goes_while_it_is_looked_at_is_not_taken(
    sqlite_database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lock_path(sqlite_database.path)
    assert path is not None
    lock = fcntl.flock

    def given_back_just_now(descriptor: int, operation: int) -> None:
        path.unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", given_back_just_now)
    monkeypatch.setattr(Path, "exists", lambda _: True)  # as it was a moment before
    second = LockFile(sqlite_database.path, "second")
    assert not second.try_acquire()
    monkeypatch.undo()
    assert second.try_acquire()
    second.release()


PLAIN = "SELECT * FROM alembic_version; CREATE TABLE t2 (id integer, name varchar(50))"


def test_a_plain_alembic_upgrade_that_takes_no_lock_is_named_and_waited_for(
    pg_database: PostgresDatabase, magetui: Magetui, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    with pg_database.session(PLAIN, "alembic") as other:
        found = magetui("--config", project.ini, "diagnose", "--json").json["findings"]
        [finding] = [finding for finding in found if finding["code"] == "other-migrator"]
        pid = other.info.backend_pid
        assert f"Session {pid} (alembic) is migrating this database without the migration lock" in finding["message"]
        given_up = magetui("--config", project.ini, "migrate", "--yes", "--lock-timeout-seconds", "0.5")
        assert given_up.status == 5, given_up
        named = f"Session {pid} (alembic) migrates without the migration lock and did not end within 0.5 s"
        assert f"{named}; it is idle in a transaction." in given_up.stdout
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", "--lock-timeout-seconds", 60))
        live.hears(rf"blocker: {pid}  mage  alembic")
        with other.cursor() as cursor:
            cursor.execute("UPDATE alembic_version SET version_num = 'rev2'")
        other.commit()
        done = live.end()
    assert done.status == 0, done
    assert pg_database.current == ["rev2"]
