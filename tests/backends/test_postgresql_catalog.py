"""Tables and their details from PostgreSQL's catalogs, also while sessions hold locks, on real servers."""

from __future__ import annotations

import pytest

from magetui.backends.postgresql import catalog
from magetui.model.schema import Column, Constraint, ForeignKey, Index
from tests.support.cataloged import CatalogedDatabase, without_waiting
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_version


def test_a_table_is_told_in_full(catalogued: CatalogedDatabase) -> None:
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


def test_one_table_is_the_same_alone_as_among_all(catalogued: CatalogedDatabase) -> None:
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


def test_names_with_quotes_percent_signs_spaces_and_newlines_come_through(catalogued: CatalogedDatabase) -> None:
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


def test_partitions_are_listed_like_their_parent_and_temporary_tables_are_not(catalogued: CatalogedDatabase) -> None:
    catalogued.run(
        "create table run (id integer, day date not null) partition by range (day)",
        "create table run_2024 partition of run for values from ('2024-01-01') to ('2025-01-01')",
    )
    catalogued.session("create temporary table scratch (id integer)")
    assert [table.name for table in catalog.tables(catalogued.reader)] == ["run", "run_2024"]


def test_a_dropped_column_shifts_no_name(catalogued: CatalogedDatabase) -> None:
    catalogued.run(
        "create table t (a integer, b integer, c integer)",
        "alter table t drop column a",
        "create index ix_c on t (c)",
    )
    [detail] = catalog.table_details(catalogued.reader)
    assert [c.name for c in detail.columns] == ["b", "c"]
    assert detail.indexes == (Index("ix_c", ("c",)),)


def test_an_index_that_names_do_not_describe_has_its_definition(catalogued: CatalogedDatabase) -> None:
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


def test_rows_are_known_before_and_after_the_first_analyze(catalogued: CatalogedDatabase) -> None:
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


def test_of_a_long_listing_only_large_tables_are_measured(catalogued: CatalogedDatabase) -> None:
    catalogued.run(
        ";".join(f"create table small_{n} (id integer)" for n in range(1, 601)),
        "create table large as select generate_series(1, 50000) as id",
        "create index ix on large (id)",
        "insert into small_1 values (1)",
        "analyze",
    )
    sizes = {table.name: table.bytes for table in catalog.tables(catalogued.reader)}
    assert sizes["large"] == catalogued.reader.exec_driver_sql("select pg_total_relation_size('public.large')").scalar()
    assert sizes["small_1"] == 8192
    assert sizes["small_2"] is None


@pytest.mark.parametrize(
    "lock",
    ["lock table busy in access exclusive mode", "alter table busy add column b integer", "reindex index ix"],
)
def test_a_table_locked_access_exclusive_is_still_listed_without_waiting(
    catalogued: CatalogedDatabase, lock: str
) -> None:
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


def test_a_migration_that_only_waits_for_its_lock_makes_no_reader_wait(catalogued: CatalogedDatabase) -> None:
    catalogued.run("create table busy (id integer default 1)")
    catalogued.session("select * from busy")
    catalogued.waiting_session("alter table busy add column b integer")
    with without_waiting(catalogued.reader):
        [busy] = catalog.table_details(catalogued.reader)
    assert busy.columns[0].default == "…"


@pytest.mark.slow
@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])  # no version reads a chain in another way
def test_a_chain_of_three_thousand_foreign_keys_is_no_recursion(catalogued: CatalogedDatabase) -> None:
    chain = "".join(f"create table t{n} (id integer primary key references t{n - 1} (id));" for n in range(1, 3000))
    catalogued.run("create table t0 (id integer primary key);" + chain)
    details = catalog.table_details(catalogued.reader)
    assert len(details) == 3000
    assert sum(len(detail.foreign_keys) for detail in details) == 2999
    assert {key.referred_columns for detail in details for key in detail.foreign_keys} == {("id",)}
