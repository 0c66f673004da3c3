"""Sessions of PostgreSQL with their locks and blockers, on real servers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import pytest

from magetui.backends.postgresql.sessions import sessions
from magetui.model.sessions import HeldLock, LockWait, Session
from tests.support.cataloged import CatalogedDatabase
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.every_version


def _of(pid: int) -> Callable[[Session], bool]:
    return lambda session: session.pid == pid


def test_a_chain_of_three_blocked_sessions_is_told_as_pg_blocking_pids_tells_it(catalogued: CatalogedDatabase) -> None:
    catalogued.run("create table role (id integer)")
    holder = catalogued.session("select * from role", application="mage-server").info.backend_pid
    migration = catalogued.waiting_session("alter table role drop column id")
    reader = catalogued.waiting_session("select * from role")
    found = {session.pid: session for session in sessions(catalogued.reader)}
    assert list(found) == sorted(found)
    for pid in (holder, migration, reader):
        blocking = catalogued.reader.exec_driver_sql(f"select pg_blocking_pids({pid})").scalar()
        assert list(found[pid].blocked_by) == blocking
    assert found[migration].blocked_by == (holder,)
    assert found[reader].blocked_by == (migration,)
    assert found[migration].waits_for == LockWait("role", "ACCESS EXCLUSIVE")
    assert found[migration].holds == ()
    assert found[migration].query == "alter table role drop column id"
    assert found[holder].holds == (HeldLock("role", "ACCESS SHARE"),)
    assert found[holder].waits_for is None
    assert found[holder].application == "mage-server"
    assert (found[holder].user, found[holder].client) == ("mage", "127.0.0.1")
    assert found[holder].state == "idle in transaction"
    transaction_ms, query_ms = found[holder].transaction_ms, found[holder].query_ms
    assert transaction_ms is not None
    assert query_ms is not None
    assert 0 <= query_ms <= transaction_ms < 60_000


def test_waits_for_a_row_and_for_an_advisory_lock_are_described(catalogued: CatalogedDatabase) -> None:
    catalogued.run("create table t (id integer primary key)", "insert into t values (1)")
    catalogued.session("update t set id = 1", "select pg_advisory_lock(1)")
    row = catalogued.waiting_session("update t set id = 1")
    second = catalogued.waiting_session("delete from t")
    advisory = catalogued.waiting_session("select pg_advisory_lock(1)")
    found = {session.pid: session.waits_for for session in sessions(catalogued.reader)}
    waited = found[row]
    assert waited is not None
    assert waited.relation is not None
    assert waited.relation.startswith("the end of transaction ")
    assert waited.mode == "SHARE"
    assert found[second] == LockWait("a row of t", "ACCESS EXCLUSIVE")
    assert found[advisory] == LockWait("advisory lock", "EXCLUSIVE")


def test_a_role_that_may_not_look_sees_who_blocks_but_not_what_they_do(catalogued: CatalogedDatabase) -> None:
    catalogued.run("create table role (id integer)")
    holder = catalogued.session("select * from role").info.backend_pid
    waiter = catalogued.waiting_session("drop table role")
    reader = catalogued.reading(catalogued.role_url("blind"))
    found = {session.pid: session for session in sessions(reader)}
    assert found[waiter].blocked_by == (holder,)
    assert found[waiter].waits_for == LockWait("role", "ACCESS EXCLUSIVE")
    assert found[holder].holds == (HeldLock("role", "ACCESS SHARE"),)
    assert (found[holder].query, found[holder].state, found[holder].transaction_ms) == (None, None, None)


def test_a_session_of_another_database_is_not_shown(catalogued: CatalogedDatabase, postgres: PostgresServer) -> None:
    with closing(postgres.connect("postgres")) as elsewhere:
        assert not [*filter(_of(elsewhere.info.backend_pid), sessions(catalogued.reader))]


def test_a_table_outside_the_search_path_is_named_with_its_schema(catalogued: CatalogedDatabase) -> None:
    catalogued.run("create schema side", "create table side.t (id integer)")
    holder = catalogued.session("lock table side.t in exclusive mode").info.backend_pid
    [session] = filter(_of(holder), sessions(catalogued.reader))
    assert session.holds == (HeldLock("side.t", "EXCLUSIVE"),)


@pytest.mark.slow
def test_two_hundred_sessions_are_cheap(catalogued: CatalogedDatabase) -> None:
    catalogued.run("create table t (id integer primary key)")
    for _ in range(200):
        catalogued.session("select * from t")
    started = time.monotonic()
    found = sessions(catalogued.reader)
    assert time.monotonic() - started < 3
    assert [session.holds for session in found].count((HeldLock("t", "ACCESS SHARE"),)) == 200
