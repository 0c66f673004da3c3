"""Long runs on the run screen: how far they have come, a line that drops on either side, and the report of it all."""

from __future__ import annotations

import base64
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.gate import HALF, REWRITE, begun_project, closed_gate, gated_project
from tests.support.journals import journal, named, wait_for_statement
from tests.support.proxy import StallingProxy, through
from tests.support.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.conftest import ASKED, NAME_ASKED, OpenScreen, agree, choose, consent, waited

pytestmark = pytest.mark.slow

# Of a rewrite nothing is told in its first second.
GATED = f"""
CREATE OR REPLACE FUNCTION gated(id integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF id = 1 THEN PERFORM pg_sleep(1.1); END IF;
  IF id = {HALF} THEN PERFORM public.gate(); END IF;
  RETURN id;
END $$
"""


@pytest.fixture
def project(pg_database: PostgresDatabase, magetui: Magetui, tmp_path: Path) -> AlembicProject:
    """A large table exists, and is to be rewritten by run 2."""
    return begun_project(tmp_path / "project", pg_database, magetui)


def migrate(terminal: Terminal, *keys: str) -> None:
    """From the main screen, migrate to the head, with `keys` pressed on the plan before the consent."""
    terminal.wait_for("BEHIND BY")
    terminal.press("m")
    named = re.search(rf"{NAME_ASKED}:\s+(\S+)", terminal.wait_for(rf"{ASKED}|{NAME_ASKED}:\s+\S+"))
    if named is not None and keys:  # it overwrites values, so the name's field has the focus
        terminal.press("tab")
    terminal.wait_for("i Options" if keys else "esc Close")
    terminal.press(*keys)
    if named is None:
        agree(terminal)
        return
    if keys:
        terminal.press("tab")
        terminal.wait_gone("i Options")
    consent(terminal, named[1])
    terminal.wait_for(r"Run \d+ · migrate")


def whole(state_dir: Path) -> None:
    """The journal of run 2 tells one unbroken story: everything that began has ended, once and in its order."""
    story = [
        (e["event"], e.get("number")) for e in journal(state_dir, 2) if e["event"].endswith(("-started", "-ended"))
    ]
    assert story[0] == ("run-started", None)
    assert story[-1] == ("run-ended", None)
    for kind in ("step", "statement"):
        of_kind = [one for one in story if one[0].startswith(kind)]
        expected = [(f"{kind}-{end}", number) for _, number in of_kind[::2] for end in ("started", "ended")]
        assert of_kind == expected
    assert [number for name, number in story if name == "step-ended"] == [1, 2]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "CREATE INDEX big_gated ON big (gated(id))",
            r"building index on big +█+░+ +\d\d % +[\d,]+ of [\d,]+ blocks +scanning\s+table",
        ),
        (
            "ALTER TABLE big ALTER COLUMN name TYPE text USING name || gated(id)",
            r"rewriting table on big +█+░+ +about \d\d %, an estimate +[\d.]+ [kM]B of [\d.]+ [kM]B",
        ),
    ],
    ids=["index", "rewrite"],
)
def test_a_long_statement_shows_how_far_it_has_come_and_how_long_it_took_before(
    pg_database: PostgresDatabase,
    magetui: Magetui,
    tmp_path: Path,
    open_terminal: OpenScreen,
    statement: str,
    said: str,
) -> None:
    project = gated_project(tmp_path / "project", pg_database)
    project.add(Revision("rev4", "rev3", "Make big better", f"op.execute({GATED!r})\nop.execute({statement!r})"))
    first = magetui("--config", project.ini, "migrate", "--yes")
    assert first.status == 0, first
    pg_database.rows("UPDATE alembic_version SET version_num = 'rev3'")  # to do it once more
    pg_database.rows("DROP INDEX IF EXISTS big_gated")
    with closed_gate(pg_database) as gate:
        terminal = open_terminal("--config", project.ini, size=(100, 24))
        migrate(terminal)
        terminal.wait_for(said)
        terminal.wait_for(r"▶ rev4 +Make big better +█+ +running +\d+\.0 s +took [\d.]+ m?s in run 1")
        gate.rollback()
        terminal.wait_for(r"DONE\s+Current revision: rev4")
        assert "░" not in terminal.screen(), "no bar of the progress any more"


def test_the_terminal_hangs_up_during_a_long_statement_and_another_follows_the_run_to_its_end(
    pg_database: PostgresDatabase, project: AlembicProject, state_dir: Path, open_terminal: OpenScreen
) -> None:
    with closed_gate(pg_database) as gate:
        terminal = open_terminal("--config", project.ini)
        migrate(terminal)
        wait_for_statement(state_dir, REWRITE, run=2)
        before = (state_dir / "runs" / "2.jsonl").read_bytes()
        terminal.hang_up()
        terminal.wait_exit()
        again = open_terminal("--config", project.ini)
        again.wait_for(r"Run 2 \(migrate\) continues")
        again.press("u")
        again.wait_for("2 on record")
        again.press("enter")
        again.wait_for(r"▶ rev2 +Rewrite big")
        gate.rollback()
        again.wait_for(r"DONE\s+Current revision: rev3")
    assert pg_database.current == ["rev3"]
    assert (state_dir / "runs" / "2.jsonl").read_bytes().startswith(before)
    whole(state_dir)


def killed(terminal: Terminal) -> None:
    os.kill(terminal.pid, signal.SIGKILL)


