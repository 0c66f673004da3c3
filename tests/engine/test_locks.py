"""Who waits for whom, drawn as the server says it is, and ending the one that is meant and no other."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection

from magetui.backends.base import Backend
from magetui.backends.polling import POLL_SECONDS
from magetui.engine.errors import RefusedError
from magetui.engine.sessions import listing, signals, tree
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.sessions import PREPARED, LockWait, Session
from magetui.text.consent import signal_losses
from magetui.text.terminal import joints, waits
from tests.support.alembic_project import linear, make_project
from tests.support.blocked import Sessions, sessions
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.journals import journal, named
from tests.support.postgres import PostgresServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_version

SLEEPS = "SELECT pg_sleep(600)"
DEAF = """DO $$ BEGIN
  LOOP BEGIN PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
END $$"""


@pytest.fixture
def crowd(pg_database: PostgresDatabase) -> Iterator[Sessions]:
    pg_database.rows("CREATE TABLE role (id integer)")
    pg_database.rows("CREATE TABLE pipeline_run (id integer)")
    with sessions(pg_database) as made:
        yield made


@pytest.fixture
def workspace(pg_database: PostgresDatabase) -> Workspace:
    return Workspace(Selection(url=pg_database.url))


def found(workspace: Workspace, pid: int) -> Session:
    return next(session for session in listing.list_sessions(workspace) if session.pid == pid)


def busy(workspace: Workspace, pid: int) -> Session:
    """The session, once it runs its query."""
    eventually(lambda: found(workspace, pid).query == SLEEPS)
    return found(workspace, pid)


def blocking_pids(database: PostgresDatabase, pid: int) -> set[int]:
    [(pids,)] = database.rows(f"SELECT pg_blocking_pids({pid})")
    return set(pids)


def one(pid: int, *blocked_by: int, queued: tuple[int, ...] = ()) -> Session:
    wait = LockWait("role", "ACCESS SHARE") if blocked_by else None
    return Session(pid, "mage", None, None, "active", None, None, None, wait, (), blocked_by, queued, "then")


# -- the tree


def test_tree_three_deep_is_drawn_as_pg_blocking_pids_tells_it_and_changes_as_the_root_ends(
    pg_database: PostgresDatabase, workspace: Workspace, crowd: Sessions
) -> None:
    a = crowd.holding("SELECT * FROM role")
    root = a.info.backend_pid
    b = crowd.waiting("LOCK TABLE role", "SELECT * FROM pipeline_run")
    alter = crowd.waiting("ALTER TABLE pipeline_run ADD COLUMN x integer")
    readers = [crowd.waiting("SELECT * FROM pipeline_run") for _ in range(2)]

    branches = tree.wait_tree(listing.list_sessions(workspace))
    told = {branch.session.pid: branch for branch in branches}
    assert [(branch.session.pid, branch.depth) for branch in branches] == [
        (root, 0), (b, 1), (alter, 2), *((pid, 3) for pid in sorted(readers)),
    ]  # fmt: skip
    assert joints(branches) == ["", "└─ ", "   └─ ", "      ├─ ", "      └─ "]
    assert told[root].waiting == 4
    for branch in branches:
        said = blocking_pids(pg_database, branch.session.pid)
        assert set(branch.session.blocked_by) == said
        assert branch.above in said if said else branch.above is None
    assert [told[pid].queued for pid in (b, alter, *readers)] == [False, False, True, True]
    assert waits(told[alter], "") == "waits for access exclusive on pipeline_run"
    assert waits(told[readers[0]], "") == f"queues behind {alter} for access share on pipeline_run"

    a.rollback()
    eventually(lambda: not found(workspace, b).blocked_by)
    after = tree.wait_tree(listing.list_sessions(workspace))
    assert [(branch.session.pid, branch.depth) for branch in after][:2] == [(b, 0), (alter, 1)]
    assert after[0].waiting == 3


def test_one_that_holds_the_lock_comes_before_one_that_is_only_ahead_in_the_queue() -> None:
    branches = {b.session.pid: b for b in tree.wait_tree([one(1), one(2, 1), one(3, 2, 1, queued=(2,))])}
    assert branches[3].above == 1
    assert not branches[3].queued
    both = {b.session.pid: b for b in tree.wait_tree([one(1), one(2), one(3, 1, 2)])}
    assert both[3].other_blockers == (2,)
    assert both[2].waiting == 1
    assert "also behind 2" in waits(both[3], "")


def test_a_circle_begins_somewhere_and_is_called_a_deadlock() -> None:
    branches = tree.wait_tree([one(4, 3), one(1, 3), one(2, 1), one(3, 2)])
    assert [(b.session.pid, b.depth) for b in branches] == [(1, 0), (2, 1), (3, 2), (4, 3)]
    assert "deadlock" in waits(branches[0], "")


def test_a_blocker_that_is_not_seen_is_named() -> None:
    [alone] = tree.wait_tree([one(5, 77)])
    assert alone.depth == 0
    assert waits(alone, "") == "waits for access share on role, behind 77, not visible here"


def test_chains_and_crowds_of_thousands_take_no_time() -> None:
    chain = [one(1), *(one(pid, pid - 1) for pid in range(2, 5_001))]
    crowd = [one(pid, 5_001, queued=()) for pid in range(5_002, 10_001)]
    began = time.monotonic()
    branches = tree.wait_tree([*chain, one(5_001), *crowd])
    drawn = joints(branches)
    assert time.monotonic() - began < 6
    assert len(branches) == 10_000
    assert branches[0].waiting == 4_999
    assert max(map(len, drawn)) < 60


def test_a_prepared_transaction_in_the_way_is_named_with_what_ends_it() -> None:
    with PostgresServer(18, {"max_prepared_transactions": "2"}) as server:
        database = PostgresDatabase(server, server.create_database().rpartition("/")[2])
        database.rows("CREATE TABLE role (id integer)")
        workspace = Workspace(Selection(url=database.url))
        with sessions(database) as crowd:
            crowd.holding("SELECT * FROM role", "PREPARE TRANSACTION 'left over'")
            pid = crowd.waiting("ALTER TABLE role ADD COLUMN x integer")
            branches = tree.wait_tree(listing.list_sessions(workspace))
            assert [branch.session.pid for branch in branches][:2] == [PREPARED, pid]
            prepared = branches[0].session
            assert prepared.application == "prepared transaction 'left over'"
            assert "ROLLBACK PREPARED 'left over'" in (prepared.query or "")
            refusal = signals.objection(workspace, prepared, "terminate")
            assert "ROLLBACK PREPARED 'left over'" in (refusal or "")
            with pytest.raises(RefusedError, match="ROLLBACK PREPARED"):
                listing.find_session(workspace, 0)
            database.rows("ROLLBACK PREPARED 'left over'")


# -- acting


def test_a_query_is_cancelled_and_its_session_stays_and_both_are_on_record(
    workspace: Workspace, crowd: Sessions, state_dir: Path
) -> None:
    pid = crowd.running(SLEEPS)
    session = busy(workspace, pid)
    done = signals.signal_session(workspace, session, "cancel")
    assert done.settled
    assert "it is idle in transaction (aborted) now" in done.message
    [signalled] = named(journal(state_dir), "session-signalled")
    assert (signalled["action"], signalled["session"]["pid"]) == ("cancel", pid)
    assert signalled["session"]["query"] == SLEEPS


def test_a_session_is_ended_and_that_is_read_back(
    pg_database: PostgresDatabase, workspace: Workspace, crowd: Sessions, state_dir: Path
) -> None:
    pid = crowd.holding("SELECT * FROM role").info.backend_pid
    done = signals.signal_session(workspace, found(workspace, pid), "terminate")
    assert (done.settled, done.message) == (True, f"Session {pid} has ended.")
    assert not pg_database.rows(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}")
    [signalled] = named(journal(state_dir), "session-signalled")
    assert (signalled["action"], signalled["session"]["pid"]) == ("terminate", pid)


def test_a_number_that_is_another_sessions_by_now_is_not_hit(
    pg_database: PostgresDatabase, workspace: Workspace, crowd: Sessions, state_dir: Path
) -> None:
    holder = crowd.holding("SELECT * FROM role")
    session = found(workspace, holder.info.backend_pid)
    with pytest.raises(RefusedError, match=r"has ended by itself\. Nothing was done"):
        signals.signal_session(workspace, replace(session, began="2020-01-01 00:00:00+00"), "terminate")
    with workspace.reading() as connection:
        assert not workspace.backend.terminate(connection, session.pid, "2020-01-01 00:00:00+00")
    with pytest.raises(RefusedError, match="has ended by itself"):  # where its beginning may not be seen
        signals.signal_session(workspace, replace(session, began=None, application="another"), "terminate")
    holder.cursor().execute("SELECT 1")  # raises where it was ended
    assert journal(state_dir) == []


def test_a_query_that_came_after_the_one_consented_to_is_not_cancelled(workspace: Workspace, crowd: Sessions) -> None:
    pid = crowd.running(SLEEPS)
    session = busy(workspace, pid)
    with pytest.raises(RefusedError, match="runs another query now"):
        signals.signal_session(workspace, replace(session, query="SELECT 1"), "cancel")
    assert found(workspace, pid).state == "active"


def test_a_session_that_sits_idle_in_transaction_has_no_query_to_cancel(workspace: Workspace, crowd: Sessions) -> None:
    session = found(workspace, crowd.holding("SELECT * FROM role").info.backend_pid)
    with pytest.raises(RefusedError, match="Only ending the session releases its locks"):
        signals.signal_session(workspace, session, "cancel")


def test_the_session_that_holds_the_migration_lock_is_shown_with_it(
    tmp_path: Path, magetui: Magetui, pg_database: PostgresDatabase, crowd: Sessions
) -> None:
    project = make_project(tmp_path / "project", linear(1), pg_database.url)
    workspace = Workspace(Selection(config=str(project.ini), url=pg_database.url))
    forgotten = crowd.holding(f"SELECT pg_advisory_lock({workspace.located.mutex_key})").info.backend_pid
    other = crowd.holding("SELECT pg_advisory_lock(4711)").info.backend_pid
    session = found(workspace, forgotten)
    assert session.has_mutex
    assert not found(workspace, other).has_mutex
    assert "It holds the migration lock." in signal_losses(session, "terminate")
    told = magetui("--config", project.ini, "locks")
    assert told.stdout.count("holds the migration lock") == 1, told
    diagnosed = magetui("--config", project.ini, "diagnose", "--json").json
    assert "migration-lock-held" in [finding["code"] for finding in diagnosed["findings"]]


@pytest.mark.parametrize(
    ("application", "sentence"),
    [
        ("magetui run 7 ada@db1", r"run 7 of magetui\. Cancel the run instead: 'magetui runs 7 --cancel'"),
        ("magetui", "belongs to magetui"),
    ],
)
def test_magetuis_own_sessions_are_left_alone(
    application: str, sentence: str, workspace: Workspace, crowd: Sessions
) -> None:
    own = crowd.holding("SELECT * FROM role", application=application)
    with pytest.raises(RefusedError, match=sentence):
        signals.signal_session(workspace, listing.find_session(workspace, own.info.backend_pid), "terminate")
    own.cursor().execute("SELECT 1")


def test_a_role_without_privileges_sees_less_and_is_told_what_it_takes(
    pg_database: PostgresDatabase, crowd: Sessions, state_dir: Path
) -> None:
    name = pg_database.name
    for role in ("plain", "signaller", "colleague"):
        pg_database.rows(f"CREATE ROLE {role}_{name} LOGIN PASSWORD 'x'")
    pg_database.rows(f"GRANT pg_signal_backend TO signaller_{name}")
    pg_database.rows(f"GRANT SELECT ON role TO colleague_{name}")
    others = crowd.holding("SELECT * FROM role", user=f"colleague_{name}", password="x").info.backend_pid
    supers = crowd.holding("SELECT * FROM role").info.backend_pid

    def seen_by(role: str) -> Workspace:
        login, _, rest = pg_database.url.partition("@")
        return Workspace(Selection(url=f"{login.partition('//')[0]}//{role}_{name}:x@{rest}"))

    try:
        plain = seen_by("plain")
        session = found(plain, others)
        assert (session.state, session.query, session.began) == (None, None, None)
        assert session.user == f"colleague_{name}"
        with pytest.raises(RefusedError) as refused:
            signals.signal_session(plain, session, "terminate")
        assert refused.value.message == (
            f"The role plain_{name} may not end session {others}: that requires membership in the role "
            f"colleague_{name}, or in pg_signal_backend."
        )
        with pytest.raises(RefusedError, match=r"it belongs to a superuser \(mage\), and only a superuser may do that"):
            signals.signal_session(seen_by("signaller"), found(seen_by("signaller"), supers), "cancel")
        assert journal(state_dir) == []
        asked = signals.signal_session(seen_by("signaller"), found(seen_by("signaller"), others), "cancel")
        assert asked.settled is None
        assert "requires membership in pg_read_all_stats" in asked.message
        assert signals.signal_session(seen_by("signaller"), found(seen_by("signaller"), others), "terminate").settled
    finally:
        crowd.close()
        pg_database.rows(f"REVOKE SELECT ON role FROM colleague_{name}")
        for role in ("plain", "signaller", "colleague"):
            pg_database.rows(f"DROP ROLE {role}_{name}")


def test_what_cannot_be_recorded_is_said_and_not_undone(workspace: Workspace, crowd: Sessions, state_dir: Path) -> None:
    state_dir.parent.mkdir(parents=True)
    state_dir.write_text("a file, where the state directory should be")
    pid = crowd.holding("SELECT * FROM role").info.backend_pid
    done = signals.signal_session(workspace, found(workspace, pid), "terminate")
    assert done.settled
    assert f"Session {pid} has ended. The signal is not on record" in done.message


def test_a_query_that_does_not_hear_is_not_said_to_have_ended_because_the_line_is_slow(
    workspace: Workspace, crowd: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = crowd.running(DEAF)
    eventually(lambda: found(workspace, pid).query == DEAF)
    look, clock = workspace.backend.sessions, [0.0]

    def slow(backend: Backend, connection: Connection) -> tuple[Session, ...]:
        sessions = look(connection)
        clock[0] += 3600  # which the answer takes to arrive
        return sessions

    monkeypatch.setattr(type(workspace.backend), "sessions", slow)
    monkeypatch.setattr(
        signals, "time", SimpleNamespace(monotonic=lambda: clock[0] + time.monotonic(), sleep=lambda _seconds: None)
    )
    told = signals.signal_session(workspace, found(workspace, pid), "cancel")
    assert told.settled is False
    assert "still runs that query" in told.message


def test_a_process_that_has_a_sqlite_file_locked_is_not_ours_to_signal(sqlite_database: SqliteDatabase) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    workspace = Workspace(Selection(url=sqlite_database.url))
    session = Session(4711, "mage", "python", None, "writing", None, None, None)
    with closing(sqlite3.connect(sqlite_database.path)), pytest.raises(RefusedError, match="with: kill 4711"):
        signals.signal_session(workspace, session, "terminate")


def test_looking_again_and_again_is_as_rare_as_it_costs(workspace: Workspace, crowd: Sessions) -> None:
    pid = crowd.holding("SELECT * FROM role").info.backend_pid
    with closing(listing.poll_sessions(workspace)) as looks:
        for _ in range(3):
            look = next(looks)
            assert pid in [session.pid for session in look.sessions]
            assert look.rest >= POLL_SECONDS
