"""Catalogs read while somebody holds locks, lacks rights or left a mess, on real servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg2
import pytest
from psycopg2 import extensions
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from magetui.backends.postgresql import catalog
from magetui.backends.postgresql.backend import PostgreSQL
from magetui.model.schema import Column, Constraint, ForeignKey, Index, Leftover, Table
from magetui.model.sessions import HeldLock, LockWait, Session
from tests.support.postgres import PostgresServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_version

PATIENCE = 30  # seconds that a reader would wait for a lock in the tests that show it waits for none


class Database:
    """The test's database: a reader as the program opens it, and sessions in its way, until the test ends."""

    def __init__(self, server: PostgresServer, url: str, stack: ExitStack) -> None:
        self._server = server
        self._stack = stack
        self.name = make_url(url).database or ""
        self.url = url
        self.reader = self.reading(url)

    def reading(self, url: str) -> Connection:
        engine = PostgreSQL().reader(make_url(url), "magetui")
        return self._stack.enter_context(engine.connect())

    def run(self, *statements: str) -> None:
        """Run each statement in a session of its own, committed."""
        for statement in statements:
            self._server.execute(self.name, statement)

    def session(self, *statements: str, application: str = "tests") -> extensions.connection:
        """A session that ran the statements in a transaction which stays open."""
        connection = self._server.connect(self.name, application_name=application)
        self._stack.enter_context(closing(connection))
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        return connection

    def waiting_session(self, statement: str, *before: str) -> int:
        """A session that waits with `statement` until the test ends; returns its pid."""
        connection = self.session(*before)
        pid = connection.info.backend_pid
        thread = threading.Thread(target=_execute, args=(connection, statement))
        thread.start()
        self._stack.callback(thread.join, 20)
        self._stack.callback(self.run, f"select pg_terminate_backend({pid})")
        eventually(lambda: self._waits(pid))
        return pid

    def role_url(self, role: str, *grants: str) -> str:
        """The URL of a new role, which is dropped after the test."""
        self.run(f"create role {role} login password 'x'", *grants)
        self._stack.callback(self.run, f"drop owned by {role}", f"drop role {role}")
        url = make_url(self.url).set(username=role, password="x")
        return url.render_as_string(hide_password=False)

    def _waits(self, pid: int) -> bool:
        sql = f"select wait_event_type = 'Lock' from pg_stat_activity where pid = {pid}"
        return bool(self._server.execute(self.name, sql)[0][0])


