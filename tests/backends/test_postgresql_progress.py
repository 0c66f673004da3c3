"""The progress that PostgreSQL counts itself: index builds, CLUSTER, VACUUM, ANALYZE and COPY, on real servers."""

from __future__ import annotations

import threading

import pytest

from magetui.model.sessions import StatementProgress
from tests.support.watched_statement import FIRST, LATE, MIDDLE, ROWS, Watch

pytestmark = [pytest.mark.slow, pytest.mark.every_version]


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
