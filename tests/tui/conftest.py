"""Fixtures that open the full-screen program in a pseudo-terminal, and the steps that many tests repeat."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.postgres import PostgresServer
from tests.support.terminal import Terminal

OpenScreen = Callable[..., Terminal]

BEFORE_HEAD = "0227396a216c"  # of Mage's chain
LOCK_TIMEOUT = "give up on a lock after"  # the label of its field


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[OpenScreen]:
    """Return a function that opens the program with command-line arguments. The program ends with the test."""
    with ExitStack() as opened:

        def open_terminal(*arguments: object, size: tuple[int, int] = (80, 24), **env: str) -> Terminal:
            return opened.enter_context(Terminal(Magetui.command(*arguments), size, env, tmp_path))

        yield open_terminal


@pytest.fixture
def open_screen(open_terminal: OpenScreen, mage_home: Path) -> OpenScreen:
    """Return a function that opens the program with Mage's chain on a URL and waits until the screen shows `until`."""

    def open_screen(url: str, *arguments: str, until: str, size: tuple[int, int] = (80, 24), **env: str) -> Terminal:
        env = {"MAGE_DATABASE_CONNECTION_URL": url, **env}
        terminal = open_terminal("--mage-path", mage_home, *arguments, size=size, **env)
        terminal.wait_for(until)
        return terminal

    return open_screen


@pytest.fixture
def mage(postgres: PostgresServer, mage_pg_url: str) -> PostgresDatabase:
    """Return a fresh database at the head of Mage's chain."""
    return PostgresDatabase(postgres, mage_pg_url.rpartition("/")[2])


@pytest.fixture
def terminal(mage: PostgresDatabase, open_screen: OpenScreen) -> Terminal:
    """Return the program at 80 by 24, open on `mage`, after it has read the database."""
    return open_screen(mage.url, until="UP TO DATE")


def set_back(mage: PostgresDatabase) -> None:
    """Undo the head by hand: one revision is pending, and the schema matches that."""
    mage.rows("DROP TABLE generic_job")
    mage.rows("DROP TYPE jobtype, jobstatus")
    mage.rows(f"UPDATE alembic_version SET version_num = '{BEFORE_HEAD}'")


def consent(terminal: Terminal, name: str) -> None:
    """Type the database's name, and press the button that the name enables."""
    terminal.wait_for("y Yes")
    terminal.press("y")
    terminal.wait_gone("y Yes")  # the field has the focus: letters are text
    terminal.press(*name)
    terminal.wait_for(rf"^\W*{name}\s+No")
    terminal.press("enter")
    terminal.wait_for("y Yes")
    terminal.press("enter")


def edit(terminal: Terminal) -> None:
    """Go to the first field of the plan. Letters are text from now on."""
    terminal.wait_for("y Yes")
    terminal.press("e")
    terminal.wait_gone("e Edit")


def choose(terminal: Terminal, revision: str, timeout: int) -> None:
    """Plan for another revision and lock timeout."""
    edit(terminal)
    terminal.press(*revision)
    terminal.wait_for(rf"revision {revision}")
    terminal.press("tab")
    terminal.wait_in_field(LOCK_TIMEOUT)
    terminal.press(*str(timeout))
    terminal.wait_for(rf"after {timeout} ")
    terminal.press("enter")
    terminal.wait_for("y Yes")


def roll_back(terminal: Terminal, name: str, revision: str, *, timeout: int, steps: str) -> None:
    """From the main screen, plan to roll back to a revision with a lock timeout in seconds, and consent."""
    terminal.press("b")
    terminal.wait_for("1 step")
    choose(terminal, revision, timeout)
    terminal.wait_for(steps)
    consent(terminal, name)


def waited(terminal: Terminal, timeout: int) -> float:
    """Return the seconds that a run has waited for a lock by its screen, or 0 if the screen shows no wait."""
    match = re.search(rf"(\d+\.\d) of {timeout} s", terminal.screen())
    return float(match[1]) if match else 0.0