def _execute(connection: extensions.connection, statement: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.Error:
        return  # the end of the test ends it


@pytest.fixture
def catalogued(postgres: PostgresServer, pg_url: str) -> Iterator[Database]:
    with ExitStack() as stack:
        yield Database(postgres, pg_url, stack)


@contextmanager
def without_waiting(reader: Connection) -> Iterator[None]:
    """Fails if what happens inside waited for a lock, on however slow a machine."""
    reader.exec_driver_sql(f"set lock_timeout = '{PATIENCE}s'; set statement_timeout = '{2 * PATIENCE}s'")
    started = time.monotonic()
    yield
    assert time.monotonic() - started < PATIENCE


def _of(pid: int) -> Callable[[Session], bool]:
    return lambda session: session.pid == pid


# -- tables and their details


def test_a_table_is_told_in_full(catalogued: Database) -> None:
    catalogued.run(
        "create table team (id integer generated always as identity primary key, name text not null unique)",
        """create table member (
             team_id integer not null, number smallint, email varchar(255) default 'a b''c',
             score numeric(12, 2) constraint positive check (score > 0),
             label text generated always as (email || 'x') stored, primary key (team_id, number),
             constraint of_team foreign key (team_id) references team on delete cascade)""",
        "create index ix_email on member (email)",
        "create index ix_lower on member (lower(email), number desc) where score is not null",
    )
    member, team = catalog.table_details(catalogued.reader)
    assert member.columns == (
        Column("team_id", "integer", False),
        Column("number", "smallint", False),
        Column("email", "character varying(255)", True, "'a b''c'::character varying"),
        Column("score", "numeric(12,2)", True),
        Column("label", "text", True, "generated always as (((email)::text || 'x'::text)) stored"),
    )
    assert member.primary_key == ("team_id", "number")
    assert member.foreign_keys == (ForeignKey("of_team", ("team_id",), "public", "team", ("id",), "CASCADE"),)
    assert member.constraints == (Constraint("positive", "check", "CHECK ((score > (0)::numeric))", ("score",)),)
    plain, expression = member.indexes
    assert plain == Index("ix_email", ("email",))
    assert expression.columns == ("lower(email::text)", "number")
    assert expression.definition is not None
    assert "WHERE (score IS NOT NULL)" in expression.definition
    assert "number DESC" in expression.definition
    assert team.columns[0] == Column("id", "integer", False, "generated always as identity")
    assert team.indexes == (Index("team_name_key", ("name",), unique=True),)
    assert team.constraints == (Constraint("team_name_key", "unique", "UNIQUE (name)", ("name",)),)


def test_one_table_is_the_same_alone_as_among_all(catalogued: Database) -> None:
    catalogued.run(
        "create schema other",
        "create table other.parent (a integer, b integer, primary key (b, a))",
        "create table child (x integer, y integer default 7)",
        "alter table child add foreign key (y, x) references other.parent (b, a)",
        "create table other.child (z integer)",
    )
    everything = catalog.table_details(catalogued.reader)
    [child] = catalog.table_details(catalogued.reader, "public", "child")
    assert child in everything
    assert child.foreign_keys[0].referred_columns == ("b", "a")
    assert [(d.table.schema, d.table.name) for d in everything] == [
        ("other", "child"),
        ("other", "parent"),
        ("public", "child"),
    ]
    assert len(catalog.table_details(catalogued.reader, None, "child")) == 2
    assert catalog.table_details(catalogued.reader, "public", "absent") == ()


def test_names_with_quotes_percent_signs_spaces_and_newlines_come_through(catalogued: Database) -> None:
    table, column, index = 'a "b" %s %%\n', '1 t, 23 -1 "x" %(y)s\n{},', "ix '%' "
    q = {name: '"' + name.replace('"', '""') + '"' for name in (table, column, index)}
    catalogued.run(
        f"create schema {q[index]}",
        f"create table {q[index]}.{q[table]} ({q[column]} text default '…%' not null, plain text)",
        f"create index {q[index]} on {q[index]}.{q[table]} ({q[column]})",
    )
    [detail] = catalog.table_details(catalogued.reader, index, table)
    assert (detail.table.schema, detail.table.name) == (index, table)
    assert [c.name for c in detail.columns] == [column, "plain"]
    assert detail.columns[0].default == "'…%'::text"
    assert detail.indexes == (Index(index, (column,)),)
    assert catalog.tables(catalogued.reader, index) == (detail.table,)


def test_partitions_are_listed_like_their_parent_and_temporary_tables_are_not(catalogued: Database) -> None:
    catalogued.run(
        "create table run (id integer, day date not null) partition by range (day)",
        "create table run_2024 partition of run for values from ('2024-01-01') to ('2025-01-01')",
    )
    catalogued.session("create temporary table scratch (id integer)")
    assert [table.name for table in catalog.tables(catalogued.reader)] == ["run", "run_2024"]


def test_a_dropped_column_shifts_no_name(catalogued: Database) -> None:
    catalogued.run(
        "create table t (a integer, b integer, c integer)",
        "alter table t drop column a",
        "create index ix_c on t (c)",
    )
    [detail] = catalog.table_details(catalogued.reader)
    assert [c.name for c in detail.columns] == ["b", "c"]
    assert detail.indexes == (Index("ix_c", ("c",)),)


def test_an_index_that_names_do_not_describe_has_its_definition(catalogued: Database) -> None:
    catalogued.run(
        "create table t (a integer, b text)",
        "create index covering on t (a) include (b)",
        "create index falling on t (a desc)",
        "create index hashed on t using hash (a)",
        "create index patterns on t (b text_pattern_ops)",
        "create index plain on t (b, a)",
    )
    [detail] = catalog.table_details(catalogued.reader)
    indexes = {index.name: index for index in detail.indexes}
    assert {name for name, index in indexes.items() if index.definition is None} == {"plain"}
    assert indexes["covering"].columns == ("a",)
    assert indexes["plain"].columns == ("b", "a")
    assert "text_pattern_ops" in (indexes["patterns"].definition or "")


def test_rows_are_known_before_and_after_the_first_analyze(catalogued: Database) -> None:
    catalogued.run("create table filled (id integer)", "create table hollow (id integer)")
    catalogued.run("insert into filled select generate_series(1, 1000)")

    def rows() -> dict[str, int | None]:
        return {table.name: table.rows for table in catalog.tables(catalogued.reader)}

    eventually(lambda: rows() == {"filled": 1000, "hollow": 0})  # statistics are sent when a session ends
    catalogued.run("analyze")
    assert rows() == {"filled": 1000, "hollow": 0}
    [filled, hollow] = catalog.tables(catalogued.reader)
    assert filled.bytes is not None
    assert filled.bytes >= 1000 * 4
    assert hollow.bytes == 0
    assert filled.owner == "mage"


def test_of_a_long_listing_only_large_tables_are_measured(catalogued: Database) -> None:
    catalogued.run(
        ";".join(f"create table small_{n} (id integer)" for n in range(1, 601)),
        "create table large as select generate_series(1, 50000) as id",
        "create index ix on large (id)",
        "insert into small_1 values (1)",
        "analyze",
    )
    sizes = {table.name: table.bytes for table in catalog.tables(catalogued.reader)}
    assert sizes["large"] == catalogued.reader.exec_driver_sql("select pg_total_relation_size('large')").scalar()
    assert sizes["small_1"] == 8192
    assert sizes["small_2"] is None


@pytest.mark.parametrize(
    "lock",
    ["lock table busy in access exclusive mode", "alter table busy add column b integer", "reindex index ix"],
)
def test_a_table_locked_access_exclusive_is_still_listed_without_waiting(catalogued: Database, lock: str) -> None:
    catalogued.run(
        "create table busy (id integer default 1 + 1 check (id > 0), note text)",
        "create index ix on busy ((id + 1))",
        "create table free (id integer default 7)",
    )
    catalogued.session(lock)
    with without_waiting(catalogued.reader):
        assert [t.name for t in catalog.tables(catalogued.reader)] == ["busy", "free"]
        busy, free = catalog.table_details(catalogued.reader)
    assert busy.table.bytes is None
    assert busy.columns == (Column("id", "integer", True, "…"), Column("note", "text", True))
    assert busy.indexes == (Index("ix", ("…",), definition=None),)
    assert [(c.kind, c.definition) for c in busy.constraints] == [("check", "…")]
    assert free.columns[0].default == "7"
    assert free.table.bytes == 0


def test_a_migration_that_only_waits_for_its_lock_makes_no_reader_wait(catalogued: Database) -> None:
    catalogued.run("create table busy (id integer default 1)")
    catalogued.session("select * from busy")
    catalogued.waiting_session("alter table busy add column b integer")
    with without_waiting(catalogued.reader):
        [busy] = catalog.table_details(catalogued.reader)
    assert busy.columns[0].default == "…"


@pytest.mark.slow
@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])  # no version reads a chain in another way
def test_a_chain_of_three_thousand_foreign_keys_is_no_recursion(catalogued: Database) -> None:
    chain = "".join(f"create table t{n} (id integer primary key references t{n - 1} (id));" for n in range(1, 3000))
    catalogued.run("create table t0 (id integer primary key);" + chain)
    details = catalog.table_details(catalogued.reader)
    assert len(details) == 3000
    assert sum(len(detail.foreign_keys) for detail in details) == 2999
    assert {key.referred_columns for detail in details for key in detail.foreign_keys} == {("id",)}


