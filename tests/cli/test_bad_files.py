"""A database file, version table or state directory that cannot be used is told, and is left as it was."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject
from tests.support.command import Magetui, Outcome
from tests.support.complaints import MIGRATE, ROLLBACK, STAMP, cannot_connect, nothing_begun
from tests.support.complaints import output as told
from tests.support.databases import PostgresDatabase, SqliteDatabase

pytestmark = pytest.mark.slow

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2


# -- the file


def test_file_that_is_not_a_database(magetui: Magetui, project: AlembicProject, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("These are the notes of the meeting.\n" * 100)
    before = file.read_bytes()
    url = f"sqlite:///{file}"
    cannot_connect(
        magetui, project.ini, url, "not-a-database", str(file), "the file is not a database, or it is damaged"
    )
    assert file.read_bytes() == before
    nothing_begun()


def test_folder_that_does_not_exist(magetui: Magetui, project: AlembicProject, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/nowhere/data.db"
    sentence = f"There is no folder {tmp_path}/nowhere for the database data.db."
    cannot_connect(magetui, project.ini, url, "no-database", sentence)
    assert not (tmp_path / "nowhere").exists()


def test_file_that_may_not_be_written(
    ordinary: Callable[..., Outcome],
    magetui: Magetui,
    project: AlembicProject,
    sqlite_database: SqliteDatabase,
) -> None:
    common = ("--config", project.ini, "--url", sqlite_database.url)
    assert magetui(*common, "migrate", "--revision", "rev2", "--yes").status == 0
    sqlite_database.path.chmod(0o400)
    before = sqlite_database.content
    found = ordinary(*common, "diagnose", "--json")
    assert found.status == 3, found
    assert [f["code"] for f in found.json["findings"]] == ["behind", "server-read-only"]
    assert f"You may read the file {sqlite_database.path} but not write it." in told(found)
    failed = ordinary(*common, *MIGRATE)
    assert failed.status == 4, failed
    assert f"You may read the file {sqlite_database.path} but not write it. Nothing was changed." in told(failed)
    assert sqlite_database.content == before


def test_file_that_may_not_be_read(
    ordinary: Callable[..., Outcome],
    magetui: Magetui,
    project: AlembicProject,
    sqlite_database: SqliteDatabase,
) -> None:
    common = ("--config", project.ini, "--url", sqlite_database.url)
    assert magetui(*common, *MIGRATE).status == 0
    sqlite_database.path.chmod(0)
    found = ordinary(*common, "diagnose", "--json")
    assert found.status == 3, found
    assert found.json["findings"][0]["facts"]["cause"] == "not-readable"
    failed = ordinary(*common, *ROLLBACK)
    assert failed.status == 1, failed
    for outcome in (found, failed):
        assert f"You may not read the file {sqlite_database.path}." in told(outcome)


def test_lock_file_of_another_user_does_not_make_the_database_unreachable(
    ordinary: Callable[..., Outcome], magetui: Magetui, project: AlembicProject, sqlite_database: SqliteDatabase
) -> None:
    common = ("--config", project.ini, "--url", sqlite_database.url)
    assert magetui(*common, *MIGRATE).status == 0
    lock = Path(f"{sqlite_database.path}.magetui-lock")
    lock.touch(mode=0)
    found = ordinary(*common, "diagnose", "--json")
    assert "migration-running" in [finding["code"] for finding in found.json["findings"]], found
    assert f"somebody (the lock file {lock} is not yours to read)." in told(found)


@pytest.fixture
def ordinary(magetui: Magetui) -> Callable[..., Outcome]:
    """Runs the command line without root's right to pass over permissions, where it is root who tests."""

    def run(*arguments: object, env: Mapping[str, str] | None = None) -> Outcome:
        process = subprocess.run(
            magetui.command(*arguments),
            cwd=magetui.directory,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            preexec_fn=become_ordinary if os.geteuid() == 0 else None,
        )
        return Outcome(process.returncode, process.stdout, process.stderr)

    return run


