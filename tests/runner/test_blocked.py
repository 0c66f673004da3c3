"""A run that waits: for whom, for how long, and that a timeout leaves everything as it was."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection

from magetui.backends import polling
from magetui.backends.base import Backend
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.server import Timeouts
from magetui.model.sessions import Session
from magetui.protocol.journal import Journal
from magetui.runner import waits
from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.journals import journal, moment, named
from tests.support.live import Live
from tests.support.mage import migrate_with_alembic
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

PREFERENCES, BEFORE_IT = "1a737bdee53b", "847ea6602d6f"  # adds user.preferences
READS_USER = "SELECT id, email FROM \"user\" WHERE email = 'ada@example.org'"


@pytest.fixture
def at_preferences(pg_database: PostgresDatabase, mage_home: Path) -> PostgresDatabase:
    """Mage's chain up to the revision whose rollback alters `user`."""
    migrate_with_alembic(pg_database.url, mage_home, PREFERENCES)
    return pg_database


@pytest.fixture
def rollback(at_preferences: PostgresDatabase, mage_home: Path) -> tuple[object, ...]:
    """The command line that rolls it back."""
    url = at_preferences.url
    return ("--mage-path", mage_home, "--url", url, "rollback", "--revision", "-1", "--yes")


@pytest.mark.every_version
def test_session_reading_user_holds_a_rollback_up_until_the_lock_timeout(
    at_preferences: PostgresDatabase, rollback: tuple[object, ...], magetui: Magetui, state_dir: Path
) -> None:
    before = at_preferences.content
    with at_preferences.session(READS_USER) as server:
        pid = server.info.backend_pid
        told = magetui(*rollback, "--lock-timeout-seconds", 4)
        assert told.status == 5, told
        # who: pid, user, application, state, and its query
        assert "WAITING for access exclusive on user, up to 4.0 s" in told.stderr
        assert f"blocker: {pid}  mage  mage-server" in told.stderr
        assert "idle in transaction" in told.stderr
        assert READS_USER in told.stderr
        assert "Could not get the lock within 4.0 s." in told.stdout
        assert f"The database is unchanged. Current revision: {PREFERENCES}." in told.stdout
        assert at_preferences.current == [PREFERENCES]
        assert at_preferences.content == before

    events = journal(state_dir)
    waited, *later = named(events, "lock-awaited")
    assert all([b["pid"] for b in more["blockers"]] == [pid] for more in later)
    [blocker] = waited["blockers"]
    assert blocker["pid"] == pid
    assert blocker["user"] == "mage"
    assert blocker["application"] == "mage-server"
    assert blocker["query"] == READS_USER
    assert blocker["transaction_ms"] > 0
    assert {"relation": "user", "mode": "ACCESS SHARE"} in blocker["holds"]
    assert waited["waits_for"] == {"relation": "user", "mode": "ACCESS EXCLUSIVE"}
    # It was told while it was waited for.
    [statement] = [e for e in named(events, "statement-started") if "DROP COLUMN" in e["sql"]]
    [ended] = named(events, "run-ended")
    assert moment(statement) <= moment(waited) < moment(ended) - 0.5
    assert ended["outcome"] == "lock-timeout"


def test_blocker_that_ends_in_time_lets_the_rollback_through(
    at_preferences: PostgresDatabase, rollback: tuple[object, ...], magetui: Magetui
) -> None:
    with at_preferences.session(READS_USER) as server:
        live = Live(magetui.start(*rollback, "--lock-timeout-seconds", 60, "--json"))
        live.hears(f"blocker: {server.info.backend_pid}  mage  mage-server")
        server.rollback()
        ended = live.end()
    assert ended.status == 0, ended
    assert ended.json["outcome"] == "done"
    assert ended.json["current_after"] == [BEFORE_IT] == at_preferences.current
    assert [blocker["application"] for blocker in ended.json["blockers"]] == ["mage-server"]
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'user'"
    assert ("preferences",) not in at_preferences.rows(columns)


def test_sessions_queueing_behind_the_run_are_told_too(
    at_preferences: PostgresDatabase, rollback: tuple[object, ...], magetui: Magetui, state_dir: Path
) -> None:
    with (
        at_preferences.session(READS_USER) as server,
        closing(at_preferences.server.connect(at_preferences.name, application_name="late-request")) as late,
    ):
        live = Live(magetui.start(*rollback, "--lock-timeout-seconds", 60))
        live.hears("blocker: ")
        late_pid = late.info.backend_pid
        asking = threading.Thread(target=lambda: late.cursor().execute('SELECT count(*) FROM "user"'))
        asking.start()
        live.hears(f"waiter: {late_pid}  mage  late-request")
        server.rollback()
        ended = live.end()
        asking.join(timeout=20)
    assert ended.status == 0, ended