# -- version tables


def test_of_two_version_tables_the_one_alembic_would_use_comes_first(catalogued: Database) -> None:
    catalogued.run(
        "create schema a",
        "create table a.alembic_version (version_num varchar(32))",
        "insert into a.alembic_version values ('old')",
        "create table public.alembic_version (version_num varchar(32))",
        "insert into public.alembic_version values ('two'), ('one')",
    )
    first, second = catalog.version_tables(catalogued.reader, "alembic_version", None)
    assert (first.schema, first.rows, first.effective) == ("public", ("one", "two"), True)
    assert (second.schema, second.rows, second.effective) == ("a", ("old",), False)
    first, second = catalog.version_tables(catalogued.reader, "alembic_version", "a")
    assert (first.schema, first.effective, second.effective) == ("a", True, False)
    first, second = catalog.version_tables(catalogued.reader, "alembic_version", "missing")
    assert not (first.effective or second.effective)
    assert catalog.version_tables(catalogued.reader, "absent", None) == ()


def test_a_version_table_with_a_wrong_column_says_so(catalogued: Database) -> None:
    catalogued.run("create table alembic_version (version text)")
    [table] = catalog.version_tables(catalogued.reader, "alembic_version", None)
    assert table.rows is None
    assert table.problem == "public.alembic_version has no column version_num: it is not a version table of Alembic's."


