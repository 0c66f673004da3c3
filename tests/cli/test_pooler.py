"""PgBouncer in between: what cannot hold there is refused, and looking leaves nothing to its other clients."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from magetui.backends import backend_for
from tests.support.alembic_project import AlembicProject, linear, make_project
from tests.support.command import Magetui, Outcome
from tests.support.databases import PostgresDatabase
from tests.support.debian import DebianServer, PgBouncer
from tests.support.leaks import nowhere

pytestmark = [pytest.mark.slow, pytest.mark.debian]

CHANGES = (
    ("migrate", "--yes"),
    ("rollback", "--revision", "-1", "--yes"),
    ("stamp", "rev1", "--yes"),
    ("verify", "--yes"),
    ("backup",),
)


@pytest.fixture
def debian_database(
    debian: DebianServer, debian_url: str, magetui: Magetui, project: AlembicProject
) -> PostgresDatabase:
    """One revision behind."""
    done = magetui("--config", project.ini, "--url", debian_url, "migrate", "--revision", "rev2", "--yes")
    assert done.status == 0, done
    return PostgresDatabase(debian, debian_url.rpartition("/")[2])


@pytest.fixture(scope="module")
def transactions(debian: DebianServer) -> Iterator[PgBouncer]:
    with PgBouncer(debian, "transaction") as pooler:
        yield pooler


@pytest.fixture(scope="module")
def sessions(debian: DebianServer) -> Iterator[PgBouncer]:
    """It drops what it does not know of a client's login."""
    with PgBouncer(debian, "session", size=20, ignored="options") as pooler:
        yield pooler


def text(outcome: Outcome) -> str:
    """What was told, as one line."""
    return " ".join((outcome.stdout + outcome.stderr).split())


def test_transaction_pooler_is_told_and_every_change_refused_with_where_the_server_is(
    magetui: Magetui,
    project: AlembicProject,
    debian_database: PostgresDatabase,
    transactions: PgBouncer,
    state_dir: Path,
) -> None:
    before, common = debian_database.content, ("--config", project.ini, "--url", transactions.url(debian_database.name))
    found = magetui(*common, "--json", "diagnose")
    assert found.status == 3, found
    assert found.json["current"] == ["rev2"]
    findings = {finding["code"]: finding for finding in found.json["findings"]}
    assert findings["pooler"]["severity"] == "warning"
    assert findings["behind"]["next"] == "connect", "what would be refused is not what comes next"
    assert findings["pooler"]["facts"]["keeps_sessions"] is False
    assert "Reading works; changes and backups are refused here." in findings["pooler"]["message"]
    direct = f"Connect to the server itself: it listens on port {debian_database.server.port}"
    assert direct in findings["pooler"]["message"]
    for verb in CHANGES:
        refused = magetui(*common, *verb)
        assert refused.status == 4, refused
        assert "A connection pooler is in between, and" in text(refused)
        assert direct in text(refused)
        nowhere([refused, state_dir])
    assert "This cannot be done here. A connection pooler is in between" in text(magetui(*common, "plan", "migrate"))
    assert not list(magetui.directory.glob("*.dump*"))
    assert debian_database.content == before


def test_looking_through_a_transaction_pooler_leaves_nothing_to_its_next_client(
    magetui: Magetui, project: AlembicProject, debian_database: PostgresDatabase, transactions: PgBouncer
) -> None:
    common = ("--config", project.ini, "--url", transactions.url(debian_database.name))
    with closing(transactions.session(debian_database.name)) as client, client.cursor() as cursor:
        cursor.execute("insert into t1 (name) values ('a')")  # the pool's one session is there before we look
        for verb in (("diagnose",), ("schema", "t1"), ("locks",), ("evidence",), ("plan", "rollback", "-1"), ("runs",)):
            assert magetui(*common, *verb).status in (0, 3)
        cursor.execute("select name, setting from pg_settings where source = 'session' and setting <> reset_val")
        assert cursor.fetchall() == []
        cursor.execute("select count(*) from pg_locks where locktype = 'advisory'")
        assert cursor.fetchall() == [(0,)]
        cursor.execute("insert into t1 (name) values ('b')")


def test_query_through_a_pooler_writes_nothing_and_gives_up_on_a_lock(
    debian_database: PostgresDatabase, transactions: PgBouncer
) -> None:
    url = make_url(transactions.url(debian_database.name))
    with backend_for(url).reader(url, "magetui").connect() as connection:
        with pytest.raises(DBAPIError, match="read-only transaction"):
            connection.exec_driver_sql("insert into t1 (name) values ('a')")
        with debian_database.session("lock table t1 in access exclusive mode"):
            began = time.monotonic()
            with pytest.raises(DBAPIError, match="lock timeout"):
                connection.exec_driver_sql("select * from public.t1")
            assert time.monotonic() - began < 5
        assert connection.exec_driver_sql("select count(*) from public.t1").scalar() == 0