@pytest.mark.parametrize("drop", [Terminal.hang_up, killed], ids=["hung-up", "killed"])
def test_a_run_that_is_to_be_cancelled_when_the_line_drops_is_cancelled_then(
    pg_database: PostgresDatabase,
    magetui: Magetui,
    project: AlembicProject,
    state_dir: Path,
    open_terminal: OpenScreen,
    drop: Callable[[Terminal], None],
) -> None:
    before = pg_database.content
    with closed_gate(pg_database):
        terminal = open_terminal("--config", project.ini)
        migrate(terminal, "h")
        wait_for_statement(state_dir, REWRITE, run=2)
        drop(terminal)
        terminal.wait_exit()
        eventually(lambda: named(journal(state_dir, 2), "run-ended"), 20)
    told = magetui("--config", project.ini, "runs", 2)
    assert "Cancelled. The program that started the run was gone, and on-disconnect was set to cancel." in told.stdout
    assert "The database is unchanged. Current revision: rev1." in told.stdout
    assert pg_database.content == before
    again = open_terminal("--config", project.ini)
    again.wait_for("BEHIND BY 2")
    again.press("4")
    again.wait_for("run 2: cancelled")
    assert "continues" not in again.screen()


def test_a_server_that_falls_silent_is_told_until_it_answers_and_the_run_is_done(
    pg_database: PostgresDatabase,
    project: AlembicProject,
    state_dir: Path,
    proxy: StallingProxy,
    open_terminal: OpenScreen,
) -> None:
    with closed_gate(pg_database) as gate:
        terminal = open_terminal("--config", through(project, pg_database, proxy))
        migrate(terminal)
        wait_for_statement(state_dir, REWRITE, run=2)
        proxy.stall()
        terminal.wait_for(r"NO ANSWER +the server has not answered since \d\d:\d\d:\d\d; the run gives up", 30)
        gate.rollback()  # the server goes on, unheard
        proxy.resume()
        terminal.wait_gone("NO ANSWER", 30)
        terminal.wait_for(r"DONE\s+Current revision: rev3", 30)
    assert pg_database.current == ["rev3"]
    whole(state_dir)


def test_a_server_that_is_gone_for_good_ends_the_run_as_lost_and_the_screen_says_that_it_does_not_know(
    pg_database: PostgresDatabase,
    project: AlembicProject,
    state_dir: Path,
    proxy: StallingProxy,
    open_terminal: OpenScreen,
) -> None:
    before = pg_database.content
    with closed_gate(pg_database):
        terminal = open_terminal("--config", through(project, pg_database, proxy))
        migrate(terminal)
        wait_for_statement(state_dir, REWRITE, run=2)
        proxy.stall()
        terminal.wait_for("NO ANSWER", 30)
        proxy.cut()
        terminal.wait_for(r"LOST +the connection broke at [\d:]{8}", 30)
        lost = r"The\s+connection\s+to\s+the\s+server\s+was\s+lost: .*The\s+current\s+revision\s+could\s+not"
        screen = terminal.wait_for(f"^ LOST.*{lost}", 60)
        assert "NO ANSWER" not in screen
        assert re.search(r"✗ rev2 +Rewrite big +stopped", screen)
    [ended] = named(journal(state_dir, 2), "run-ended")
    assert (ended["outcome"], ended["current"]) == ("lost", None)
    eventually(lambda: pg_database.content == before, 20)


def test_the_report_of_a_run_is_written_to_a_new_private_file_and_copied(
    pg_database: PostgresDatabase, magetui: Magetui, project: AlembicProject, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    terminal = open_terminal("--config", project.ini)
    migrate(terminal)
    terminal.wait_for(r"w writes the report of this run to a file; y copies the report")
    terminal.press("w")
    terminal.wait_for("Report written to")
    [path] = tmp_path.glob("magetui-run-2-*.txt")
    assert path.stat().st_mode & 0o777 == 0o600
    said = magetui("--config", project.ini, "runs", 2, "--report").stdout
    assert path.read_text() == said
    assert "step 1 of 2: upgrade rev2  Rewrite big" in said
    terminal.press("y")
    terminal.wait_for("Report copied")
    [copied] = re.findall(rb"\x1b\]52;c;([^\x07\x1b]*)", terminal.output)
    assert base64.b64decode(copied).decode() == said


def test_a_locked_sqlite_file_shows_the_process_that_has_it_and_the_time_left(open_terminal: OpenScreen) -> None:
    terminal = open_terminal("demo", "locked")
    terminal.wait_for("UP TO DATE")
    terminal.press("b")
    terminal.wait_for("1 step")
    pid = re.search(r"(\d+)  \S+  python  writing", terminal.wait_for(NAME_ASKED))
    assert pid is not None
    choose(terminal, "-1", 60)
    consent(terminal, "scheduler.db")
    eventually(lambda: waited(terminal, 60) >= 3, 30)
    screen = terminal.wait_for("└─ this run")
    for pattern in (
        r"WAITING +for write lock on the database file",
        r"^ PID +APPLICATION +STATE +BLOCKS +LOCK$",
        rf"^ {pid[1]} +python +holds a lock +1 +scheduler\.db WRITE",
        r"└─ this run +waiting",
    ):
        assert re.search(pattern, screen, re.MULTILINE), f"{pattern}\n{screen}"
    os.kill(int(pid[1]), signal.SIGKILL)
    terminal.wait_for(r"DONE\s+Current revision: c46b8f03e7d1")
