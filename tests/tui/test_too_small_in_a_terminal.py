"""A terminal that is made too small while something is asked, or runs: nothing is answered blind, and all comes back.

On the practice incident whose rollback waits for another process, so that no server is needed.
"""

from __future__ import annotations

import pytest

from tests.support.terminal import Terminal
from tests.tui.conftest import ASKED, NAME_ASKED, OpenScreen, roll_back

pytestmark = pytest.mark.slow

DATABASE = "scheduler.db"
TOO_SMALL = r"Too small to\s+show"


@pytest.fixture
def terminal(open_terminal: OpenScreen) -> Terminal:
    terminal = open_terminal("demo", "locked")
    terminal.wait_for("UP TO DATE", 30)
    return terminal


def shrink(terminal: Terminal) -> None:
    """Make it too small; nothing but the sentence is on it."""
    terminal.resize(49, 11)
    screen = terminal.wait_for(TOO_SMALL)
    assert "\n\n\n" in screen and len(screen.split("\n\n")[0].splitlines()) <= 4, screen
    assert not screen.partition("\n\n")[2].strip(), screen


def press_in_vain(terminal: Terminal, *keys: str) -> None:
    terminal.press(*keys)
    terminal.wait_quiet()
    terminal.wait_for(TOO_SMALL)


def test_no_plan_is_consented_to_blind_and_what_had_the_focus_has_it_again(terminal: Terminal) -> None:
    terminal.press("b")
    terminal.wait_for(NAME_ASKED)
    terminal.press(*DATABASE)
    terminal.wait_for(rf"^ {DATABASE}")
    shrink(terminal)
    press_in_vain(terminal, "enter", "tab", "y", "enter", "l", "B", "m")
    terminal.resize(80, 24)
    terminal.wait_for(rf"^ {DATABASE} *$")
    terminal.press("escape")
    terminal.wait_for("2 Revisions")
    terminal.press("u")
    terminal.wait_for("0 on record")


def test_neither_a_backup_nor_the_end_of_a_session_is_consented_to_blind(terminal: Terminal) -> None:
    terminal.press("B")
    terminal.wait_for(ASKED)
    shrink(terminal)
    press_in_vain(terminal, "enter", "y")
    terminal.resize(80, 24)
    terminal.wait_for(ASKED)
    terminal.press("escape")
    terminal.wait_for("2 Revisions")

    terminal.press("l")
    terminal.wait_for("holds a lock")
    terminal.press("enter")
    terminal.wait_for("Session [0-9]+")
    shrink(terminal)
    press_in_vain(terminal, "j", "y", "K")
    terminal.press("escape")
    terminal.wait_for(TOO_SMALL)  # the locks, behind it
    terminal.press("escape")
    terminal.wait_for("press q")
    terminal.press("m")
    terminal.wait_quiet()
    terminal.resize(80, 24)
    terminal.wait_for("2 Revisions")
    assert "revision head" not in terminal.screen()


def test_a_run_goes_on_and_may_be_cancelled(terminal: Terminal) -> None:
    roll_back(terminal, DATABASE, "-1", timeout=60, steps="1 step")
    terminal.wait_for("WAITING")
    shrink(terminal)
    assert "x cancels" in terminal.screen()
    terminal.press("x")
    terminal.resize(80, 24)
    terminal.wait_for("CANCELLED")
    terminal.wait_for("scheduler.db WRITE")