def test_counting_rows_through_a_pooler_keeps_to_its_time(
    magetui: Magetui, project: AlembicProject, debian_database: PostgresDatabase, transactions: PgBouncer
) -> None:
    debian_database.rows("insert into t2 (name) select 'x' from generate_series(1, 7)")
    done = magetui("--config", project.ini, "--url", transactions.url(debian_database.name), "plan", "rollback", "-1")
    assert done.status == 0, done
    assert "table t2 with 7 rows" in done.stdout


def test_pooler_that_keeps_sessions_is_as_good_as_the_server(
    magetui: Magetui, project: AlembicProject, debian_database: PostgresDatabase, sessions: PgBouncer, state_dir: Path
) -> None:
    common = ("--config", project.ini, "--url", sessions.url(debian_database.name))
    done = magetui(*common, "migrate", "--yes")
    assert done.status == 0, done
    found = magetui(*common, "--json", "diagnose")
    assert found.status == 0, found
    [told] = [finding for finding in found.json["findings"] if finding["code"] == "pooler"]
    assert (told["severity"], told["facts"]["keeps_sessions"]) == ("info", True)
    assert magetui(*common, "stamp", "rev2", "--yes").status == 0
    assert magetui(*common, "stamp", "rev3", "--yes").status == 0
    # The watcher sees the session of the server's, not the number that the pooler has made up.
    with debian_database.session("select * from t3") as holder:
        blocked = magetui(*common, "rollback", "--revision", "-1", "--yes", "--lock-timeout-seconds", "4")
        assert blocked.status == 5, blocked
        assert f"blocker: {holder.info.backend_pid}  mage  mage-server" in blocked.stdout
    assert magetui(*common, "rollback", "--revision", "-1", "--yes").status == 0
    assert debian_database.current == ["rev2"]
    saved = magetui(*common, "backup")
    assert saved.status == 0, saved
    nowhere([saved, state_dir])


def test_pooler_that_refuses_the_search_path_of_a_url_is_told_as_the_cause(
    magetui: Magetui, project: AlembicProject, debian_database: PostgresDatabase, transactions: PgBouncer
) -> None:
    url = f"{transactions.url(debian_database.name)}?options=-csearch_path%3Dteam"
    found = magetui("--config", project.ini, "--url", url, "--json", "diagnose")
    assert found.status == 3, found
    [finding] = [one for one in found.json["findings"] if one["code"] == "cannot-connect"]
    assert finding["facts"]["cause"] == "pooler"
    assert "unsupported startup parameter" in finding["message"]
    assert "Connect to the server itself" in finding["message"]


def test_pooler_that_drops_the_search_path_of_a_url_gets_no_migration_into_another_schema(
    magetui: Magetui, project: AlembicProject, debian_database: PostgresDatabase, sessions: PgBouncer
) -> None:
    before = debian_database.content
    common = ("--config", project.ini, "--url", f"{sessions.url(debian_database.name)}?options=-csearch_path%3Dteam")
    told = magetui(*common, "diagnose")
    assert told.status == 3, told
    assert "it dropped the search_path of the URL, team." in text(told)
    refused = magetui(*common, "migrate", "--yes")
    assert refused.status == 4, refused
    assert "it dropped the search_path of the URL, team." in text(refused)
    assert debian_database.content == before


def test_env_py_that_connects_through_a_pooler_by_itself_is_stopped_before_it_sets_anything(
    magetui: Magetui, debian_database: PostgresDatabase, transactions: PgBouncer, tmp_path: Path
) -> None:
    by_itself = make_project(tmp_path / "by-itself", linear(3), "sqlite://")
    env = by_itself.versions.with_name("env.py")
    pooled = transactions.url(debian_database.name)
    env.write_text(
        env.read_text().replace("engine = engine", f"section['sqlalchemy.url'] = {pooled!r}\n    engine = engine")
    )
    before = debian_database.content
    refused = magetui("--config", by_itself.ini, "--url", debian_database.url, "migrate", "--yes")
    assert refused.status == 4, refused
    assert "env.py connects through a connection pooler" in text(refused)
    assert debian_database.content == before
    with closing(transactions.session(debian_database.name)) as client, client.cursor() as cursor:
        cursor.execute("select name from pg_settings where source = 'session' and name ~ 'timeout|read_only'")
        assert cursor.fetchall() == []


def test_lock_that_mage_left_behind_in_the_pool_is_told_as_one_that_may_be_nobodys(
    magetui: Magetui, mage_home: Path, debian_database: PostgresDatabase, transactions: PgBouncer
) -> None:
    with closing(transactions.session(debian_database.name)) as mage, mage.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(1)")  # as Mage does when it starts
    through = ("--mage-path", mage_home, "--url", transactions.url(debian_database.name))
    found = magetui(*through, "--json", "diagnose")
    [finding] = [one for one in found.json["findings"] if one["code"] == "migration-running"]
    assert "leaves this lock on a session of the server" in finding["message"]
    ended = magetui(
        "--url", debian_database.url, "--mage-path", mage_home, "locks", "--terminate", finding["facts"]["pid"], "--yes"
    )
    assert ended.status == 0, ended
    found = magetui(*through, "--json", "diagnose")
    assert "migration-running" not in [one["code"] for one in found.json["findings"]]
