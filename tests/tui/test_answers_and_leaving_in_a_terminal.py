"""What an operator in a hurry meets: fields edited and not entered, slow servers, and leaving all the same."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from tests.support.databases import PostgresDatabase
from tests.support.mage import HEAD
from tests.support.postgres import PASSWORD
from tests.support.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.conftest import (
    A_JOB,
    ASKED,
    BEFORE_HEAD,
    LOCK_TIMEOUT,
    NAME_ASKED,
    OpenScreen,
    edit,
    roll_back,
    set_back,
    waited,
)

pytestmark = pytest.mark.slow

AT_ONCE = 15  # seconds; a worker that is waited for takes as long as what it waits for, which is 30 or more
QUIET_BYTES_A_SECOND = 1_000


@contextmanager
def silent_server(answers: threading.Event | None = None) -> Iterator[int]:
    """A port that accepts and says nothing; once `answers` is set, it hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                if answers is not None:
                    answers.wait(60)
                    connection.close()
                    while True:
                        server.accept()[0].close()
                else:
                    connection.recv(1)
                    held.append(connection)

        held: list[socket.socket] = []
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for connection in held:
            connection.close()


def test_a_revision_that_is_typed_and_not_entered_leaves_no_plan_to_consent_to(
    mage: PostgresDatabase, terminal: Terminal
) -> None:
    mage.rows(A_JOB)
    terminal.press("b")
    terminal.wait_for(NAME_ASKED)
    edit(terminal)
    terminal.press("9")
    screen = terminal.wait_for(r"Press enter to plan for this revision\.")
    assert "type the database's name" not in screen
    assert "DROP TABLE generic_job" not in screen
    for label in (LOCK_TIMEOUT, "retries"):
        terminal.press("tab")
        terminal.wait_in_field(label)
    terminal.press("tab")
    terminal.wait_for("i Options")  # the fields are left
    terminal.press("y", "enter")  # which finds no button
    terminal.wait_quiet()
    terminal.press("escape")
    terminal.wait_for("4 Log")
    assert mage.current == [HEAD]


@pytest.mark.parametrize(("key", "label"), [("f", "h SSH drops"), ("U", "h SSH drops"), ("s", "v Verify")])
def test_at_80_columns_a_plan_has_room_for_all_its_keys_and_i_goes_to_a_field_that_is_seen(
    key: str, label: str, open_terminal: OpenScreen
) -> None:
    terminal = open_terminal("demo", "half-applied")
    terminal.wait_for("LEFTOVER TABLE", 30)
    terminal.press(key)
    if key == "s":
        terminal.wait_for("Which revision is the database at")
        terminal.press(*"head", "enter")
        terminal.wait_for(NAME_ASKED)
        terminal.press("tab")
    terminal.wait_for("i Options")
    assert label in terminal.wait_for(r"^.*esc Close .* \? Help$").splitlines()[-1]
    terminal.press("i")
    terminal.wait_gone("i Options")
    terminal.press("7")
    terminal.wait_for("revision 7" if key == "s" else "lock timeout 7 ")


@pytest.mark.parametrize("timeout", ["nan", "inf", "-5", "1e99"])
def test_a_lock_timeout_that_is_none_is_refused_with_a_sentence(
    timeout: str, mage: PostgresDatabase, open_screen: OpenScreen
) -> None:
    set_back(mage)
    terminal = open_screen(mage.url, until="BEHIND BY 1")
    terminal.press("m")
    terminal.wait_for(ASKED)
    edit(terminal)
    terminal.press("tab")
    terminal.wait_in_field(LOCK_TIMEOUT)
    terminal.press(*timeout)
    terminal.wait_for(rf"lock timeout {re.escape(timeout)} ")
    terminal.press("enter")
    terminal.wait_for(rf"a number of seconds, 0 for no limit, not\s+'{re.escape(timeout)}'")
    assert mage.current == [BEFORE_HEAD]


def test_q_leaves_at_once_while_a_run_waits_and_says_that_it_goes_on(
    mage: PostgresDatabase, terminal: Terminal
) -> None:
    with mage.session("select * from generic_job"):
        roll_back(terminal, mage.name, BEFORE_HEAD, timeout=60, steps="1 step")
        terminal.wait_for("WAITING")
        terminal.wait_for(r"The run continues if you close this screen; u shows it again\.")
        assert "esc Close" not in terminal.wait_for("esc Leave")
        terminal.press("escape")
        terminal.wait_for("4 Log")
        terminal.press("u")
        terminal.wait_for(rf"rollback  running.*from {HEAD} to {BEFORE_HEAD}")
        terminal.press("enter")
        terminal.wait_for("esc Leave")
        terminal.press("ctrl+c")
        assert terminal.wait_exit(AT_ONCE) == 0
        assert "Run 1 continues: magetui runs 1" in terminal.screen()
        assert terminal.modes_after == terminal.modes_before


def test_q_leaves_at_once_while_a_server_does_not_answer(open_screen: OpenScreen) -> None:
    with silent_server() as port:
        terminal = open_screen(f"postgresql://mage:hidden@127.0.0.1:{port}/mage?connect_timeout=30", until="q Quit")
        terminal.wait_quiet()
        terminal.press("q:")
        assert terminal.wait_exit(AT_ONCE) == 0
        assert b"Traceback" not in terminal.output


