"""`magetui locks`: the tree as text, and ending what is in the way, on consent alone."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.blocked import Sessions, sessions
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.journals import journal, named
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

SLEEPS = "SELECT pg_sleep(600)"


@pytest.fixture
def crowd(pg_database: PostgresDatabase) -> Iterator[Sessions]:
    pg_database.rows("CREATE TABLE role (id integer)")
    with sessions(pg_database) as made:
        yield made


def test_tree_tells_a_lock_that_is_held_from_a_place_in_the_queue(
    pg_database: PostgresDatabase, magetui: Magetui, crowd: Sessions
) -> None:
    root = crowd.holding("SELECT * FROM role WHERE id = 4").info.backend_pid
    alter = crowd.waiting("ALTER TABLE role DROP COLUMN id", application="psql")
    first, second = sorted(crowd.waiting("SELECT count(*) FROM role") for _ in range(2))
    told = magetui("--url", pg_database.url, "locks")
    assert told.status == 0, told
    lines = re.sub(r", [\d.]+ (ms|s)\b", "", told.stdout).splitlines()
    queues = f"queues behind {alter} for access share on role"
    client = "mage-scheduler  127.0.0.1  active"
    assert lines == [
        f"{root}  mage  mage-server  127.0.0.1  idle in transaction  BLOCKS 3",
        "    holds role (access share)",
        "    SELECT * FROM role WHERE id = 4",
        f"    Ending it frees {alter} (psql) at once.",
        f"    {first} (mage-scheduler), {second} (mage-scheduler) then wait for {alter}.",
        f"└─ {alter}  mage  psql  127.0.0.1  active",
        "       waits for access exclusive on role",
        "       ALTER TABLE role DROP COLUMN id",
        f"   ├─ {first}  mage  {client}",
        f"          {queues}",
        "          SELECT count(*) FROM role",
        f"   └─ {second}  mage  {client}",
        f"          {queues}",
        "          SELECT count(*) FROM role",
    ]


def test_a_query_is_cancelled_after_it_is_said_what_that_costs(
    pg_database: PostgresDatabase, magetui: Magetui, crowd: Sessions, state_dir: Path
) -> None:
    pid = crowd.running(SLEEPS)
    eventually(lambda: pg_database.rows(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid} AND query = '{SLEEPS}'"))
    common = ("--url", pg_database.url, "locks", "--cancel", pid)
    unasked = magetui(*common)
    assert unasked.status == 4, unasked
    asked = " ".join(unasked.stderr.split())
    for said in (f"{pid} mage mage-scheduler", SLEEPS, "What its transaction has not committed is rolled back"):
        assert said in asked
    assert journal(state_dir) == []
    done = magetui(*common, "--yes", "--json")
    assert done.status == 0, done
    assert done.json["settled"] is True
    assert (done.json["action"], done.json["session"]["pid"]) == ("cancel", pid)
    assert named(journal(state_dir), "session-signalled")[0]["action"] == "cancel"
    again = magetui(*common, "--yes")
    assert again.status == 4, again
    assert "runs no query to cancel" in again.stderr


@pytest.mark.slow
@pytest.mark.parametrize("answer", ["its pid", "y", ""])
def test_on_a_terminal_a_session_with_a_transaction_is_ended_by_its_pid(
    answer: str, pg_database: PostgresDatabase, crowd: Sessions, tmp_path: Path
) -> None:
    pid = crowd.holding("SELECT * FROM role").info.backend_pid
    command = [sys.executable, "-m", "magetui", "--url", pg_database.url, "locks", "--terminate", str(pid)]
    with Terminal(command, (120, 24), cwd=tmp_path) as terminal:
        screen = terminal.wait_for(
            rf"End session {pid}\? What it has not committed is lost\. To continue, type its pid: {pid}"
        )
        assert "Its transaction has been open for" in screen
        assert "What it has not committed is rolled back, and its client sees an error." in " ".join(screen.split())
        terminal.press(str(pid) if answer == "its pid" else answer, "enter")
        assert terminal.wait_exit() == (0 if answer == "its pid" else 4)
        assert (f"Session {pid} has ended." in terminal.screen()) is (answer == "its pid")
    there = pg_database.rows(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}")
    assert bool(there) is (answer != "its pid")


def test_what_may_not_be_ended_is_refused_with_status_4(
    pg_database: PostgresDatabase, magetui: Magetui, crowd: Sessions, state_dir: Path
) -> None:
    run = crowd.holding("SELECT * FROM role", application="magetui run 3 ada@db1").info.backend_pid
    common = ("--url", pg_database.url, "locks")
    for arguments, sentence in (
        (("--terminate", run, "--yes"), "Cancel the run instead: 'magetui runs 3 --cancel'"),
        (("--cancel", 0, "--yes"), "ROLLBACK PREPARED"),
        (("--terminate", 999_999, "--yes"), "There is no session 999999"),
    ):
        refused = magetui(*common, *arguments)
        assert refused.status == 4, refused
        assert sentence in refused.stderr
    assert magetui(*common, "--cancel", 1, "--terminate", 1).status == 2
    assert journal(state_dir) == []


def test_a_process_that_has_a_sqlite_file_locked_is_left_to_the_operator(
    sqlite_database: SqliteDatabase, magetui: Magetui
) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    with closing(sqlite3.connect(sqlite_database.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        refused = magetui("--url", sqlite_database.url, "locks", "--terminate", os.getpid(), "--yes")
        assert refused.status == 4, refused
        assert f"kill {os.getpid()}" in refused.stderr
        writer.execute("ROLLBACK")
