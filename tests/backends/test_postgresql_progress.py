"""Long statements that somebody watches: held where the test wants them, and asked how far they have come.

A function in the statement waits at certain rows for an advisory lock that the test holds: a gate.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import psycopg2
import pytest
from psycopg2 import extensions
from sqlalchemy.engine import make_url

from magetui.backends.postgresql.backend import PostgreSQL
from magetui.model.sessions import StatementProgress
from tests.support.databases import PostgresDatabase
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.every_version]

ROWS = 60_000
FIRST, MIDDLE, LATE = 1, ROWS // 2, ROWS * 3 // 4
BLOCK = 8192
GATE = f"""
create function gate(row_number int) returns int language plpgsql immutable as $$ begin
    if row_number in ({FIRST}, {MIDDLE}, {LATE}) then perform pg_advisory_xact_lock_shared(row_number); end if;
    return row_number;
end $$
"""
TABLE = f"""
create table pipeline_run as
    select i as id, repeat('x', 200)::varchar(300) as name, 0 as attempt from generate_series(1, {ROWS}) i
"""


class Watch:
    """One session that runs statements, gates in its way, and the reader that asks about it."""

    def __init__(self, database: PostgresDatabase, stack: ExitStack) -> None:
        self.database = database
        self._stack = stack
        for statement in (GATE, TABLE):
            database.rows(statement)
        self._gates: dict[int, extensions.connection] = {}
        self.session = self.connect()
        self._thread: threading.Thread | None = None
        self.error: psycopg2.Error | None = None
        self._ask = self.asking(database.url)
        stack.callback(self._end)

    def connect(self, user: str | None = None) -> extensions.connection:
        login = {} if user is None else {"user": user, "password": "x"}
        connection = self.database.server.connect(self.database.name, autocommit=True, **login)
        return self._stack.enter_context(closing(connection))

    def role(self, name: str) -> None:
        """A role that may do nothing in particular, until the test's end."""
        self.database.rows(f"create role {name} login password 'x'")
        self._stack.callback(self.database.rows, f"drop owned by {name}; drop role {name}")

    def asking(self, url: str, role: str | None = None) -> Callable[[], StatementProgress | None]:
        """Asks as the program does, on a reader of the role."""
        backend = PostgreSQL()
        login = make_url(url) if role is None else make_url(url).set(username=role, password="x")
        reader = self._stack.enter_context(backend.reader(login, "magetui").connect())
        return lambda: backend.progress(reader, self.session.info.backend_pid)

    def close_gates(self, *rows: int) -> None:
        for row in rows:
            self._gates[row] = self.connect()
            with self._gates[row].cursor() as cursor:
                cursor.execute("select pg_advisory_lock(%s)", (row,))

    def open_gate(self, row: int) -> None:
        self._gates.pop(row).close()

    def execute(self, *statements: str) -> None:
        """Run the statements in the session, to the end."""
        with self.session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def start(self, statement: str, *others: str) -> None:
        """Begin to run the statement in the session, after others."""
        self.execute(*others)
        self.run(lambda: self.execute(statement))

    def run(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except psycopg2.Error as error:
                self.error = error

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def finish(self) -> None:
        """Open every gate and let the statement come to its end."""
        for row in list(self._gates):
            self.open_gate(row)
        assert self._thread is not None
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.error is None
        assert self._ask() is None

    def cancel(self) -> None:
        self.database.rows(f"select pg_cancel_backend({self.session.info.backend_pid})")

    def _end(self) -> None:
        for gate in self._gates.values():
            gate.close()
        if self._thread is not None and self._thread.is_alive():
            with suppress(psycopg2.Error):
                self.database.rows(f"select pg_terminate_backend({self.session.info.backend_pid})")
            self._thread.join(30)

    def progress(self) -> StatementProgress | None:
        return self._ask()

    def until(
        self, condition: Callable[[StatementProgress], bool], ask: Callable[[], StatementProgress | None] | None = None
    ) -> StatementProgress:
        """The first progress that is told and of which the condition holds."""
        ask = ask or self._ask

        def told() -> StatementProgress | None:
            now = ask()
            return now if now is not None and condition(now) else None

        found = eventually(told, 20, lambda: f"{ask()} {self.error}")
        assert found is not None
        return found

    def at_gate(self, row: int) -> None:
        """Wait until the statement stands at the gate."""
        sql = f"select 1 from pg_locks where locktype = 'advisory' and objid = {row} and not granted"
        eventually(lambda: self.database.rows(sql), 20, lambda: str(self.error))

    def second_is_over(self) -> None:
        """Wait until a file that is written now is seen to be newer than the statement."""
        sql = f"""
            select 1 from pg_stat_activity where pid = {self.session.info.backend_pid}
            and clock_timestamp() > date_trunc('second', query_start) + interval '1.05 s'
        """
        eventually(lambda: self.database.rows(sql))

    def blocks(self, relation: str) -> int:
        [(size,)] = self.database.rows(f"select pg_relation_size('{relation}')")
        assert isinstance(size, int)
        return size // BLOCK


@pytest.fixture
def watch(pg_database: PostgresDatabase) -> Iterator[Watch]:
    with ExitStack() as stack:
        yield Watch(pg_database, stack)


# -- indexes


def test_index_build_tells_how_much_of_the_table_is_read(watch: Watch) -> None:
    blocks = watch.blocks("pipeline_run")
    watch.close_gates(MIDDLE, LATE)
    watch.start("create index on pipeline_run (gate(id))")
    watch.at_gate(MIDDLE)
    seen = watch.progress()
    assert seen is not None
    assert (seen.doing, seen.relation, seen.unit) == ("building index", "pipeline_run", "blocks")
    assert seen.phase == "building index: scanning table"
    assert not seen.estimate
    assert seen.total == blocks
    assert 0.45 * blocks < seen.done < 0.55 * blocks
    watch.open_gate(MIDDLE)
    watch.at_gate(LATE)
    later = watch.progress()
    assert later is not None
    assert later.total == blocks
    assert 0.7 * blocks < later.done < 0.8 * blocks
    watch.finish()


def test_index_build_tells_of_rows_once_the_table_is_read(watch: Watch) -> None:
    watch.database.rows("insert into pipeline_run select i, 'y', 0 from generate_series(1, 1000000) i")
    watch.start("create index on pipeline_run (id)", "set max_parallel_maintenance_workers = 0")
    seen: list[StatementProgress] = []

    def loads(now: StatementProgress) -> bool:
        seen.append(now)
        return now.phase == "building index: loading tuples in tree"

    loading = watch.until(loads)
    assert (loading.unit, loading.total) == ("rows", ROWS + 1_000_000)
    assert 0 <= loading.done <= ROWS + 1_000_000
    for unit in ("blocks", "rows"):
        done = [now.done for now in seen if now.unit == unit]
        assert done == sorted(done)
    watch.finish()


def test_concurrent_build_names_how_many_sessions_it_still_waits_for(watch: Watch) -> None:
    writers = [watch.connect() for _ in range(2)]
    for row, writer in enumerate(writers, 1):
        writer.autocommit = False
        with writer.cursor() as cursor:
            cursor.execute(f"update pipeline_run set attempt = 1 where id = {row}")
    watch.start("create index concurrently on pipeline_run (attempt)")
    seen = watch.until(lambda now: now.unit == "sessions" and now.total == 2)
    assert seen.doing == "building index concurrently"
    assert seen.relation == "pipeline_run"
    assert seen.phase == "waiting for writers before build"
    assert seen.done == 0
    writers[0].rollback()
    writers[1].rollback()
    watch.finish()


def test_concurrent_build_tells_of_the_snapshot_that_holds_it_up(watch: Watch) -> None:
    reader = watch.connect()
    reader.set_session(isolation_level="REPEATABLE READ", autocommit=False)
    with reader.cursor() as cursor:
        cursor.execute("select count(*) from pg_class")
    watch.start("create index concurrently on pipeline_run (attempt)")
    seen = watch.until(lambda now: now.phase == "waiting for old snapshots")
    assert seen.unit == "sessions"
    assert seen.total in (1, 2)  # the second is whoever asked in that instant
    assert seen.done < seen.total
    reader.rollback()
    watch.finish()


def test_table_off_the_search_path_is_named_with_its_schema(watch: Watch) -> None:
    watch.database.rows("create schema other; alter table pipeline_run set schema other")
    watch.close_gates(MIDDLE)
    watch.start("create index on other.pipeline_run (gate(id))")
    watch.at_gate(MIDDLE)
    seen = watch.progress()
    assert seen is not None
    assert seen.relation == "other.pipeline_run"
    watch.finish()


def test_reindex_is_told_as_one(watch: Watch) -> None:
    watch.database.rows("create index by_gate on pipeline_run (gate(id))")
    watch.close_gates(MIDDLE)
    watch.start("reindex index by_gate")
    watch.at_gate(MIDDLE)
    seen = watch.progress()
    assert seen is not None
    assert (seen.doing, seen.relation) == ("rebuilding index", "pipeline_run")
    watch.finish()


# -- the other views

CLUSTER = "cluster pipeline_run using by_gate"


@pytest.mark.parametrize(
    ("statement", "doing", "phase", "unit"),
    [
        ("vacuum full pipeline_run", "vacuuming table in full", "rebuilding index", "blocks"),
        ("set cpu_index_tuple_cost = 1000; " + CLUSTER, "clustering table", "sorting tuples", "blocks"),
        ("set enable_sort = off; " + CLUSTER, "clustering table", "rebuilding index", "rows"),
    ],
    ids=["vacuum full", "cluster by a sort", "cluster by the index"],
)
def test_table_that_vacuum_or_cluster_rewrites_is_counted_by_the_server(
    watch: Watch, statement: str, doing: str, phase: str, unit: str
) -> None:
    done = watch.blocks("pipeline_run") if unit == "blocks" else ROWS
    watch.database.rows("create index by_gate on pipeline_run (gate(id)); analyze pipeline_run")
    watch.close_gates(MIDDLE)
    watch.start(statement.rpartition("; ")[2], *statement.split("; ")[:-1])
    watch.at_gate(MIDDLE)
    seen = watch.progress()
    assert seen is not None
    assert (seen.doing, seen.relation, seen.estimate) == (doing, "pipeline_run", False)
    assert (seen.phase, seen.done, seen.unit) == (phase, done, unit)
    assert seen.total == (done if unit == "blocks" else None)
    watch.finish()


@pytest.mark.parametrize(
    ("statement", "doing"),
    [("vacuum pipeline_run", "vacuuming table"), ("analyze pipeline_run", "analyzing table")],
)
def test_slowed_maintenance_is_counted_in_blocks(watch: Watch, statement: str, doing: str) -> None:
    blocks = watch.blocks("pipeline_run")
    watch.start(statement, "set vacuum_cost_limit = 100", "set vacuum_cost_delay = '20ms'")
    first = watch.until(lambda now: now.done > 0)
    assert (first.doing, first.relation, first.unit, first.total) == (doing, "pipeline_run", "blocks", blocks)
    watch.until(lambda now: first.done < now.done <= blocks)
    watch.cancel()


def test_copy_of_a_servers_file_is_told_in_bytes(watch: Watch) -> None:
    path = watch.database.server.directory / f"{watch.database.name}.copy"
    path.write_text("".join(f"{i}\n" for i in range(1, ROWS + 1)))
    path.chmod(0o644)
    watch.database.rows("create table copied (id int check (gate(id) > 0))")
    watch.close_gates(MIDDLE)
    watch.start(f"copy copied from '{path}'")
    watch.at_gate(MIDDLE)
    seen = watch.progress()
    assert seen is not None
    assert (seen.doing, seen.relation, seen.unit) == ("copying into table", "copied", "bytes")
    assert seen.total == path.stat().st_size
    assert 0 < seen.done < seen.total
    watch.finish()


def test_copy_from_the_client_is_told_in_rows_without_an_end(watch: Watch) -> None:
    class Slow:
        """A client's file whose second half is not there yet."""

        def __init__(self) -> None:
            self.more = threading.Event()
            self._chunks = iter([b"1\n" * 60_000, b""])

        def read(self, _size: int = -1, /) -> bytes:
            chunk = next(self._chunks)
            if not chunk:
                assert self.more.wait(20)
            return chunk

        readline = read

    watch.database.rows("create table copied (id int)")
    slow = Slow()

    def copy() -> None:
        with watch.session.cursor() as cursor:
            cursor.copy_expert("copy copied from stdin", slow)

    watch.run(copy)
    seen = watch.until(lambda now: now.done > 1000)
    assert (seen.doing, seen.unit, seen.total) == ("copying into table", "rows", None)
    slow.more.set()
    watch.finish()


# -- rewrites, which the server does not count

REWRITES = (
    "alter table pipeline_run alter column id type bigint using gate(id)",
    "/* mage */ ALTER TABLE public.pipeline_run ALTER id SET DATA TYPE bigint USING gate(id), ADD CHECK (id > 0);",
)


@pytest.mark.parametrize("statement", REWRITES)
def test_rewrite_is_estimated_by_the_growth_of_the_new_file(watch: Watch, statement: str) -> None:
    watch.database.rows("create index on pipeline_run (id); create index on pipeline_run (attempt)")
    size = watch.blocks("pipeline_run") * BLOCK
    watch.close_gates(FIRST, MIDDLE, LATE)
    watch.start(statement)
    watch.at_gate(FIRST)
    assert watch.progress() is None
    watch.second_is_over()
    watch.open_gate(FIRST)
    watch.at_gate(MIDDLE)
    seen = watch.progress()
    assert seen is not None
    assert (seen.doing, seen.relation, seen.unit, seen.phase) == ("rewriting table", "pipeline_run", "bytes", None)
    assert seen.estimate
    assert seen.total is not None
    assert size <= seen.total < 1.02 * size  # with the index of an empty TOAST table, if that has one
    assert 0.45 * size < seen.done < 0.65 * size
    watch.open_gate(MIDDLE)
    watch.at_gate(LATE)
    later = watch.progress()
    assert later is not None
    assert 0.7 * size < later.done < 0.9 * size
    watch.finish()


def test_rewrite_by_a_volatile_default_that_outgrows_the_old_table_has_no_total(watch: Watch) -> None:
    watch.database.rows("""
        create sequence numbers;
        create function padded() returns text language sql volatile as
            $$ select repeat('p', 400 + gate(nextval('public.numbers')::int) % 2) $$
    """)
    size = watch.blocks("pipeline_run") * BLOCK
    watch.close_gates(FIRST, LATE)
    watch.start("alter table only pipeline_run add column padding text default public.padded()")
    watch.at_gate(FIRST)
    watch.second_is_over()
    watch.open_gate(FIRST)
    watch.at_gate(LATE)
    seen = watch.progress()
    assert seen is not None
    assert (seen.doing, seen.total, seen.estimate) == ("rewriting table", None, True)
    assert seen.done > size
    watch.finish()


def test_values_that_lie_in_toast_are_part_of_the_rewrite(watch: Watch) -> None:
    watch.database.rows("create table variable (id int, value text)")
    watch.database.rows("alter table variable alter value set storage external")
    watch.database.rows("insert into variable select i, repeat('v', 9000) from generate_series(1, 2000) i")
    [(size,)] = watch.database.rows("select pg_table_size('variable')")
    watch.close_gates(FIRST, MIDDLE)
    watch.start(
        "alter table variable alter id type bigint "
        f"using gate(case id when 1 then {FIRST} when 1000 then {MIDDLE} else 2 end)"
    )
    watch.at_gate(FIRST)
    watch.second_is_over()
    watch.open_gate(FIRST)
    watch.at_gate(MIDDLE)
    seen = watch.progress()
    assert seen is not None
    assert seen.total is not None
    assert 0.9 * size < seen.total <= size
    assert 0.4 * size < seen.done < 0.65 * size
    watch.finish()


def test_second_rewrite_of_a_transaction_is_not_helped_by_the_first(watch: Watch) -> None:
    watch.database.rows("create table earlier as select * from pipeline_run")
    size = watch.blocks("pipeline_run") * BLOCK
    watch.close_gates(FIRST, MIDDLE)
    watch.start(
        "alter table pipeline_run alter id type bigint using gate(id)",
        "begin",
        "create table made (id int primary key, name text)",
        "insert into made values (1)",
        "alter table earlier alter id type bigint",
    )
    watch.at_gate(FIRST)
    watch.second_is_over()
    watch.database.rows("checkpoint")  # writes the first one's last pages now
    assert watch.progress() is None
    watch.open_gate(FIRST)
    watch.at_gate(MIDDLE)
    seen = watch.progress()
    assert seen is not None
    assert seen.relation == "pipeline_run"
    assert 0.45 * size < seen.done < 0.65 * size
    watch.open_gate(MIDDLE)
    watch.finish()
    watch.execute("rollback")


# -- what is not claimed


@pytest.mark.parametrize(
    ("statement", "before"),
    [
        ("select gate(id) from pipeline_run", ()),
        ("create table made as select gate(id) from pipeline_run", ()),
        ("insert into made select gate(id) from pipeline_run", ("begin", "create table made (id int primary key)")),
        ("alter table pipeline_run add check (gate(id) > 0)", ("begin", "create table made (id int primary key)")),
        (
            "alter table pipeline_run alter name type text, add check (gate(id) > 0)",
            ("begin", "create table made as select * from pipeline_run"),
        ),
        (
            "alter table made alter id type bigint using gate(id)",
            ("begin", "create table made as select * from pipeline_run"),
        ),
        ("do $$ begin alter table pipeline_run alter id type bigint using gate(id); end $$", ()),
        ("set x.y = 1; alter table pipeline_run alter id type bigint using gate(id)", ()),
        ("alter table parent alter id type bigint using gate(id)", ("alter table pipeline_run inherit parent",)),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_statement_that_is_no_plain_rewrite_is_not_told_as_one(
    watch: Watch, statement: str, before: tuple[str, ...]
) -> None:
    watch.database.rows("create table parent (id int)")
    watch.close_gates(FIRST, MIDDLE)
    watch.start(statement, *before)
    watch.at_gate(FIRST)
    assert watch.progress() is None
    watch.second_is_over()
    watch.open_gate(FIRST)
    watch.at_gate(MIDDLE)
    assert watch.progress() is None
    watch.open_gate(MIDDLE)
    watch.finish()
    watch.execute("rollback")


def test_sleeping_idle_and_vanished_sessions_have_no_progress(watch: Watch) -> None:
    assert watch.progress() is None
    watch.start("select pg_sleep(20)")
    eventually(lambda: watch.database.rows("select 1 from pg_stat_activity where wait_event = 'PgSleep'"))
    assert watch.progress() is None
    watch.cancel()
    reader = PostgreSQL().reader(make_url(watch.database.url), "magetui")
    with reader.connect() as connection:
        assert PostgreSQL().progress(connection, 2_000_000_000) is None


def test_rewrite_that_still_waits_for_its_lock_has_no_progress(watch: Watch) -> None:
    reader = watch.connect()
    reader.autocommit = False
    with reader.cursor() as cursor:
        cursor.execute("select 1 from pipeline_run limit 1")
    watch.start("alter table pipeline_run alter id type bigint")
    eventually(lambda: watch.database.rows("select 1 from pg_locks where not granted"))
    assert watch.progress() is None
    reader.rollback()
    watch.finish()


# -- privileges


def test_role_that_may_not_see_the_session_is_told_nothing(watch: Watch) -> None:
    watch.role("stranger")
    ask = watch.asking(watch.database.url, "stranger")
    watch.close_gates(MIDDLE)
    watch.start("create index on pipeline_run (gate(id))")
    watch.at_gate(MIDDLE)
    assert ask() is None
    watch.finish()


def test_plain_owner_sees_index_builds_and_rewrites_only_where_pg_stat_file_is_granted(watch: Watch) -> None:
    watch.role("owner")
    watch.database.rows("alter table pipeline_run owner to owner")
    watch.database.rows("grant create on schema public to owner")
    watch.session = watch.connect("owner")
    ask = watch.asking(watch.database.url, "owner")
    watch.close_gates(MIDDLE)
    watch.start("create index on pipeline_run (gate(id))")
    watch.at_gate(MIDDLE)
    assert watch.until(lambda _: True, ask).doing == "building index"
    watch.finish()
    watch.database.rows("drop index pipeline_run_gate_idx")

    watch.close_gates(FIRST, MIDDLE)
    watch.start("alter table pipeline_run alter id type bigint using gate(id)")
    watch.at_gate(FIRST)
    watch.second_is_over()
    watch.open_gate(FIRST)
    watch.at_gate(MIDDLE)
    assert ask() is None
    watch.database.rows("grant execute on function pg_stat_file(text, boolean) to owner")
    assert watch.until(lambda _: True, ask).doing == "rewriting table"
    watch.finish()
