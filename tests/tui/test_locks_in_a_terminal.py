"""Who is in the way, and ending it with a key: on the locks screen and on that of a run that waits."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.blocked import Sessions, sessions
from tests.support.databases import PostgresDatabase
from tests.support.journals import Event, journal, moment, named
from tests.support.mage import HEAD
from tests.support.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.conftest import BEFORE_HEAD, OpenScreen, roll_back, set_back, waited

pytestmark = pytest.mark.slow

PID_ASKED = r"To\s+continue,\s+type\s+its\s+pid"
BYTES_A_SECOND = 1_000
GOES_ON = 2  # seconds from the key to the next step; three times that here, benchmarks/waiting.py has the exact figure
TWO_BEFORE_HEAD = "42a14d6143f1"


@pytest.fixture
def crowd(mage: PostgresDatabase) -> Iterator[Sessions]:
    with sessions(mage) as made:
        yield made


def is_there(mage: PostgresDatabase, pid: int) -> bool:
    return bool(mage.rows(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"))


def signalled(state_dir: Path, count: int) -> list[tuple[str, int]]:
    """What was done to which sessions; the screen writes that to the journal, at times after the run's own end."""

    def written() -> list[Event]:
        events = named(journal(state_dir), "session-signalled")
        return events if len(events) >= count else []

    return [(event["action"], event["session"]["pid"]) for event in eventually(written)]


def test_tree_three_deep_on_the_locks_screen_changes_as_its_root_ends(
    mage: PostgresDatabase, crowd: Sessions, terminal: Terminal
) -> None:
    holder = crowd.holding("SELECT * FROM role")
    root = holder.info.backend_pid
    second = crowd.waiting("LOCK TABLE role", "SELECT * FROM generic_job", application="psql")
    alter = crowd.waiting("ALTER TABLE generic_job ADD COLUMN x integer", application="deploy")
    readers = sorted(crowd.waiting("SELECT * FROM generic_job") for _ in range(2))
    terminal.press("l")
    terminal.wait_for("5 sessions  4 waiting")
    screen = terminal.wait_for(rf"{readers[1]}")
    for pattern in (
        r"^ PID +APPLICATION +STATE +SINCE +LOCK$",
        rf"^ {root} +mage-server +idle in txn +\d+ s +role ACCESS SHARE",
        rf"^ └─ {second} +psql +waiting +\d+ s +role ACCESS EXCL",
        rf"^    └─ {alter} +deploy +waiting +\d+ s +generic_job ACCESS EXCL",
        rf"^       ├─ {readers[0]} +mage-sched… +waiting +\d+ s +generic_job .*\(queued\)",
        rf"^       └─ {readers[1]} +mage-sched… +waiting +\d+ s +generic_job .*\(queued\)",
        rf"^─{root} mage-server─",
        r"^ holds +role \(access share\)$",
        rf"^ ending it +Frees {second} \(psql\) at once\.$",
    ):
        assert re.search(pattern, screen, re.MULTILINE), f"{pattern}\n{screen}"
    terminal.press("o")
    terminal.wait_for("sort: txn")
    terminal.press("o")
    terminal.wait_for("sort: pid")
    terminal.press("j", "j")  # to the ALTER
    terminal.wait_for(rf"^─{alter} deploy─.*^ query +ALTER TABLE generic_job ADD COLUMN x integer")
    terminal.press("enter")  # in full
    terminal.wait_for(rf"Session {alter}.*blocked by +{second}.*ALTER TABLE generic_job ADD COLUMN x integer")
    terminal.press("escape")
    terminal.wait_for("5 sessions")
    holder.rollback()
    terminal.wait_for("5 sessions  3 waiting", 30)
    terminal.wait_for(rf"^ {second} +psql")
    terminal.press("C")  # the cursor has stayed on the ALTER
    terminal.wait_for(rf"Cancel the query of session {alter}\?")
    terminal.press("escape")
    terminal.wait_for("5 sessions  3 waiting")