@pytest.mark.every_version
def test_terminating_the_blocker_with_the_locks_verb_lets_the_run_through(
    at_preferences: PostgresDatabase, rollback: tuple[object, ...], magetui: Magetui, mage_home: Path
) -> None:
    common = ("--mage-path", mage_home, "--url", at_preferences.url)
    with at_preferences.session(READS_USER) as server:
        pid = server.info.backend_pid
        live = Live(magetui.start(*rollback, "--lock-timeout-seconds", 60))
        live.hears(f"blocker: {pid}")
        found = magetui(*common, "locks", "--json").json["sessions"]
        [waiting] = [session for session in found if session["blocked_by"]]
        assert waiting["blocked_by"] == [pid]
        assert waiting["application"].startswith("magetui run 1 ")
        unasked = magetui(*common, "locks", "--terminate", pid)
        assert unasked.status == 4, unasked
        assert live.process.poll() is None
        assert magetui(*common, "locks", "--terminate", pid, "--yes").status == 0
        assert live.end().status == 0
    assert at_preferences.current == [BEFORE_IT]


def test_diagnose_says_before_the_run_who_would_block_it(
    at_preferences: PostgresDatabase, magetui: Magetui, mage_home: Path
) -> None:
    with at_preferences.session(READS_USER) as server:
        found = magetui("--mage-path", mage_home, "--url", at_preferences.url, "diagnose", "--json")
        assert found.status == 3
        [idle] = [f for f in found.json["findings"] if f["code"] == "idle-in-transaction"]
        assert idle["facts"]["pids"] == [server.info.backend_pid]
        assert "user" in idle["facts"]["relations"]
        assert idle["next"] == "locks"


def test_write_lock_on_a_sqlite_file_is_waited_for_named_and_given_up(
    sqlite_database: SqliteDatabase, magetui: Magetui, tmp_path: Path, state_dir: Path
) -> None:
    project = make_project(tmp_path / "project", linear(3), sqlite_database.url)
    common = ("--config", project.ini)
    assert magetui(*common, "migrate", "--revision", "rev2", "--yes").status == 0
    before = sqlite_database.content
    with closing(sqlite3.connect(sqlite_database.path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        told = magetui(*common, "migrate", "--yes", "--lock-timeout-seconds", 4)
        assert told.status == 5, told
        assert "WAITING for write lock on the database file, up to 4.0 s" in told.stderr
        assert f"blocker: {os.getpid()}" in told.stderr
        assert "The database is unchanged. Current revision: rev2." in told.stdout
        [waited] = named(journal(state_dir, 2), "lock-awaited")
        [ended] = named(journal(state_dir, 2), "run-ended")
        assert moment(ended) - moment(waited) > 0.5
        assert sqlite_database.content == before

        live = Live(magetui.start(*common, "migrate", "--yes", "--lock-timeout-seconds", 60))
        live.hears("WAITING for write lock on the database file")
        writer.execute("ROLLBACK")
        assert live.end().status == 0
    eventually(lambda: sqlite_database.current == ["rev3"])


def test_reader_of_a_sqlite_file_holds_up_the_commit_alone(
    sqlite_database: SqliteDatabase, magetui: Magetui, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(3), sqlite_database.url)
    common = ("--config", project.ini)
    assert magetui(*common, "migrate", "--revision", "rev2", "--yes").status == 0
    before = sqlite_database.content
    with closing(sqlite3.connect(sqlite_database.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM alembic_version").fetchall()
        told = magetui(*common, "migrate", "--yes", "--lock-timeout-seconds", 4)
        assert told.status == 5, told
        assert "WAITING" in told.stderr
        assert "The database is unchanged. Current revision: rev2." in told.stdout
        assert sqlite_database.content == before
        live = Live(magetui.start(*common, "migrate", "--yes", "--lock-timeout-seconds", 60))
        live.hears("WAITING")
        reader.execute("COMMIT")
        assert live.end().status == 0
    assert sqlite_database.current == ["rev3"]


@pytest.mark.parametrize(
    ("line_ms", "work_ms", "times"),
    [(40, 2, 25), (1, 10, 10), (1, 500, 6)],
    ids=["slow-line", "crowd", "server-that-is-busy"],
)
def test_who_is_in_the_way_is_asked_as_rarely_as_that_costs_the_server_and_not_the_line(
    pg_database: PostgresDatabase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    line_ms: int,
    work_ms: int,
    times: int,
) -> None:
    workspace = Workspace(Selection(url=pg_database.url))
    kind = type(workspace.backend)
    clock, asked = [0.0], []
    answers = workspace.backend.sessions, workspace.backend.session_waits

    def sessions(backend: Backend, connection: Connection) -> tuple[Session, ...]:
        clock[0] += (line_ms + work_ms) / 1000
        asked.append(clock[0])
        return answers[0](connection)

    def session_waits(backend: Backend, connection: Connection, pid: int) -> bool:
        clock[0] += line_ms / 1000
        return answers[1](connection, pid)

    monkeypatch.setattr(kind, "sessions", sessions)
    monkeypatch.setattr(kind, "session_waits", session_waits)
    for module in (waits, polling):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    with (
        pg_database.session("SELECT 1") as waiting,
        workspace.reading() as connection,
        (tmp_path / "journal").open("w") as to,
    ):
        watched = waits.Waits(workspace.backend, Journal(to.fileno(), ()), Timeouts())
        while clock[0] < 30:
            watched.waiting(connection, waiting.info.backend_pid)
            clock[0] += 0.1
    assert len(asked) == pytest.approx(times, abs=2)
