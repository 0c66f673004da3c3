"""The full-screen program on its own terminal, and the steps that an operator repeats there."""

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
LOCK_TIMEOUT = "lock timeout"  # the label of its field
ASKED = r"enter: yes   esc: no.*⏎ Do it"  # by a button, which works now
A_JOB = "INSERT INTO generic_job (job_type) VALUES ('CANCEL_PIPELINE_RUN')"  # a row that a rollback loses
NAME_ASKED = r"type\s+the\s+database's\s+name"


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[OpenScreen]:
    """Open the program with command-line arguments. A program that still runs at the end of the test is ended."""
    with ExitStack() as opened:

        def open_terminal(*arguments: object, size: tuple[int, int] = (80, 24), **env: str) -> Terminal:
            return opened.enter_context(Terminal(Magetui.command(*arguments), size, env, tmp_path))

        yield open_terminal


@pytest.fixture
def open_screen(open_terminal: OpenScreen, mage_home: Path) -> OpenScreen:
    """Open the program with Mage's chain on a database's URL, and wait until the screen matches `until`."""

    def open_screen(url: str, *arguments: str, until: str, size: tuple[int, int] = (80, 24), **env: str) -> Terminal:
        env = {"MAGE_DATABASE_CONNECTION_URL": url, **env}
        terminal = open_terminal("--mage-path", mage_home, *arguments, size=size, **env)
        terminal.wait_for(until)
        return terminal

    return open_screen


@pytest.fixture
def mage(postgres: PostgresServer, mage_pg_url: str) -> PostgresDatabase:
    """A new database at the head of Mage's chain."""
    return PostgresDatabase(postgres, mage_pg_url.rpartition("/")[2])


@pytest.fixture
def terminal(mage: PostgresDatabase, open_screen: OpenScreen) -> Terminal:
    """The program at 80 by 24, open on `mage`, after the first reading."""
    return open_screen(mage.url, until="UP TO DATE")


def set_back(mage: PostgresDatabase) -> None:
    """Undo the head by hand, so that one revision is pending and the schema agrees."""
    mage.rows("DROP TABLE generic_job")
    mage.rows("DROP TYPE jobtype, jobstatus")
    mage.rows(f"UPDATE alembic_version SET version_num = '{BEFORE_HEAD}'")


def consent(terminal: Terminal, name: str) -> None:
    """Type the database's name into its field, which has the focus, and press enter."""
    terminal.wait_for(NAME_ASKED)
    terminal.press(*name)
    terminal.wait_for(rf"^\W*{re.escape(name)}\s*$")
    terminal.press("enter")


def agree(terminal: Terminal) -> None:
    """Press the button, which has the focus, when it works."""
    terminal.wait_for(ASKED)
    terminal.press("enter")


def edit(terminal: Terminal) -> None:
    """Focus the first field of a plan. From now on, letters are text."""
    if re.search(NAME_ASKED, terminal.wait_for(rf"{ASKED}|{NAME_ASKED}|i Options")):
        terminal.press("tab")
    terminal.wait_for("i Options")
    terminal.press("i")
    terminal.wait_gone("i Options")


def choose(terminal: Terminal, revision: str, timeout: int) -> None:
    """Plan for another revision and lock timeout."""
    edit(terminal)
    terminal.press(*revision)
    terminal.wait_for(rf"revision {revision}")
    terminal.press("tab")
    terminal.wait_in_field(LOCK_TIMEOUT)
    terminal.press(*str(timeout))
    terminal.wait_for(rf"lock timeout {timeout} ")
    terminal.press("enter")


def consented(terminal: Terminal, name: str) -> None:
    """Consent to a plan, which may lose data, by its button or by the database's name."""
    if re.search(NAME_ASKED, terminal.wait_for(rf"{ASKED}|{NAME_ASKED}")):
        consent(terminal, name)
    else:
        agree(terminal)


def roll_back(terminal: Terminal, name: str, revision: str, *, timeout: int, steps: str) -> None:
    """From the main screen, plan to roll back to a revision with a lock timeout in seconds, and consent."""
    terminal.press("b")
    terminal.wait_for("1 step")
    choose(terminal, revision, timeout)
    terminal.wait_for(steps)
    consented(terminal, name)


def waited(terminal: Terminal, timeout: int) -> float:
    """Return the seconds that a run has waited for a lock, as the screen shows, or 0 if the screen shows none."""
    shown = re.search(rf"(\d+\.\d) of {timeout} s", terminal.screen())
    return float(shown[1]) if shown else 0.0