def test_consent_names_the_session_and_its_loss_and_takes_its_pid(
    mage: PostgresDatabase, crowd: Sessions, terminal: Terminal
) -> None:
    pid = crowd.holding("SELECT * FROM role WHERE id = 4").info.backend_pid
    terminal.press("l")
    # Alone: at first the program's own session may stand there too, as it reads the evidence, and have the cursor.
    terminal.wait_for(rf"Locks +1 session .*^ {pid} +mage-server.*K End session")
    assert "Cancel query" not in terminal.screen()  # it runs none
    for no in ("enter", "y", "KCn"):
        terminal.press("K")
        screen = " ".join(terminal.wait_for(rf"End session {pid}\?.*{PID_ASKED}").split())
        for fact in ("user mage", "application mage-server", "client 127.0.0.1", "state idle in transaction",
                     "open for", "SELECT * FROM role WHERE id = 4",
                     "What it has not committed is rolled back, and its client sees an error."):  # fmt: skip
            assert fact in screen
        if no == "enter":
            terminal.press("enter")
        else:
            terminal.press(*no, "enter")
            terminal.wait_for(rf"'{no}' is not its pid\. It is: {pid}")
        terminal.wait_quiet()
        terminal.press("escape")
        terminal.wait_for("1 session  ")
        assert is_there(mage, pid)
    terminal.press("K")
    terminal.wait_for(rf"End session {pid}\?.*{PID_ASKED}")
    terminal.resize(40, 10)
    terminal.wait_for(r"Too small to\s+show")
    terminal.press(*str(pid), "enter")  # blind, which is no consent
    terminal.wait_quiet()
    terminal.resize(80, 24)
    terminal.wait_for(rf"End session {pid}\?.*{PID_ASKED}")
    assert is_there(mage, pid)
    terminal.wait_quiet(1)  # keys that were meant for the small screen are dropped for half a second
    terminal.press(*str(pid), "enter")
    terminal.wait_for(rf"Session {pid} has ended\.")
    terminal.wait_for("no other sessions")
    assert not is_there(mage, pid)


def test_the_root_blocker_of_a_run_is_ended_with_a_key_and_the_run_goes_through(
    mage: PostgresDatabase, crowd: Sessions, terminal: Terminal, state_dir: Path
) -> None:
    root = crowd.holding("SELECT * FROM role").info.backend_pid
    second = crowd.waiting("LOCK TABLE role", "SELECT * FROM generic_job", application="psql")
    roll_back(terminal, mage.name, BEFORE_HEAD, timeout=120, steps="1 step")
    terminal.wait_for("this run +waiting")
    reader = crowd.waiting("SELECT * FROM generic_job")
    screen = terminal.wait_for(rf"{reader} +mage-sched", 30)
    [opened] = named(journal(state_dir), "session-opened")
    for pattern in (
        r"^ PID +APPLICATION +STATE +SINCE .*LOCK$",
        rf"^ {root} +mage-server +idle in txn +\d+ s .*role ACCESS SHARE",
        rf"^ └─ {second} +psql +waiting",
        rf"^    └─ {opened['session']} +this run +waiting +- +generic_job ACCESS",
        rf"^       └─ {reader} +mage-sched… +waiting +\d+ s +generic_job .*\(queued\)",
        r"K End session",
    ):
        assert re.search(pattern, screen, re.MULTILINE), f"{pattern}\n{screen}"

    terminal.press("j", "j")  # to our own, which is cancelled in another way
    terminal.wait_gone("K End session")
    terminal.press("k")
    terminal.wait_for("K End session")
    terminal.press("k", "K")
    terminal.wait_for(rf"End session {root}\?.*{PID_ASKED}")
    terminal.press(*str(root), "enter")
    terminal.wait_for(rf"^ {second} +psql.*K End session", 30)  # a root by now: it has got its lock
    terminal.press("K")
    terminal.wait_for(rf"End session {second}\?.*{PID_ASKED}")
    terminal.press(*str(second), "enter")
    terminal.wait_for(rf"DONE\s+Current revision: {BEFORE_HEAD}", 30)
    terminal.wait_for(rf"ended session {root}")
    terminal.wait_gone("K End session")
    assert mage.current == [BEFORE_HEAD]

    assert signalled(state_dir, 2) == [("terminate", root), ("terminate", second)]
    events = journal(state_dir)
    story = [e["event"] for e in events]
    # That the lock was had is noticed at the watcher's next pulse, when a quick step may have ended already.
    for names in (
        ("lock-awaited", "session-signalled", "lock-obtained", "run-ended"),
        ("lock-awaited", "session-signalled", "step-ended", "run-ended"),
    ):
        rest = iter(story)
        assert all(name in rest for name in names), f"{names} are not in {story}"


