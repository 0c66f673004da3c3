"""Runs that do not want to stop: handlers of signals, endless Python code, sleep, and what a third ctrl+c does."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.journals import journal, named
from tests.support.live import Live
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

CANCELLED = 130
# What env.py does with signals before the migration runs.
HANDLERS = {
    "nothing": "",
    "ignores them": "for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)",
    "has its own": "for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, lambda *_: print('not now'))",
    "wakes another": "signal.set_wakeup_fd(-1)",
    "blocks them": "signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))",
}
# What a script does when it is to stop.
WAYS = {
    "loops": "number = 0\nwhile True:\n    number += 1",
    "sleeps": "import time\ntime.sleep(600)",
    "catches": "import time\nwhile True:\n    try:\n        time.sleep(0.1)\n    except Exception:\n        pass",
    "computes": "import time\ndef helper():\n    return sum(range(100_000))\nwhile True:\n    helper()",
}
# Two minutes, so that nothing is left of a test that fails.
NEVER = "import time\nend = time.time() + 120\nwhile time.time() < end:\n    try:\n        time.sleep(0.1)\n"
NEVER += "    except BaseException:\n        pass"


def stubborn(folder: Path, url: str, lines: str, handlers: str = "") -> AlembicProject:
    # What reads data is not followed when scripts are only read: no plan waits for the endless part.
    made = "op.create_table('half', sa.Column('id', sa.Integer))\nop.get_bind().execute(sa.text('select 1')).scalar()\n"
    made += "print('here it begins')\n"
    project = make_project(folder / "project", (Revision("rev1", None, "stay", made + lines, "pass"),), url)
    env_py = project.directory / "migrations" / "env.py"
    env_py.write_text(f"import signal\n{handlers}\n{env_py.read_text()}")
    return project


def at_work(state_dir: Path) -> None:
    eventually(lambda: "here it begins" in str(named(journal(state_dir), "output-printed")), 30)


@pytest.mark.parametrize(
    ("handlers", "way"),
    [
        *((handlers, "loops") for handlers in HANDLERS),
        *((handlers, way) for handlers in ("nothing", "ignores them") for way in WAYS if way != "loops"),
    ],
)
def test_a_run_stops_whatever_its_scripts_do_with_signals(
    magetui: Magetui, database: Database, state_dir: Path, tmp_path: Path, handlers: str, way: str
) -> None:
    project = stubborn(tmp_path, database.url, WAYS[way], HANDLERS[handlers])
    live = Live(magetui.start("--config", project.ini, "migrate", "--yes"))
    at_work(state_dir)
    live.interrupt()
    ended = live.end()
    assert ended.status == CANCELLED, ended
    assert "Cancelled. The database is unchanged." in ended.stdout
    assert "half" not in str(database.content)


def test_a_run_in_another_window_is_cancelled_whatever_env_py_does_with_signals(
    magetui: Magetui, sqlite_database: SqliteDatabase, state_dir: Path, tmp_path: Path
) -> None:
    project = stubborn(tmp_path, sqlite_database.url, WAYS["loops"], HANDLERS["ignores them"])
    process = magetui.start("--config", project.ini, "migrate", "--yes")
    at_work(state_dir)
    assert "Run 1 was asked to stop." in magetui("runs", 1, "--cancel").stderr
    assert magetui.finish(process).status == CANCELLED
    assert not list((state_dir / "runs").glob("*.cancel"))


def test_the_second_ctrl_c_says_what_is_left_and_the_third_ends_the_process(
    magetui: Magetui, pg_database: PostgresDatabase, state_dir: Path, tmp_path: Path
) -> None:
    project = stubborn(tmp_path, pg_database.url, NEVER)
    live = Live(magetui.start("--config", project.ini, "migrate", "--yes"))
    at_work(state_dir)
    live.interrupt()
    live.hears("cancelling")
    live.interrupt()
    live.hears("run 1 is still at step 1 of 1, upgrade rev1: code that is no SQL. ctrl.c again ends its process")
    live.interrupt()
    ended = live.end()
    assert ended.status == 1, ended
    assert "ended without a report" in ended.stdout
    assert pg_database.rows("select count(*) from pg_tables where tablename = 'half'") == [(0,)]


def test_x_on_the_screen_does_the_same(sqlite_database: SqliteDatabase, state_dir: Path, tmp_path: Path) -> None:
    project = stubborn(tmp_path, sqlite_database.url, NEVER)
    with Terminal(Magetui.command("--config", project.ini), (80, 24), {}, tmp_path) as terminal:
        terminal.wait_for("EMPTY DATABASE")
        terminal.press("m")
        terminal.wait_for(r"enter: yes   esc: no.*⏎ Do it")
        terminal.press("enter")
        at_work(state_dir)
        terminal.wait_for("x Cancel run")  # the run is in front: its process was faster than the screen
        terminal.press("x")
        terminal.wait_for("CANCELLING")
        terminal.press("x")
        terminal.wait_for("still at step 1 of 1")
        terminal.press("x")
        terminal.wait_for("LOST")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_to_the_screen_leaves_the_terminal_as_it_was(
    sqlite_database: SqliteDatabase, tmp_path: Path, number: signal.Signals
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    with Terminal(Magetui.command("--config", project.ini), (80, 24), {}, tmp_path) as terminal:
        terminal.wait_for("EMPTY DATABASE")
        os.kill(terminal.pid, number)
        assert terminal.wait_exit() == 128 + number
        assert terminal.modes_after == terminal.modes_before
        assert terminal.output.count(b"\x1b[?1049h") == terminal.output.count(b"\x1b[?1049l")
        assert b"Traceback" not in terminal.output
