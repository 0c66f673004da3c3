"""The preview of what a rollback loses, against what it then really loses, counted in a copy made before."""

from __future__ import annotations

from pathlib import Path

import pytest

from magetui.engine.preview import data_loss as module
from magetui.engine.preview.data_loss import Losses, plan_losses
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.operations import (
    AddColumn,
    AlterColumn,
    CreateTable,
    DropColumn,
    DropTable,
    ExecuteSql,
    Operation,
    RenameTable,
)
from magetui.model.schema import Column
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.losses import found, preview
from tests.support.postgres import PostgresServer
from tests.support.readings import make_plan

pytestmark = pytest.mark.every_version

NEWER_PG = pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
TARGET = "e7beb59b44f9"  # on the way down to it five tables go, a dozen columns, and a value of an enum type
FILL = (
    "INSERT INTO generic_job (job_type, payload) VALUES ('CANCEL_PIPELINE_RUN', '{}'), ('CANCEL_PIPELINE_RUN', NULL)",
    "INSERT INTO user_project (project_name) VALUES ('a'), ('b'), (NULL)",
    "INSERT INTO tag (name) VALUES ('one')",
    "INSERT INTO backfill (name, settings) VALUES ('b', '{}'), ('c', NULL), ('d', '{\"a\": 1}')",
    "INSERT INTO oauth2_access_token (token, refresh_token) VALUES ('t', 'r'), ('u', NULL), ('v', '')",
    "INSERT INTO pipeline_schedule (name, description) VALUES ('s', 'what it is for'), ('t', NULL)",
    "INSERT INTO pipeline_run (pipeline_uuid, started_at) VALUES ('p', '2026-01-01'), ('p', '2026-01-02'), ('p', NULL)",
    "INSERT INTO permission (access, entity_name) VALUES (1, 'x'), (2, NULL)",
    "INSERT INTO block_run (status) VALUES ('COMPLETED'), ('FAILED'), (NULL)",
    "INSERT INTO secret (name, key_uuid) VALUES ('s', 'k'), ('t', NULL)",
)


# -- what a rollback of Mage's own chain loses


def columns(database: Database) -> dict[str, set[str]]:
    """By table, its columns."""
    listed = (
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        if isinstance(database, PostgresDatabase)
        else "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
    )
    made: dict[str, set[str]] = {}
    for table, column in database.rows(listed):
        made.setdefault(table, set()).add(column)
    return made


def lost(copy: Database, after: Database) -> dict[tuple[str, str, str | None, str | None], int]:
    """What is in the copy and no more in the database, counted table by table and column by column."""
    made: dict[tuple[str, str, str | None, str | None], int] = {}
    there = columns(after)
    for table, its_columns in columns(copy).items():
        if table not in there:
            [(rows,)] = copy.rows(f'SELECT count(*) FROM "{table}"')
            made["table", table, None, None] = rows
            continue
        for column in its_columns - there[table]:
            [(rows,)] = copy.rows(f'SELECT count("{column}") FROM "{table}"')
            made["column", table, column, None] = rows
    return made


def fill(database: Database) -> None:
    for statement in FILL:
        database.rows(statement)


def rolled_back(database: Database, copy: Database, mage_home: Path, magetui: Magetui) -> None:
    workspace = Workspace(Selection(url=database.url, mage_path=str(mage_home)))
    plan = make_plan(workspace, "rollback", TARGET)
    assert len(plan.steps) > 10
    with open_reading(workspace) as reading:
        losses = plan_losses(reading, plan, budget_ms=20_000)
    assert losses.undecidable == ()
    previewed = found(losses)
    done = magetui("--url", database.url, "--mage-path", mage_home, "rollback", "--revision", TARGET, "--yes")
    assert done.status == 0, done
    tables_and_columns = {key: rows for key, rows in previewed.items() if key[0] in ("table", "column")}
    assert tables_and_columns == lost(copy, database)
    assert tables_and_columns["table", "user_project", None, None] == 3
    assert tables_and_columns["column", "backfill", "settings", None] == 2
    enum_values = {key: rows for key, rows in previewed.items() if key[0] == "enum-value"}
    is_postgres = isinstance(database, PostgresDatabase)
    assert enum_values == ({("enum-value", "block_run", "status", "CONDITION_FAILED"): 0} if is_postgres else {})