@pytest.mark.parametrize("no_color", ["", "1"])
def test_the_cursor_of_a_list_is_seen(no_color: str, mage: PostgresDatabase, open_screen: OpenScreen) -> None:
    terminal = open_screen(mage.url, NO_COLOR=no_color, until=rf"▶ ● {HEAD}")
    eventually(lambda: HEAD in terminal.reversed_text())
    terminal.press("j")
    eventually(lambda: BEFORE_HEAD in terminal.reversed_text() and HEAD not in terminal.reversed_text())


def test_a_slow_answer_of_the_database_before_does_not_take_the_place_of_the_one_after(
    mage: PostgresDatabase, open_screen: OpenScreen
) -> None:
    answers = threading.Event()
    with silent_server(answers) as port:
        terminal = open_screen(f"postgresql://mage:hidden@127.0.0.1:{port}/slow", until="m Migrate")
        terminal.wait_quiet()
        terminal.press("c")
        terminal.wait_for("The database's URL")
        terminal.press(mage.url, "enter")
        terminal.wait_for("UP TO DATE")
        answers.set()
        terminal.wait_quiet(1)  # the answer to the first question has come, and is not shown
        assert "UP TO DATE" in terminal.screen()
        terminal.press("1")
        terminal.wait_for("source")
        assert mage.name in terminal.screen()
        assert PASSWORD.encode() not in terminal.output


def test_escape_in_a_filter_of_the_locks_clears_it_and_leaves_the_screen_open(terminal: Terminal) -> None:
    terminal.press("l")
    terminal.wait_for("0 sessions")
    terminal.press("/")
    terminal.wait_for("^ find")
    terminal.press(*"nobody")
    terminal.wait_for("nobody")
    terminal.press("escape")
    terminal.wait_gone("nobody")
    terminal.wait_for("Locks +0 sessions")
    terminal.press("escape")
    terminal.wait_for("4 Log")


def test_ctrl_p_opens_the_palette_and_q_closes_a_screen(terminal: Terminal) -> None:
    terminal.press("ctrl+p")
    terminal.wait_for("Search for commands")
    terminal.press("escape")
    terminal.wait_gone("Search for commands")
    terminal.press("u")
    terminal.wait_for("0 on record")
    terminal.press("q")
    terminal.wait_for("4 Log")
    terminal.press("q")
    assert terminal.wait_exit(AT_ONCE) == 0


def test_a_url_that_cannot_be_understood_is_told_and_kept_and_not_shown(terminal: Terminal) -> None:
    terminal.press("c")
    terminal.wait_for("The database's URL")
    terminal.press("postgresql//mage:verysecret@nowhere/x", "enter")
    terminal.wait_for("cannot be understood")
    terminal.wait_for("•••••")
    assert b"verysecret" not in terminal.output


def test_waiting_costs_few_bytes_over_a_slow_line(mage: PostgresDatabase, terminal: Terminal) -> None:
    with mage.session("select * from generic_job"):
        roll_back(terminal, mage.name, BEFORE_HEAD, timeout=60, steps="1 step")
        eventually(lambda: waited(terminal, 60) >= 2, 20)
        first, began, before = waited(terminal, 60), time.monotonic(), len(terminal.output)
        eventually(lambda: waited(terminal, 60) >= first + 3, 20)
        assert (len(terminal.output) - before) / (time.monotonic() - began) < QUIET_BYTES_A_SECOND
        terminal.press("x")
        terminal.wait_for("CANCELLED")


def test_at_80_by_24_a_database_that_is_behind_shows_its_diagnosis_first_and_the_key_that_comes_next(
    mage: PostgresDatabase, open_screen: OpenScreen
) -> None:
    set_back(mage)
    terminal = open_screen(mage.url, until="BEHIND BY 1 · next m")
    screen = terminal.wait_for("next m  run the pending migrations")
    assert re.search(
        r"^ magetui  mage@127\.0\.0\.1:\d+/test_\d+  postgresql [\d.]+  public +read \d\d:", screen, re.MULTILINE
    )


def test_with_read_only_the_plan_is_shown_and_cannot_be_consented_to(
    mage: PostgresDatabase, open_screen: OpenScreen
) -> None:
    set_back(mage)
    terminal = open_screen(mage.url, "--read-only", until="BEHIND BY 1")
    terminal.press("p")
    terminal.wait_for("CREATE TABLE generic_job")
    terminal.wait_for("--read-only is set")
    terminal.press("y", "enter")
    terminal.wait_quiet()
    terminal.press("escape")
    terminal.wait_for("4 Log")
    assert mage.current == [BEFORE_HEAD]


def test_a_log_entry_opens_to_its_whole_text(open_screen: OpenScreen) -> None:
    nowhere = "sqlite:////nowhere/at/all/where/there/is/no/such/folder/and/no/such/file.db"
    terminal = open_screen(nowhere, until="CANNOT CONNECT")
    terminal.press("4")
    terminal.wait_for("diagnose")
    terminal.wait_quiet()
    assert "for the database file.db." not in " ".join(terminal.screen().split())
    terminal.press("enter")
    terminal.wait_for(r"for\s+the\s+database\s+file\.db\.")