def test_a_blocker_from_before_the_program_was_opened_is_told_on_the_main_screen_and_on_that_of_the_run(
    mage: PostgresDatabase, crowd: Sessions, open_screen: OpenScreen
) -> None:
    set_back(mage)
    pid = crowd.holding("SELECT * FROM user_project", application="nightly").info.backend_pid
    terminal = open_screen(mage.url, until="BEHIND BY 1")
    terminal.wait_for("! idle-in-transaction")
    terminal.press("j")
    screen = " ".join(terminal.wait_for(rf"Session {pid} .*user_project\..*next +l  see the sessions").split())
    told = f"Session {pid} (nightly) is idle in an open transaction, with locks on user_project."
    assert told in screen
    assert "next l see the sessions" in screen
    roll_back(terminal, mage.name, TWO_BEFORE_HEAD, timeout=60, steps="1 step")
    terminal.wait_for(rf"WAITING +for access exclusive on user_project.*^ {pid} +nightly")
    terminal.press("x")
    terminal.wait_for("CANCELLED")


@pytest.mark.parametrize(("key", "asked"), [("C", "Cancel the query of"), ("K", "End")])
def test_the_next_step_of_the_run_follows_on_the_key_on_the_root_blocker(
    mage: PostgresDatabase, crowd: Sessions, terminal: Terminal, state_dir: Path, key: str, asked: str
) -> None:
    root = crowd.running("SELECT pg_sleep(600) FROM pg_class LIMIT 1", "SELECT * FROM generic_job")
    roll_back(terminal, mage.name, TWO_BEFORE_HEAD, timeout=120, steps="2 steps")
    terminal.wait_for(rf"WAITING.*^ {root} +mage.*C Cancel query  K End session")
    terminal.press(key)
    terminal.wait_for(rf"{asked} session {root}\?.*{PID_ASKED}")
    pressed = time.time()
    terminal.press(*str(root), "enter")
    terminal.wait_for(rf"DONE\s+Current revision: {TWO_BEFORE_HEAD}", 30)
    assert [pid for _, pid in signalled(state_dir, 1)] == [root]
    events = journal(state_dir)
    [ended] = named(events, "session-signalled")
    [_, following] = named(events, "step-started")
    assert 0 < moment(following) - moment(ended) < moment(following) - pressed < 3 * GOES_ON
    story = [e["event"] for e in sorted(events, key=moment)]  # the screen's line may be written after the run's
    assert story.index("lock-awaited") < story.index("session-signalled") < story.index("step-ended")


def test_while_a_run_waits_with_its_tree_few_bytes_are_written(
    mage: PostgresDatabase, crowd: Sessions, terminal: Terminal
) -> None:
    crowd.holding("SELECT * FROM user_project")
    roll_back(terminal, mage.name, "847ea6602d6f", timeout=120, steps="21 steps")
    terminal.wait_for("WAITING")
    for _ in range(3):
        crowd.waiting("SELECT * FROM user_project")
    terminal.wait_for(r"\(queued\)", 30)
    eventually(lambda: waited(terminal, 120) >= 10, 30)
    first, began, before = waited(terminal, 120), time.monotonic(), len(terminal.output)
    eventually(lambda: waited(terminal, 120) >= first + 12, 40)  # across a moment at which the ages are drawn anew
    assert (len(terminal.output) - before) / (time.monotonic() - began) < BYTES_A_SECOND


def test_the_cursor_stays_on_its_session_while_two_hundred_wait(
    mage: PostgresDatabase, crowd: Sessions, open_screen: OpenScreen
) -> None:
    root = crowd.holding("LOCK TABLE generic_job").info.backend_pid
    waiting = [crowd.running("SELECT * FROM generic_job") for _ in range(200)]
    eventually(lambda: mage.rows("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(200,)], 30)
    terminal = open_screen(mage.url, until=rf"▶ ● {HEAD}")
    terminal.press("l")
    terminal.wait_for("201 sessions  200 waiting", 30)
    terminal.wait_for(rf"^ {root} +mage-server +idle in txn +\d+ s +200 ")
    last = max(waiting)
    terminal.press("G")
    terminal.wait_for(rf"└─ {last}")
    mage.rows(f"SELECT pg_terminate_backend({min(waiting)})")
    terminal.press("r")
    terminal.wait_for("200 sessions  199 waiting", 30)
    terminal.press("K")
    terminal.wait_for(rf"End session {last}\?")
    terminal.press("escape")
    terminal.wait_for("200 sessions")
    terminal.press("g")
    terminal.wait_for(rf"^ {root} ")
