"""The estimated progress of a table rewrite, which PostgreSQL does not count, on real servers."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from magetui.backends.postgresql.backend import PostgreSQL
from tests.support.waiting import eventually
from tests.support.watched_statement import BLOCK, FIRST, LATE, MIDDLE, Watch

pytestmark = pytest.mark.every_version

REWRITES = (
    "alter table pipeline_run alter column id type bigint using gate(id)",
    "/* mage */ ALTER TABLE public.pipeline_run ALTER id SET DATA TYPE bigint USING gate(id), ADD CHECK (id > 0);",
)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