def test_a_locked_version_table_says_so_without_waiting(catalogued: Database) -> None:
    catalogued.run('create table "v %s" (version_num text)')
    catalogued.session('lock table "v %s" in access exclusive mode')
    with without_waiting(catalogued.reader):
        [table] = catalog.version_tables(catalogued.reader, "v %s", None)
    assert table.rows is None
    assert table.problem is not None
    assert table.problem.startswith("Another session has public.v %s locked (ACCESS EXCLUSIVE)")


def test_a_version_table_behind_a_locked_index_costs_the_lock_timeout_and_no_exception(
    catalogued: Database,
) -> None:
    catalogued.run("create table alembic_version (version_num text primary key)")
    catalogued.session("reindex index alembic_version_pkey")
    [table] = catalog.version_tables(catalogued.reader, "alembic_version", None)
    assert table.rows is None
    assert table.problem is not None
    assert "locked" in table.problem
    assert catalog.tables(catalogued.reader)  # and the connection still works


def test_a_role_without_rights_is_told_which_it_lacks(catalogued: Database) -> None:
    catalogued.run("create table alembic_version (version_num text)", "create table other (id integer)")
    reader = catalogued.reading(catalogued.role_url("nosy"))
    [table] = catalog.version_tables(reader, "alembic_version", None)
    assert table.rows is None
    assert table.problem is not None
    assert table.problem.startswith("This role may not read public.alembic_version")
    assert [t.name for t in catalog.tables(reader)] == ["alembic_version", "other"]
    assert [t.name for t in catalog.not_owned(reader)] == ["alembic_version", "other"]
    assert catalog.not_owned(reader)[0] == Table("public", "alembic_version", None, None, "mage")
    assert catalog.not_owned(catalogued.reader) == ()


def test_a_member_of_the_owning_role_owns_too(catalogued: Database) -> None:
    owner = catalogued.role_url("owner_role")
    member = catalogued.role_url("member_role", "grant owner_role to member_role")
    catalogued.run("create table t (id integer)", "alter table t owner to owner_role")
    assert catalog.not_owned(catalogued.reading(owner)) == ()
    assert catalog.not_owned(catalogued.reading(member)) == ()


# -- leftovers


def test_an_index_left_by_a_failed_concurrent_build_is_found(catalogued: Database) -> None:
    catalogued.run("create table t (id integer)", "insert into t values (1), (1)")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        catalogued.run("create unique index concurrently ux on t (id)")
    catalogued.run("create table _alembic_tmp_user (id integer)", "create table xalembicytmpzuser (id integer)")
    assert catalog.leftovers(catalogued.reader) == (
        Leftover("invalid-index", "public", "ux", "t"),
        Leftover("leftover-table", "public", "_alembic_tmp_user", "user"),
    )
    [t] = catalog.table_details(catalogued.reader, None, "t")
    assert t.indexes == (Index("ux", ("id",), unique=True, valid=False),)