def become_ordinary() -> None:
    """Take from the program that is started next what lets root pass over permissions (capabilities(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "the capability could not be dropped")


def test_root_without_its_rights_is_ordinary(tmp_path: Path) -> None:
    """What the tests of permissions rest on."""
    file = tmp_path / "closed"
    file.touch(mode=0o400)
    subprocess.run(
        [sys.executable, "-c", "import os, sys; sys.exit(os.access(sys.argv[1], os.W_OK))", str(file)],
        check=True,
        preexec_fn=become_ordinary if os.geteuid() == 0 else None,
    )


# -- the version table


@pytest.mark.parametrize("columns", ["version text", "version_no varchar(32)", "id integer, at text"])
def test_version_table_with_a_wrong_column(
    magetui: Magetui, project: AlembicProject, sqlite_database: SqliteDatabase, columns: str
) -> None:
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.execute(f"create table alembic_version ({columns})")
    before = sqlite_database.content
    refuses_version_table(magetui, project, sqlite_database.url)
    assert sqlite_database.content == before
    nothing_begun()


def test_version_table_with_a_wrong_column_on_a_server(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase
) -> None:
    pg_database.rows("CREATE TABLE alembic_version (version text)")
    before = pg_database.content
    refuses_version_table(magetui, project, pg_database.url)
    assert pg_database.content == before
    nothing_begun()


def refuses_version_table(magetui: Magetui, project: AlembicProject, url: str) -> None:
    common = ("--config", project.ini, "--url", url)
    found = magetui(*common, "diagnose", "--json")
    assert found.status == 3, found
    [finding] = [f for f in found.json["findings"] if f["severity"] == "critical"]
    assert finding["code"] == "unreadable-version-table"
    assert "The version table alembic_version cannot be read: " in told(found)
    for verb in (MIGRATE, ROLLBACK, STAMP):
        refused = magetui(*common, *verb)
        assert refused.status == 4, refused
        assert "Nothing can be planned." in told(refused)


# -- the state directory


@pytest.mark.parametrize("place", ["a-file", "closed"])
def test_state_directory_that_cannot_be_written(
    ordinary: Callable[..., Outcome], project: AlembicProject, sqlite_database: SqliteDatabase, place: str
) -> None:
    home = sqlite_database.path.with_name(place)
    if place == "a-file":
        home.write_text("not a folder")
    else:
        home.mkdir(mode=0o500)
    env, common = {"XDG_STATE_HOME": str(home)}, ("--config", project.ini, "--url", sqlite_database.url)
    for verb in (MIGRATE, STAMP):
        outcome = ordinary(*common, *verb, env=env)
        assert outcome.status == 1, outcome
        assert f"The record of runs cannot be written in {home}/magetui/runs" in told(outcome)
        assert "Nothing was done. Set XDG_STATE_HOME to a directory that you may write." in told(outcome)
        assert not sqlite_database.path.exists()
    assert ordinary(*common, "diagnose", env=env).status == 3


def test_journal_of_another_user_is_passed_over_in_the_list(
    ordinary: Callable[..., Outcome], magetui: Magetui, project: AlembicProject, sqlite_database: SqliteDatabase
) -> None:
    common = ("--config", project.ini, "--url", sqlite_database.url)
    assert magetui(*common, "migrate", "--revision", "rev1", "--yes").status == 0
    assert magetui(*common, *MIGRATE).status == 0
    directory = Path(os.environ["XDG_STATE_HOME"], "magetui", "runs")
    for name in ("1.jsonl", "1.summary"):
        (directory / name).chmod(0)
    listed = ordinary("runs", "--json")
    assert listed.status == 0, listed
    assert [run["run"] for run in listed.json["runs"]] == [2]
    asked = ordinary("runs", 1)
    assert asked.status == 1, asked
    assert f"The record of runs cannot be read in {directory}: Permission denied." in told(asked)
    assert "Set XDG_STATE_HOME to a directory that you may read." in told(asked)


@pytest.mark.parametrize("mode", [0, 0o300, 0o600])
def test_state_directory_that_cannot_be_read(
    ordinary: Callable[..., Outcome],
    magetui: Magetui,
    project: AlembicProject,
    sqlite_database: SqliteDatabase,
    mode: int,
) -> None:
    assert magetui("--config", project.ini, "--url", sqlite_database.url, *MIGRATE).status == 0
    directory = Path(os.environ["XDG_STATE_HOME"], "magetui", "runs")
    directory.chmod(mode)
    try:
        listed = ordinary("runs")
        assert listed.status == 1 if mode != 0o600 else listed.stdout == "no runs on record\n", listed
        asked = ordinary("runs", 1)
        assert asked.status == (0 if mode == 0o300 else 1), asked  # it may be opened by its name
        told(asked)
    finally:
        directory.chmod(0o700)
    assert mode == 0o600 or f"The record of runs cannot be read in {directory}: Permission denied." in told(listed)
