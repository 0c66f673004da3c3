"""The wait queue as the server serves it: who is next, and what ending a session changes for the others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from magetui.engine.sessions.listing import list_sessions
from magetui.engine.sessions.queue import effect_of_ending, served_in_order
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.sessions import Session
from magetui.text import wait_queue
from tests.support.blocked import Sessions, sessions
from tests.support.databases import PostgresDatabase

pytestmark = pytest.mark.every_version


@pytest.fixture
def crowd(pg_database: PostgresDatabase) -> Iterator[Sessions]:
    pg_database.rows("CREATE TABLE t (id int)")
    pg_database.rows("INSERT INTO t VALUES (1)")
    with sessions(pg_database) as made:
        yield made


def sessions_of(database: PostgresDatabase) -> dict[str, Session]:
    return {session.application or "": session for session in list_sessions(Workspace(Selection(url=database.url)))}


def test_ending_the_holder_of_a_lock_frees_the_first_in_the_queue_and_not_those_behind_it(
    pg_database: PostgresDatabase, crowd: Sessions
) -> None:
    crowd.holding("SELECT * FROM t", application="holder")
    crowd.waiting("ALTER TABLE t ADD COLUMN a int", application="deploy")
    crowd.waiting("SELECT * FROM t", application="api")
    by_name = sessions_of(pg_database)
    everybody = [*by_name.values()]
    holder, deploy, api = (by_name[name] for name in ("holder", "deploy", "api"))
    assert [session.application for session in served_in_order(everybody)] == ["deploy", "api"]
    ended = effect_of_ending(holder.pid, everybody)
    assert (ended.freed, ended.still) == ((deploy,), ())
    assert ended.behind == (api,)
    assert list(wait_queue.effect(holder, everybody)) == [
        f"Ending it frees {deploy.pid} (deploy) at once.",
        f"{api.pid} (api) then waits for {deploy.pid}.",
    ]
    # The reader needs no lock that somebody holds: it waits for the session before it in the queue.
    assert list(wait_queue.effect(deploy, everybody)) == [f"Ending it frees {api.pid} (api) at once."]
    assert wait_queue.ahead(api, everybody) == f"{deploy.pid} (deploy) is next and takes access exclusive on t."


def test_a_run_behind_another_waiter_is_told_that_ending_the_holder_is_not_enough(
    pg_database: PostgresDatabase, crowd: Sessions
) -> None:
    crowd.holding("SELECT * FROM t", application="holder")
    crowd.waiting("LOCK TABLE t IN ACCESS EXCLUSIVE MODE", application="deploy")
    crowd.waiting("ALTER TABLE t ADD COLUMN b int", application="ours")
    by_name = sessions_of(pg_database)
    everybody = [*by_name.values()]
    holder, deploy, ours = (by_name[name] for name in ("holder", "deploy", "ours"))
    assert wait_queue.ahead(ours, everybody) == (
        f"Ending {holder.pid} is not enough: {deploy.pid} (deploy) is next and takes access exclusive on t."
    )
    assert f"{ours.pid} (ours) still waits for {deploy.pid}." in list(wait_queue.effect(holder, everybody))


def test_a_row_lock_is_told_from_a_table_lock(pg_database: PostgresDatabase, crowd: Sessions) -> None:
    crowd.holding("UPDATE t SET id = 2", application="holder")
    crowd.waiting("UPDATE t SET id = 3", application="writer")
    waits_for = sessions_of(pg_database)["writer"].waits_for
    assert waits_for is not None
    assert (waits_for.relation or "").startswith("the end of transaction ")
