"""Hosts that lack what a program takes for granted: names, homes, streams, directories, rights."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from sqlalchemy.engine import make_url

from tests.support.alembic_project import AlembicProject, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase

pytestmark = pytest.mark.slow

VERBS = (("diagnose",), ("plan", "migrate"), ("history",), ("schema",), ("locks",), ("runs",), ("migrate", "--yes"))
# Only root could become a user without a name, so the table of users is empty for the program and its child.
NAMELESS = """
import pwd
def nobody(_uid):
    raise KeyError("getpwuid(): uid not found: 1000680000")
pwd.getpwuid = nobody
"""
NAMING = ("XDG", "HOME", "USER", "LOGNAME", "LNAME", "USERNAME")


@pytest.fixture
def project(tmp_path: Path, sqlite_database: SqliteDatabase) -> AlembicProject:
    return make_project(tmp_path / "project", linear(2), sqlite_database.url)


def run(*words: object, cwd: Path, env: Mapping[str, str] | None = None, shell: str = "") -> CompletedProcess[str]:
    """Run a command as a shell does, with `shell` after it."""
    command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *map(str, words)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_a_user_without_a_name_and_a_home_as_in_a_container(project: AlembicProject, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NAMELESS)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NAMING)} | {
        "PYTHONPATH": str(tmp_path / "site"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    for verb in VERBS:
        done = run(*Magetui.command("--config", project.ini, *verb), cwd=tmp_path, env=environment)
        assert "Traceback" not in done.stderr, (verb, done)
        assert done.returncode in (0, 3), (verb, done)
    shown = run(*Magetui.command("runs", "1"), cwd=tmp_path, env=environment)
    assert f"uid {os.getuid()}" in shown.stdout, shown


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_as_a_daemon_leaves_them(
    project: AlembicProject, sqlite_database: SqliteDatabase, tmp_path: Path, closed: str
) -> None:
    for verb in VERBS:
        done = run(*Magetui.command("--config", project.ini, *verb), cwd=tmp_path, shell=closed)
        assert "Traceback" not in done.stderr, (verb, done)
        assert done.returncode in (0, 3), (verb, done)
    assert sqlite_database.current == ["rev2"]


def test_a_deleted_working_directory_is_said_to_be_one(project: AlembicProject, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = " ".join(Magetui.command("--config", project.ini, "diagnose"))
    done = run("/bin/sh", "-c", f"rmdir {gone}; {words}", cwd=gone)
    assert done.returncode == 2, done
    assert done.stderr == "magetui: The current directory has been deleted. Change to one that exists, and try again.\n"


def test_a_relative_directory_for_records_is_ignored(project: AlembicProject, tmp_path: Path, state_dir: Path) -> None:
    words = Magetui.command("--config", project.ini, "migrate", "--yes")
    done = run(*words, cwd=tmp_path, env={**os.environ, "XDG_STATE_HOME": "records"})
    assert done.returncode == 0, done
    assert not (tmp_path / "records").exists()
    assert not (project.directory / "records").exists()
    assert (Path(os.environ["HOME"]) / ".local" / "state" / "magetui" / "runs" / "1.jsonl").is_file()


@pytest.mark.parametrize("view", ["pg_stat_activity", "pg_locks"])
def test_a_role_that_may_not_see_sessions_still_reads_and_migrates(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path, view: str
) -> None:
    pg_database.rows(f"revoke select on pg_catalog.{view} from public")
    pg_database.rows("create role plain login password 'plain'; grant all on schema public to plain")
    try:
        url = make_url(pg_database.url).set(username="plain", password="plain")
        made = make_project(tmp_path / "hidden", linear(2), url.render_as_string(hide_password=False))
        for verb in VERBS:
            done = magetui("--config", made.ini, *verb)
            assert "Traceback" not in done.stderr, (verb, done)
            assert done.status in (0, 3, 4) if verb == ("locks",) else done.status in (0, 3), (verb, done)
        assert pg_database.current == ["rev2"]
    finally:
        pg_database.rows("drop owned by plain; drop role plain")