@pytest.mark.slow
def test_preview_is_what_the_rollback_of_mage_loses_on_postgresql(
    postgres: PostgresServer, mage_pg_url: str, mage_home: Path, magetui: Magetui
) -> None:
    database = PostgresDatabase(postgres, mage_pg_url.rpartition("/")[2])
    fill(database)
    copy = PostgresDatabase(postgres, postgres.create_database(template=database.name).rpartition("/")[2])
    try:
        rolled_back(database, copy, mage_home, magetui)
    finally:
        postgres.drop_database(copy.name)


def test_preview_is_what_the_rollback_of_mage_loses_on_sqlite(
    mage_sqlite_url: str, mage_home: Path, magetui: Magetui, tmp_path: Path
) -> None:
    database, copy = SqliteDatabase(tmp_path / "mage-ai.db"), SqliteDatabase(tmp_path / "copy.db")
    fill(database)
    copy.path.write_bytes(database.path.read_bytes())
    rolled_back(database, copy, mage_home, magetui)


# -- what operations amount to


@pytest.fixture
def item(database: Database) -> Database:
    """Two tables: five rows of item, three with a note; two rows of part, which refer to it."""
    database.rows("CREATE TABLE item (id integer PRIMARY KEY, note text)")
    database.rows("CREATE TABLE part (item_id integer REFERENCES item (id) ON DELETE CASCADE, name text)")
    database.rows("INSERT INTO item VALUES (1, 'a'), (2, ''), (3, 'c'), (4, NULL), (5, NULL)")
    database.rows("INSERT INTO part VALUES (1, 'x'), (1, 'y')")
    return database


NOTE = Column("note", "TEXT", True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([DropTable("item", None)], {("table", "item", None, None): 5}),
        ([DropColumn("item", None, "note")], {("column", "item", "note", None): 3}),
        ([DropColumn("item", None, "note"), DropTable("item", None)], {("table", "item", None, None): 5}),
        ([CreateTable("new", None, (NOTE,)), DropColumn("new", None, "note"), DropTable("new", None)], {}),
        ([AddColumn("item", None, Column("more", "TEXT", True)), DropColumn("item", None, "more")], {}),
        (
            [DropColumn("item", None, "note"), AddColumn("item", None, NOTE), DropColumn("item", None, "note")],
            {("column", "item", "note", None): 3},
        ),
        ([DropTable("absent", None), DropColumn("item", None, "absent")], {}),
        ([RenameTable("item", None, "thing"), DropTable("thing", None)], {("table", "item", None, None): 5}),
        (
            [AlterColumn("item", None, "note", new_name="remark"), DropColumn("item", None, "remark")],
            {("column", "item", "note", None): 3},
        ),
        ([ExecuteSql("drop table if exists item, absent")], {("table", "item", None, None): 5}),
        ([ExecuteSql("ALTER TABLE item DROP COLUMN note")], {("column", "item", "note", None): 3}),
        ([ExecuteSql("DELETE FROM part")], {("rows", "part", None, None): 2}),
        ([ExecuteSql("DELETE FROM part"), DropTable("part", None)], {("table", "part", None, None): 2}),
        ([ExecuteSql("UPDATE item SET note = 'drop table part' WHERE id > 3 AND note IS NULL")], {}),
        ([ExecuteSql("UPDATE item SET note = coalesce(note, '')")], {}),
        ([AddColumn("item", None, Column("more", "TEXT", True)), ExecuteSql("UPDATE item SET more = note")], {}),
    ],
)
def test_what_goes_is_counted_once_and_what_the_plan_made_is_no_loss(
    item: Database, operations: list[Operation], expected: dict[tuple[str, str, str | None, str | None], int]
) -> None:
    losses = preview(item.url, operations)
    assert found(losses) == expected
    assert losses.undecidable == ()


