"""Runs that end in ways nobody plans: what is said of them is what the database proves."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from magetui.engine.runs import follow, start
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase
from tests.support.forked import REAL_STARTS
from tests.support.live import Live
from tests.support.readings import make_plan

pytestmark = pytest.mark.slow

FORKS = """
import os
if os.fork() == 0:
    open({pid!r}, "a").write(f"{{os.getpid()}}\\n")
    import time
    time.sleep(120)
    os._exit(0)
"""
LINGERS = """
import threading, time
threading.Thread(target=time.sleep, args=(120,)).start()
"""


def second(lines: str) -> Revision:
    return Revision("rev2", "rev1", "Second", lines)


def at_rev1(magetui: Magetui, folder: Path, database: Database, lines: str) -> AlembicProject:
    project = make_project(folder / "project", (*linear(1), second(lines)), database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    return project


@pytest.mark.parametrize("changed", ["a script", "env.py"])
def test_a_deployment_between_the_plan_and_the_run_is_refused(
    magetui: Magetui, database: Database, tmp_path: Path, changed: str
) -> None:
    project = at_rev1(magetui, tmp_path, database, 'op.add_column("t1", sa.Column("more", sa.Integer))')
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    plan = make_plan(workspace, "migrate", None)
    if changed == "a script":
        file = project.add(second('op.drop_table("t1")'))
    else:
        file = project.directory / "migrations" / "env.py"
        file.write_text(f"{file.read_text()}\nprint('new')\n")
    before = database.content
    started = start.start_run(workspace, plan, start.Limits())
    *_, record = follow.follow_run(os.environ, started)
    assert record.outcome == "refused"
    assert f"{file.name} changed since the plan was made" in (record.error or "")
    assert "Nothing was done." in (record.error or "")
    assert database.content == before


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
        ("raise SystemExit(3)", "status 3"),
        ("raise BaseException('odd')", "BaseException: odd"),
    ],
)
def test_a_script_that_raises_what_is_no_exception_has_failed_with_its_line(
    magetui: Magetui, database: Database, tmp_path: Path, lines: str, named: str
) -> None:
    project = at_rev1(magetui, tmp_path, database, f'op.create_table("t2", sa.Column("id", sa.Integer))\n{lines}')
    before = database.content
    done = magetui("--config", project.ini, "migrate", "--yes")
    assert done.status == 1, done
    said = " ".join(done.stdout.split())
    assert "Failed." in said and named in said, done
    assert "rev2_second.py, line" in said
    assert "The database is unchanged." in said
    assert database.content == before


def test_a_rollback_in_a_scripts_sql_is_no_commit(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    project = at_rev1(
        magetui,
        tmp_path,
        pg_database,
        'op.create_table("t2", sa.Column("id", sa.Integer))\nop.execute("ROLLBACK")\nraise ValueError("stop")',
    )
    before = pg_database.content
    done = magetui("--config", project.ini, "migrate", "--yes")
    said = " ".join(done.stdout.split())
    assert "Part of it was committed" not in said, done
    assert "The database is unchanged." in said, done
    assert pg_database.content == before


def test_a_run_that_nobody_could_read_back_is_not_done(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    """The run's own last statement changes the password, so that nobody can look afterwards."""
    pg_database.rows("create role shut_out login superuser password 'before'")
    url = make_url(pg_database.url).set(username="shut_out", password="before").render_as_string(hide_password=False)
    project = at_rev1(magetui, tmp_path, pg_database, "op.execute(\"alter role shut_out password 'after'\")")
    try:
        done = magetui("--config", project.ini, "--url", url, "migrate", "--yes")
        assert done.status == 1, done
        assert "Done." not in done.stdout, done
        assert "it is not known whether their changes are there" in " ".join(done.stdout.split()), done
    finally:
        pg_database.rows("drop role shut_out")


def test_a_password_that_expires_during_a_run_is_told_and_nothing_is_claimed(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    pg_database.rows("create role tired login superuser password 'before'")
    url = make_url(pg_database.url).set(username="tired", password="before").render_as_string(hide_password=False)
    project = at_rev1(magetui, tmp_path, pg_database, 'op.add_column("t1", sa.Column("more", sa.Integer))')
    limits = ("--lock-timeout-seconds", 2, "--lock-retries", 3)
    try:
        with pg_database.session("lock table t1 in access share mode"):
            live = Live(magetui.start("--config", project.ini, "--url", url, "migrate", "--yes", *limits))
            live.hears("WAITING")
            pg_database.rows("alter role tired valid until '2000-01-01'")
            done = live.end()
    finally:
        pg_database.rows("drop role tired")
    said = " ".join(done.stdout.split())
    assert done.status == 5, done
    assert "No retry: the database cannot be read:" in said and "password authentication failed" in said, done
    assert "current not read back (was rev1, wanted rev2)" in said, done
    assert "unchanged" not in said, done


@pytest.mark.parametrize(
    "lines", ["op.execute('{}')", "with op.get_context().autocommit_block():\n    op.execute('{}')"]
)
def test_a_connection_that_broke_is_told_as_that_and_not_as_what_followed_from_it(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path, lines: str
) -> None:
    project = at_rev1(magetui, tmp_path, pg_database, lines.format("select pg_terminate_backend(pg_backend_pid())"))
    done = magetui("--config", project.ini, "migrate", "--yes", "--json")
    assert done.json["outcome"] == "lost", done
    assert "PendingRollbackError" not in (done.json["error"] or ""), done
    assert done.json["current_after"] == ["rev1"]


def test_a_timeout_of_transactions_that_a_database_has_does_not_end_a_migration(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    pg_database.rows(f"alter database {pg_database.name} set transaction_timeout = '1500ms'")
    project = at_rev1(magetui, tmp_path, pg_database, "op.execute('select pg_sleep(3)')")
    done = magetui("--config", project.ini, "migrate", "--yes")
    assert done.status == 0, done
    assert pg_database.current == ["rev2"]


@pytest.fixture
def left_behind(tmp_path: Path) -> Iterator[Path]:
    """The file into which processes that outlive their parents write their pids. They are ended after the test."""
    file = tmp_path / "pids"
    file.touch()
    yield file
    for pid in file.read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize("what", ["a process", "a thread"])
def test_what_env_py_leaves_running_keeps_nobody_waiting(
    magetui: Magetui,
    database: Database,
    tmp_path: Path,
    left_behind: Path,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(REAL_STARTS, "1")
    project = at_rev1(magetui, tmp_path, database, 'op.add_column("t1", sa.Column("more", sa.Integer))')
    env = project.directory / "migrations" / "env.py"
    text = FORKS.format(pid=str(left_behind)) if what == "a process" else LINGERS
    # The text does not tell which version table it configures, so that it is run to find out, too.
    table = 'context.configure(connection=connection, version_table="".join(["alembic", "_version"]))'
    env.write_text(text + env.read_text().replace("context.configure(connection=connection)", table))
    assert magetui("--config", project.ini, "diagnose", timeout=50).status == 3
    done = magetui("--config", project.ini, "migrate", "--yes", timeout=50)
    assert done.status == 0, done
    [run] = magetui("--config", project.ini, "runs", "--json").json["runs"][:1]
    assert run["outcome"] == "done"
    cancelled = magetui("--config", project.ini, "runs", str(run["run"]), "--cancel")
    assert "has already ended" in cancelled.stderr, cancelled
