"""The line drops: between the operator and the run, or between the run and its server, for a while or for good."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from magetui.engine.runs import start
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.server import Timeouts
from tests.support.alembic_project import AlembicProject, Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.gate import REWRITE, ROWS, begun_project, closed_gate
from tests.support.journals import journal, named, wait_for_statement
from tests.support.live import Live
from tests.support.proxy import StallingProxy, through
from tests.support.readings import make_plan
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

REWRITTEN_ROWS = f"SELECT count(*) FROM big WHERE name LIKE '%!' AND extra = id HAVING count(*) = {ROWS}"
# What the server does with a line is the same in every version, and these take their time.


@pytest.fixture
def project(pg_database: PostgresDatabase, magetui: Magetui, tmp_path: Path) -> AlembicProject:
    """A large table exists and is to be rewritten next."""
    return begun_project(tmp_path / "project", pg_database, magetui)


def wait_for(state_dir: Path, name: str, timeout: float = 60) -> dict[str, object]:
    """Wait until the journal of run 2 has such an event."""
    return eventually(lambda: named(journal(state_dir, 2), name), timeout, lambda: str(journal(state_dir, 2)))[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP], ids=["killed", "hung-up"])
def test_run_that_is_to_be_cancelled_then_is_cancelled_when_its_command_line_dies(
    pg_database: PostgresDatabase,
    magetui: Magetui,
    state_dir: Path,
    project: AlembicProject,
    number: signal.Signals,
) -> None:
    before = pg_database.content
    with closed_gate(pg_database):
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", "--on-disconnect", "cancel"))
        wait_for_statement(state_dir, REWRITE, run=2)
        live.interrupt(number)
        assert live.end().status == -number
        wait_for(state_dir, "line-dropped")
        ended = wait_for(state_dir, "run-ended")
    assert ended["outcome"] == "cancelled"
    assert pg_database.content == before
    told = magetui("--config", project.ini, "runs", 2)
    assert "Cancelled. The program that started the run was gone, and on-disconnect was set to cancel." in told.stdout
    assert "The database is unchanged. Current revision: rev1." in told.stdout


def test_ctrl_c_is_still_a_cancel_and_no_dropped_line(
    pg_database: PostgresDatabase, magetui: Magetui, state_dir: Path, project: AlembicProject
) -> None:
    with closed_gate(pg_database):
        live = Live(magetui.start("--config", project.ini, "migrate", "--yes", "--on-disconnect", "cancel"))
        wait_for_statement(state_dir, REWRITE, run=2)
        live.interrupt()
        assert live.end().status == 130
    assert not named(journal(state_dir, 2), "line-dropped")


def test_network_that_is_silent_for_a_while_delays_a_run_and_loses_nothing(
    pg_database: PostgresDatabase,
    magetui: Magetui,
    state_dir: Path,
    project: AlembicProject,
    proxy: StallingProxy,
) -> None:
    with closed_gate(pg_database) as gate:
        flags = ("--config", through(project, pg_database, proxy))
        live = Live(magetui.start(*flags, "migrate", "--yes"))
        wait_for_statement(state_dir, REWRITE, run=2)
        proxy.stall()
        live.hears("the server has not answered since", timeout=60)
        proxy.resume()
        live.hears("the server answers again", timeout=60)
        gate.rollback()
        ended = live.end()
    assert ended.status == 0, ended
    assert "Done. Current revision: rev3." in ended.stdout
    assert pg_database.current == ["rev3"]
    assert pg_database.rows(REWRITTEN_ROWS)


def test_network_that_is_cut_after_a_silence_is_not_said_to_answer_again(
    pg_database: PostgresDatabase,
    magetui: Magetui,
    state_dir: Path,
    project: AlembicProject,
    proxy: StallingProxy,
) -> None:
    with closed_gate(pg_database):
        live = Live(magetui.start("--config", through(project, pg_database, proxy), "migrate", "--yes"))
        wait_for_statement(state_dir, REWRITE, run=2)
        proxy.stall()
        live.hears("the server has not answered since", timeout=60)
        proxy.cut()
        ended = live.end()
    assert ended.status == 1, ended
    assert "The connection to the server was lost: " in ended.stdout
    assert "answers again" not in ended.stderr


def test_network_that_is_silent_for_good_ends_a_run_as_lost_and_its_record_says_what_is_left(
    pg_database: PostgresDatabase,
    magetui: Magetui,
    state_dir: Path,
    project: AlembicProject,
    proxy: StallingProxy,
) -> None:
    before = pg_database.content
    ini = through(project, pg_database, proxy)
    workspace = Workspace(Selection(config=str(ini), trust=True), {**os.environ})
    with closed_gate(pg_database):
        plan = make_plan(workspace, "migrate", None)
        started = start.start_run(workspace, plan, start.Limits(Timeouts(silence_ms=1_000)))
        session = wait_for_statement(state_dir, REWRITE, run=2)["session"]
        proxy.stall()
        assert wait_for(state_dir, "server-fell-silent")
        lost = wait_for(state_dir, "run-ended", timeout=120)
        started.process.wait(30)
        assert lost["outcome"] == "lost"
        assert lost["current"] is None  # who cannot be asked has not answered
        proxy.resume()  # the network is mended: now it can be asked
        gone = f"SELECT 1 FROM pg_stat_activity WHERE pid = {session}"
        eventually(lambda: not pg_database.rows(gone), 30)
        told = magetui("--config", ini, "runs", 2)
        assert "The connection to the server was lost: " in told.stdout
        assert "Current revision: rev1." in told.stdout
    assert pg_database.content == before


def test_connection_that_cannot_be_made_while_a_statement_runs_does_not_end_it(
    sqlite_database: SqliteDatabase, magetui: Magetui, state_dir: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "no such directory" / "elsewhere.db"
    meanwhile = Revision(
        id="rev2",
        down="rev1",
        message="Fill t1",
        upgrade=f"""\
def not_connected():
    try:
        sa.create_engine("sqlite:///{elsewhere}").connect()
    except sa.exc.OperationalError:
        return "not connected"
op.get_bind().connection.create_function("elsewhere", 0, not_connected)
op.execute("INSERT INTO t1 (id, name) SELECT 1, elsewhere()")""",
    )
    project = make_project(tmp_path / "project", (table(1), meanwhile), sqlite_database.url)
    done = magetui("--config", project.ini, "migrate", "--yes")
    assert done.status == 0, done
    assert sqlite_database.rows("SELECT name FROM t1") == [("not connected",)]
    events = journal(state_dir)
    [began] = [e for e in named(events, "statement-started") if "elsewhere()" in e["sql"]]
    assert began["number"] in [e["number"] for e in named(events, "statement-ended")]
