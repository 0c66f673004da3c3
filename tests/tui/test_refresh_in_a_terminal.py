"""The main screen keeps itself up to date, and costs neither a byte nor a key's meaning where nothing happens."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.mage import HEAD
from tests.support.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.conftest import BEFORE_HEAD, OpenScreen, roll_back, set_back

pytestmark = pytest.mark.slow

# The program itself, but for how long it rests between two looks.
IMPATIENT = """
from magetui.tui.screens import main
main.REFRESH_SECONDS, main.REFRESH_FACTOR = 1.0, 1
from magetui.__main__ import main as start
start()
"""
STILL = 3  # seconds, in which it would look twice


@pytest.fixture
def terminal(mage: PostgresDatabase, mage_home: Path, tmp_path: Path) -> Iterator[Terminal]:
    """The program, open on `mage`, resting for a second between two looks."""
    command = [sys.executable, "-c", IMPATIENT, "--mage-path", str(mage_home)]
    with Terminal(command, (80, 24), {"MAGE_DATABASE_CONNECTION_URL": mage.url}, tmp_path) as opened:
        opened.wait_for("UP TO DATE")
        opened.wait_for(rf"▶ ● {HEAD}")
        yield opened


def looks_at(mage: PostgresDatabase) -> int:
    """How many sessions the database has had."""
    [(count,)] = mage.server.execute(
        "postgres", "SELECT sessions FROM pg_stat_database WHERE datname = %s", (mage.name,)
    )
    return int(count)


def few_looks(mage: PostgresDatabase) -> None:
    """Wait until the program has looked a few times more."""
    before = looks_at(mage)
    eventually(lambda: looks_at(mage) >= before + 3, 30)


def test_what_others_change_is_seen_without_a_key_and_until_then_nothing_is_drawn(
    mage: PostgresDatabase, terminal: Terminal
) -> None:
    terminal.press("j", "j")
    eventually(lambda: "42a14d6143f1" in terminal.reversed_text())
    few_looks(mage)  # which begin when all has been read, evidence too
    terminal.wait_quiet()
    before = len(terminal.output)
    few_looks(mage)
    assert len(terminal.output) == before, "at rest the terminal gets no bytes"
    set_back(mage)
    terminal.wait_for("BEHIND BY 1", 30)
    terminal.wait_for(rf"○ {HEAD}.*▶ ● {BEFORE_HEAD}")
    terminal.wait_quiet()
    assert "42a14d6143f1" in terminal.reversed_text(), "the cursor stays where it was"
    terminal.press("4")
    log = terminal.wait_for(r"diagnose +1 revision is pending")
    assert log.count("The current revision is the head") == 1, "a look that found nothing is not noted"


def test_nobody_looks_while_another_screen_is_in_front(mage: PostgresDatabase, terminal: Terminal) -> None:
    few_looks(mage)
    terminal.press("?")
    terminal.wait_for("The chain of migration scripts")
    terminal.wait_quiet()
    before = looks_at(mage)
    terminal.wait_quiet(STILL)
    assert looks_at(mage) <= before + 1  # one may have been under way
    terminal.press("escape")
    terminal.wait_for("4 Log")
    few_looks(mage)


def test_a_server_that_goes_and_comes_back_is_seen_to(mage: PostgresDatabase, terminal: Terminal) -> None:
    mage.server.stop()
    terminal.wait_for("CANNOT CONNECT · next r", 30)
    terminal.press("1")
    terminal.wait_for(r"next r +try again\s+or c +connect to another database")
    terminal.press("l")
    screen = terminal.wait_for(r"Locks +not read.*refused")
    assert "refused" not in screen.splitlines()[0]
    assert "reading" not in screen
    terminal.press("/")  # there is no list to filter
    terminal.wait_quiet()
    terminal.press("escape")
    terminal.wait_for("4 Log")
    mage.server.start()
    terminal.wait_for("UP TO DATE", 60)


def test_a_run_that_was_left_alone_is_not_looked_over_the_shoulder_and_its_end_is_told(
    mage: PostgresDatabase, terminal: Terminal
) -> None:
    with mage.session("select * from generic_job") as holder:
        roll_back(terminal, mage.name, BEFORE_HEAD, timeout=60, steps="1 step")
        terminal.wait_for("WAITING")
        terminal.press("escape")
        terminal.wait_for("4 Log")
        terminal.wait_quiet(STILL)
        holder.rollback()
        terminal.wait_for(r"run 1: done", 30)
        terminal.wait_for("BEHIND BY 1")


def test_a_run_on_another_database_is_told_apart_in_the_log(
    magetui: Magetui, mage_sqlite_url: str, open_screen: OpenScreen, tmp_path: Path
) -> None:
    assert magetui("--url", mage_sqlite_url, "backup", "--output", tmp_path / "kept.db").status == 0
    other = SqliteDatabase(tmp_path / "other.db")
    other.rows("create table t (id integer)")
    terminal = open_screen(mage_sqlite_url, size=(200, 24), until="UP TO DATE")
    terminal.press("4")
    terminal.wait_for(r"backup +run 1: done")
    terminal.press("c")
    terminal.wait_for("The database's URL")
    terminal.press(other.url, "enter")
    terminal.wait_for("NO VERSION TABLE")
    terminal.wait_for(r"backup +on \S*mage-ai\.db: run 1: done.*connect +\S*other\.db")


def cost_of(terminal: Terminal, key: str) -> int:
    """Return how many bytes the program writes for a key."""
    before = len(terminal.output)
    terminal.press(key)
    eventually(lambda: len(terminal.output) > before)
    terminal.wait_quiet()
    return len(terminal.output) - before


@pytest.mark.parametrize(("size", "start", "move"), [((80, 24), 25_000, 400), ((200, 60), 40_000, 600)])
def test_over_a_slow_line_the_start_and_a_move_of_the_cursor_are_short(
    mage: PostgresDatabase, open_screen: OpenScreen, size: tuple[int, int], start: int, move: int
) -> None:
    terminal = open_screen(mage.url, until="UP TO DATE", size=size)
    terminal.wait_for(rf"▶ ● {HEAD}")
    terminal.wait_for("19 tables")
    terminal.wait_for("4 Log · .* diagnose")  # all has been read, evidence too
    terminal.wait_quiet()
    assert len(terminal.output) < start
    for key in "jjjk":
        assert 0 < cost_of(terminal, key) < move * 0.6
    terminal.press("e")
    terminal.wait_for("0227396a216c .* applied")
    terminal.wait_quiet()
    assert statistics.median(cost_of(terminal, key) for key in "jjjjjjj") < move * 1.1, "with the details"
    terminal.press("escape")
    terminal.wait_for("4 Log")
    terminal.wait_quiet()
    assert cost_of(terminal, "ctrl+l") > 2_000, "another program may have written to the terminal: all is drawn"