@pytest.mark.parametrize("privileged", [True, False], ids=["as owner", "as a role that sees no progress"])
def test_an_index_that_is_being_built_is_no_leftover(
    postgres: PostgresServer, catalogued: Database, privileged: bool
) -> None:
    catalogued.run("create table t (id integer)")
    reader = catalogued.reader if privileged else catalogued.reading(catalogued.role_url("outsider"))
    catalogued.session("insert into t values (1)")
    builder = postgres.connect(catalogued.name, autocommit=True)
    thread = threading.Thread(target=_execute, args=(builder, "create index concurrently ix on t (id)"))
    thread.start()
    try:
        eventually(lambda: postgres.execute(catalogued.name, "select 1 from pg_index where not indisvalid"))
        assert catalog.leftovers(reader) == ()
    finally:
        catalogued.run(f"select pg_terminate_backend({builder.info.backend_pid})")
        thread.join(20)
        builder.close()
    assert catalog.leftovers(reader) == (Leftover("invalid-index", "public", "ix", "t"),)


# -- sessions


def test_a_chain_of_three_blocked_sessions_is_told_as_pg_blocking_pids_tells_it(catalogued: Database) -> None:
    catalogued.run("create table role (id integer)")
    holder = catalogued.session("select * from role", application="mage-server").info.backend_pid
    migration = catalogued.waiting_session("alter table role drop column id")
    reader = catalogued.waiting_session("select * from role")
    found = {session.pid: session for session in catalog.sessions(catalogued.reader)}
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


def test_waits_for_a_row_and_for_an_advisory_lock_are_described(catalogued: Database) -> None:
    catalogued.run("create table t (id integer primary key)", "insert into t values (1)")
    catalogued.session("update t set id = 1", "select pg_advisory_lock(1)")
    row = catalogued.waiting_session("update t set id = 1")
    second = catalogued.waiting_session("delete from t")
    advisory = catalogued.waiting_session("select pg_advisory_lock(1)")
    found = {session.pid: session.waits_for for session in catalog.sessions(catalogued.reader)}
    waited = found[row]
    assert waited is not None
    assert waited.relation is not None
    assert waited.relation.startswith("transaction ")
    assert waited.mode == "SHARE"
    assert found[second] == LockWait("a row of t", "ACCESS EXCLUSIVE")
    assert found[advisory] == LockWait("advisory lock", "EXCLUSIVE")


def test_a_role_that_may_not_look_sees_who_blocks_but_not_what_they_do(catalogued: Database) -> None:
    catalogued.run("create table role (id integer)")
    holder = catalogued.session("select * from role").info.backend_pid
    waiter = catalogued.waiting_session("drop table role")
    reader = catalogued.reading(catalogued.role_url("blind"))
    found = {session.pid: session for session in catalog.sessions(reader)}
    assert found[waiter].blocked_by == (holder,)
    assert found[waiter].waits_for == LockWait("role", "ACCESS EXCLUSIVE")
    assert found[holder].holds == (HeldLock("role", "ACCESS SHARE"),)
    assert (found[holder].query, found[holder].state, found[holder].transaction_ms) == (None, None, None)


def test_a_session_of_another_database_is_not_shown(catalogued: Database, postgres: PostgresServer) -> None:
    with closing(postgres.connect("postgres")) as elsewhere:
        assert not [*filter(_of(elsewhere.info.backend_pid), catalog.sessions(catalogued.reader))]


def test_a_table_outside_the_search_path_is_named_with_its_schema(catalogued: Database) -> None:
    catalogued.run("create schema side", "create table side.t (id integer)")
    holder = catalogued.session("lock table side.t in exclusive mode").info.backend_pid
    [session] = filter(_of(holder), catalog.sessions(catalogued.reader))
    assert session.holds == (HeldLock("side.t", "EXCLUSIVE"),)


@pytest.mark.slow
def test_two_hundred_sessions_are_cheap(catalogued: Database) -> None:
    catalogued.run("create table t (id integer primary key)")
    for _ in range(200):
        catalogued.session("select * from t")
    started = time.monotonic()
    found = catalog.sessions(catalogued.reader)
    assert time.monotonic() - started < 3
    assert [session.holds for session in found].count((HeldLock("t", "ACCESS SHARE"),)) == 200