def test_delete_by_a_condition_is_an_upper_bound_and_what_it_cascades_to_is_said(item: Database) -> None:
    [loss] = preview(item.url, [ExecuteSql("DELETE FROM item WHERE id > 3")]).known
    assert (loss.kind, loss.table, loss.rows, loss.exact) == ("rows", "item", 5, False)
    assert loss.problem == f"{module.WHERE}; {module.CASCADES}"


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        ("UPDATE item SET note = NULL", "item.note"),
        ("UPDATE item SET note = upper(note), id = id + 1 WHERE id IS NOT NULL", "item.note and item.id"),
        ("UPDATE item SET note = '' WHERE note IS NULL OR id = 1", "item.note"),
        ("UPDATE item AS i SET note = p.name FROM part AS p WHERE p.item_id = i.id", "item.note"),
    ],
)
def test_update_that_writes_over_values_is_perhaps_a_loss(item: Database, statement: str, columns: str) -> None:
    losses = preview(item.url, [ExecuteSql(statement)])
    assert losses.known == ()
    [said] = losses.undecidable
    assert said.startswith(f"values of {columns} are overwritten: UPDATE item")


def altered(old: str, new: str, using: str | None = None) -> tuple[str, AlterColumn]:
    return old, AlterColumn("item", None, "c", type=new, using=using)


@pytest.mark.slow
@NEWER_PG
def test_conversion_that_may_cut_or_compute_is_perhaps_a_loss(pg_database: PostgresDatabase) -> None:
    cut = "values of item.c are cut or rounded to fit into {}"
    computed = "the values of item.c are replaced by {}"
    for (old, altering), said in {
        altered("text", "VARCHAR(1)", "left(c, 1)"): computed.format("left(c, 1)"),
        altered("text", "INTEGER", "NULL::integer"): computed.format("NULL::integer"),
        altered("text", "VARCHAR(1)", "c::varchar(1)"): cut,
        altered("numeric(10,2)", "NUMERIC(10, 0)"): cut,
        altered("numeric", "INTEGER"): cut,
        altered("double precision", "REAL"): cut,
        altered("timestamp", "DATE"): cut,
        altered("timestamp", "TIMESTAMP(0) WITHOUT TIME ZONE"): cut,
        altered("integer", "BOOLEAN", "c::boolean"): cut,
        altered("text", "VARCHAR(1)"): None,  # fails where a value is longer
        altered("text", "INTEGER", "c::integer"): None,
        altered("text", "INTEGER", "CAST((c) AS integer)"): None,
        altered("bigint", "INTEGER"): None,
        altered("integer", "VARCHAR(20)", "c::varchar(20)"): None,
        altered("varchar(5)", "VARCHAR(9)", '"c"::varchar(9)'): None,
        altered("numeric(10,0)", "BIGINT"): None,
    }.items():
        pg_database.rows(f"DROP TABLE IF EXISTS item; CREATE TABLE item (c {old}); INSERT INTO item VALUES (NULL)")
        expected = () if said is None else (said.format(altering.type),)
        assert preview(pg_database.url, [altering]) == Losses((), expected), (old, altering)


def test_batch_operation_that_makes_numbers_of_texts_is_perhaps_a_loss(sqlite_database: SqliteDatabase) -> None:
    for old, new, loses in [
        ("TEXT", "INTEGER", True),
        ("DATE", "DATETIME", True),
        ("FLOAT", "INTEGER", True),
        ("VARCHAR(9)", "TEXT", False),
        ("INTEGER", "BIGINT", False),
        ("INTEGER", "TEXT", False),
        ("TEXT", "JSON", False),
        ("NUMERIC(10, 2)", "NUMERIC(8, 1)", False),
    ]:
        sqlite_database.rows("DROP TABLE IF EXISTS item")
        sqlite_database.rows(f"CREATE TABLE item (c {old})")
        losses = preview(sqlite_database.url, [AlterColumn("item", None, "c", type=new)])
        assert bool(losses.undecidable) is loses, (old, new)


def test_truncate_takes_what_refers_to_it_only_where_it_cascades(pg_database: PostgresDatabase) -> None:
    pg_database.rows("CREATE TABLE a AS SELECT 1 AS id; ALTER TABLE a ADD PRIMARY KEY (id)")
    pg_database.rows("CREATE TABLE b (id int REFERENCES a); INSERT INTO b VALUES (1), (1)")
    cascading = preview(pg_database.url, [ExecuteSql("TRUNCATE TABLE a CASCADE")])
    assert found(cascading) == {("rows", "a", None, None): 1, ("rows", "b", None, None): 2}
    assert found(preview(pg_database.url, [ExecuteSql("TRUNCATE a, b")])) == found(cascading)


@NEWER_PG
@pytest.mark.parametrize(
    "statement",
    [
        "DO $$ BEGIN EXECUTE 'DROP TABLE a'; END $$",
        "DROP SCHEMA public CASCADE",
        "DROP TYPE state CASCADE",
        "DROP FUNCTION f() CASCADE",
        "ALTER TYPE state RENAME VALUE 'x' TO 'y'",
    ],
)
def test_sql_that_cannot_be_read_is_said_to_be_undecidable(pg_database: PostgresDatabase, statement: str) -> None:
    pg_database.rows("CREATE TYPE state AS ENUM ('x'); CREATE TABLE a (id int, s state)")
    losses = preview(pg_database.url, [ExecuteSql(statement)])
    assert losses.known == ()
    [said] = losses.undecidable
    assert statement[:10] in said or "renamed" in said


@NEWER_PG
@pytest.mark.parametrize(
    "statement",
    [
        "DROP FUNCTION f()",
        "DROP VIEW IF EXISTS v;",
        "CREATE OR REPLACE FUNCTION f() RETURNS void LANGUAGE sql AS $$ DELETE FROM a; DROP TABLE a; $$",
        "CREATE TABLE IF NOT EXISTS b (id int)",
        "SELECT 1",
        "ALTER TYPE state ADD VALUE 'delete'",
    ],
)
def test_sql_that_takes_nothing_away_is_not_made_a_mystery_of(pg_database: PostgresDatabase, statement: str) -> None:
    pg_database.rows("CREATE TYPE state AS ENUM ('x'); CREATE TABLE a (id int, s state)")
    assert preview(pg_database.url, [ExecuteSql(statement)]) == Losses(())


def test_table_that_was_there_already_is_not_taken_for_one_of_the_plan(item: Database) -> None:
    created = ExecuteSql("CREATE TABLE IF NOT EXISTS item (id integer)")
    assert found(preview(item.url, [created, DropTable("item", None)])) == {("table", "item", None, None): 5}
    anew = [DropTable("part", None), CreateTable("part", None, (NOTE,)), DropTable("part", None)]
    assert found(preview(item.url, [*anew])) == {("table", "part", None, None): 2}


def test_table_of_another_schema_is_not_taken_for_the_one_of_search_path(pg_database: PostgresDatabase) -> None:
    pg_database.rows('CREATE SCHEMA other; CREATE TABLE other."a%b" (id int); INSERT INTO other."a%b" VALUES (1)')
    assert preview(pg_database.url, [DropTable("a%b", None)]).known == ()
    assert found(preview(pg_database.url, [DropTable("a%b", "other")])) == {("table", "a%b", None, None): 1}
    url = f"{pg_database.url}?options=-c%20search_path%3Dother"
    assert found(preview(url, [DropTable("a%b", None)])) == {("table", "a%b", None, None): 1}


def test_values_that_a_type_made_anew_no_longer_has_are_counted(pg_database: PostgresDatabase) -> None:
    pg_database.rows("CREATE TYPE state AS ENUM ('new', 'it''s', 'done', 'gone')")
    pg_database.rows("CREATE TABLE job (state state, note text)")
    pg_database.rows("INSERT INTO job SELECT s::state, NULL FROM unnest(array['new', 'gone', 'gone', 'it''s', NULL]) s")
    script = [
        ExecuteSql("ALTER TYPE state RENAME TO state_old"),
        ExecuteSql("CREATE TYPE state AS ENUM ('new', 'done')"),
        ExecuteSql("ALTER TABLE job ALTER COLUMN state TYPE state USING state::text::state"),
        ExecuteSql("DROP TYPE state_old"),
    ]
    expected = {("enum-value", "job", "state", "it's"): 1, ("enum-value", "job", "state", "gone"): 2}
    assert found(preview(pg_database.url, [*script])) == expected
    dropped = preview(pg_database.url, [*script, DropTable("job", None)])
    assert found(dropped) == {("table", "job", None, None): 5}
