"""Incidents in which what the schema seems to say would lead astray: it must not be advised, nor done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui, Outcome
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase

pytestmark = pytest.mark.slow

ON_POSTGRESQL = pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
WITH_INDEX = Revision(
    "rev1",
    None,
    "First",
    'op.create_table("a", sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer))\n'
    'op.create_index("ix", "a", ["n"])',
    'op.drop_index("ix", "a")\nop.drop_table("a")',
)
MAKES_B = 'op.create_table("b", sa.Column("id", sa.Integer, primary_key=True))'


class Incident:
    """A project, its database, and what is said and done there."""

    def __init__(self, magetui: Magetui, database: Database, folder: Path, *revisions: Revision) -> None:
        self._magetui = magetui
        self._project: AlembicProject = make_project(folder / "project", revisions, database.url)
        self.database = database

    def __call__(self, *arguments: object) -> Outcome:
        return self._magetui("--config", self._project.ini, *arguments)

    def migrated(self, revision: str) -> None:
        done = self("migrate", "--revision", revision, "--yes")
        assert done.status == 0, done

    def finding(self, code: str) -> Any:
        return next(one for one in self("diagnose", "--json").json["findings"] if one["code"] == code)

    @property
    def codes(self) -> list[str]:
        return [one["code"] for one in self("diagnose", "--json").json["findings"]]


@ON_POSTGRESQL
def test_index_dropped_from_an_old_revisions_table_takes_no_current_revision_back_over_later_ones(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    asks = f"if not op.get_bind().execute(sa.text(\"select to_regclass('b')\")).scalar():\n    {MAKES_B}"
    incident = Incident(
        magetui,
        pg_database,
        tmp_path,
        WITH_INDEX,
        Revision("rev2", "rev1", "Asks", asks, 'op.drop_table("b")'),
        Revision("rev3", "rev2", "Column", 'op.add_column("b", sa.Column("n", sa.Integer))'),
    )
    incident.migrated("head")
    pg_database.rows("insert into a select g, g from generate_series(1, 100) g")
    pg_database.rows("drop index ix")
    before = pg_database.content
    finding = incident.finding("evidence-contradicts")
    assert finding["severity"] == "warning"
    assert "The schema almost matches rev3: index ix on a (n) is missing." in finding["message"]
    assert "finish" not in incident("evidence").stdout
    for verb in ("finish", "undo"):
        refused = incident(verb, "--yes")
        assert refused.status == 4, refused
        assert "A part of rev1 is missing, but the current revision is rev3, which comes after it" in refused.stderr
    assert pg_database.content == before


@ON_POSTGRESQL
def test_of_revisions_that_differ_by_a_value_of_a_type_the_current_revision_is_the_nearest(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    enum = 'sa.Enum("x", "y", name="st")'
    values = "with op.get_context().autocommit_block():\n    op.execute(\"ALTER TYPE st ADD VALUE 'z'\")"
    incident = Incident(
        magetui,
        pg_database,
        tmp_path,
        Revision(
            "rev1",
            None,
            "Type",
            f'op.create_table("a", sa.Column("id", sa.Integer, primary_key=True), sa.Column("s", {enum}), '
            'sa.Column("n", sa.Integer))',
        ),
        Revision("rev2", "rev1", "Value", values),
    )
    incident.migrated("rev1")
    pg_database.rows("alter table a drop column n")
    finding = incident.finding("evidence-contradicts")
    assert (finding["severity"], finding["facts"]["nearest"]) == ("warning", ["rev1"])


def test_table_made_by_sql_that_is_not_there_is_missing(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    raw = [
        "CREATE TABLE raw (id INTEGER PRIMARY KEY AUTOINCREMENT, a VARCHAR(20) UNIQUE, b BOOLEAN CHECK (b IN (0, 1)))",
        "CREATE TABLE raw2 (id INTEGER NOT NULL PRIMARY KEY, a INTEGER REFERENCES raw) WITHOUT ROWID",
    ]
    second = Revision("rev2", "rev1", "Raw", "\n".join(f'op.execute("{sql}")' for sql in raw))
    incident = Incident(magetui, sqlite_database, tmp_path, WITH_INDEX, second)
    incident.migrated("rev1")
    sqlite_database.rows("drop index ix")
    assert "Revision rev1 (First) is partially applied" in incident.finding("evidence-contradicts")["message"]
    assert incident("finish", "--yes").status == 0
    assert sqlite_database.current == ["rev1"]
    incident.migrated("rev2")
    assert incident.codes == ["up-to-date"]
    sqlite_database.rows("drop table raw2")
    assert "of its 2 operations 1 is done, 1 is missing" in incident.finding("evidence-contradicts")["message"]


BESIDE_THE_TABLES = (
    "CREATE SCHEMA IF NOT EXISTS audit",
    "CREATE DOMAIN positive AS integer CHECK (value > 0)",
    "CREATE TYPE pair AS (a integer, b integer)",
    "ALTER INDEX ix RENAME TO ix_a_n",
    "CREATE TEMP TABLE scratch (id integer)",
    "ALTER TABLE b ENABLE ROW LEVEL SECURITY",
)


@ON_POSTGRESQL
@pytest.mark.parametrize("sql", BESIDE_THE_TABLES)
def test_sql_that_leaves_the_tables_alone_makes_no_revision_fit(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path, sql: str
) -> None:
    second = Revision("rev2", "rev1", "Beside", f'{MAKES_B}\nop.execute("{sql}")')
    incident = Incident(magetui, pg_database, tmp_path, WITH_INDEX, second)
    incident.migrated("rev1")
    assert incident("evidence", "--json").json["fits"] == [["rev1"]]
    pg_database.rows("alter table a drop column n")
    finding = incident.finding("evidence-contradicts")
    assert (finding["severity"], finding["facts"]["fits"]) == ("warning", [])
    assert incident("evidence", "--json").json["next"] == "magetui plan repair"
    pg_database.rows("alter table a add column n integer")
    pg_database.rows("create index ix on a (n)")
    incident.migrated("rev2")
    assert incident("evidence", "--json").json["fits"] == [["rev2"]]


ANYTHING = "op.execute(\"DO $$ BEGIN EXECUTE 'SELECT 1'; END $$\")"


@ON_POSTGRESQL
@pytest.mark.parametrize("also", ["", MAKES_B], ids=["alone", "with a table"])
def test_script_that_cannot_be_read_explains_nothing(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path, also: str
) -> None:
    second = Revision("rev2", "rev1", "Anything", f"{ANYTHING}\n{also}")
    rows = Revision("rev3", "rev2", "Rows", 'op.execute("UPDATE a SET n = 1")')
    incident = Incident(magetui, pg_database, tmp_path, WITH_INDEX, second, rows)
    incident.migrated("rev1")
    pg_database.rows("alter table a drop column n")
    finding = incident.finding("evidence-contradicts")
    assert finding["severity"] == "warning"
    assert "The schema almost matches rev1: column a.n is missing; index ix on a (n) is missing" in finding["message"]
    said = incident("evidence", "--json").json
    assert (said["next"], said["current_matches"]) == ("magetui plan repair" if also else None, False)
    nearest = "Nearest is rev1 (First), with 2 differences: column a.n is missing; index ix on a (n) is missing"
    assert nearest in said["conclusion"][0]
    if not also:
        assert "the script of rev2 (Anything) cannot be read" in said["conclusion"][0]
    pg_database.rows("delete from alembic_version")
    assert incident("evidence", "--json").json["next"] is None
    pg_database.rows("insert into alembic_version values ('rev1')")
    pg_database.rows("alter table a add column n integer")
    assert "Revision rev1 (First) is partially applied" in incident.finding("evidence-contradicts")["message"]
    assert incident("finish", "--yes").status == 0
    assert pg_database.current == ["rev1"]
    incident.migrated("head")
    assert incident.codes == ["up-to-date"]


@ON_POSTGRESQL
def test_table_that_a_script_alters_and_nobody_has_is_missing(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    asks = f"if not op.get_bind().execute(sa.text(\"select to_regclass('b')\")).scalar():\n    {MAKES_B}"
    column = Revision("rev3", "rev2", "Column", 'op.add_column("b", sa.Column("n", sa.Integer))')
    incident = Incident(magetui, pg_database, tmp_path, WITH_INDEX, Revision("rev2", "rev1", "Asks", asks), column)
    incident.migrated("rev1")
    pg_database.rows("delete from alembic_version")
    assert incident("evidence", "--json").json["fits"] == [["rev1"], ["rev2"]]


@ON_POSTGRESQL
def test_operations_of_a_half_are_counted_alike_wherever_they_are_told(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    index = 'op.create_index("ix_2", "a", ["n"], postgresql_concurrently=True)'
    steps = (
        f'op.add_column("a", sa.Column("x", sa.Integer))\nwith op.get_context().autocommit_block():\n    {index}\n'
        'op.add_column("a", sa.Column("y", sa.Integer))'
    )
    incident = Incident(magetui, pg_database, tmp_path, WITH_INDEX, Revision("rev2", "rev1", "Half", steps))
    incident.migrated("rev1")
    pg_database.rows("alter table a add column x integer")
    assert "of its 3 operations 1 is done, 2 are missing." in incident.finding("evidence-contradicts")["message"]
    assert "of its 3 operations 1 is done, 2 are missing. Missing: " in " ".join(incident("evidence").stdout.split())


@ON_POSTGRESQL
def test_nothing_of_a_revisions_own_is_said_to_be_left_behind(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    first = Revision(
        "rev1",
        None,
        "Type",
        'op.create_table("a", sa.Column("id", sa.Integer, primary_key=True), sa.Column("n", sa.Integer), '
        'sa.Column("s", sa.Enum("x", "y", name="st")))',
    )
    value = "with op.get_context().autocommit_block():\n    op.execute(\"ALTER TYPE st ADD VALUE IF NOT EXISTS 'z'\")"
    renamed = 'op.add_column("a", sa.Column("m", sa.Integer))\nop.rename_table("a", "b")'
    back = Revision("rev4", "rev3", "Back", 'op.rename_table("b", "a")\nop.alter_column("a", "n", nullable=False)')
    incident = Incident(
        magetui,
        pg_database,
        tmp_path,
        first,
        Revision("rev2", "rev1", "Value", value),
        Revision("rev3", "rev2", "Renamed", renamed),
        back,
    )
    incident.migrated("rev2")
    assert (
        "It would also match rev1 (Type), if a rollback or a stopped run left value 'z' of type st behind."
        in " ".join(incident("evidence").stdout.split())
    )


def test_constraint_that_alembic_loses_in_a_batch_is_not_missed(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    batch = (
        'with op.batch_alter_table("a") as a:\n'
        '    a.alter_column("n", new_column_name="count")\n'
        '    a.create_unique_constraint("uq_count", ["count"])'
    )
    incident = Incident(magetui, sqlite_database, tmp_path, WITH_INDEX, Revision("rev2", "rev1", "Batch", batch))
    incident.migrated("rev2")
    assert "uq_count" not in str(sqlite_database.rows("select sql from sqlite_master"))
    assert incident.codes == ["up-to-date"]
    assert incident("evidence", "--json").json["fits"] == [["rev2"]]


def test_half_of_what_the_current_revision_says_was_run_is_to_be_verified_first(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    incident = Incident(magetui, sqlite_database, tmp_path, WITH_INDEX)
    incident.migrated("rev1")
    sqlite_database.rows("drop index ix")
    assert (
        "Use 'magetui verify' first: it builds the schema from the scripts"
        in incident.finding("evidence-contradicts")["message"]
    )
    assert "the current revision says that rev1 was run completely. Use 'magetui verify'" in " ".join(
        incident("evidence").stdout.split()
    )
    assert incident("verify").status == 3


@ON_POSTGRESQL
def test_sql_that_cannot_be_read_in_the_midst_of_a_half_is_for_the_operator_to_judge(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    added = [f'op.add_column("a", sa.Column("{name}", sa.Integer))' for name in "xy"]
    second = Revision("rev2", "rev1", "Half", "\n".join([added[0], ANYTHING, added[1]]), "pass")
    incident = Incident(magetui, pg_database, tmp_path, WITH_INDEX, second)
    incident.migrated("rev1")
    pg_database.rows("alter table a add column x integer")
    before = pg_database.content
    undone = incident("undo", "--yes")
    assert undone.status == 4, undone
    assert "rev2 cannot be undone automatically: no schema shows whether this was run, and its text" in undone.stderr
    unasked = incident("finish", "--yes")
    assert (unasked.status, "--in-doubt run" in unasked.stderr) == (4, True)
    assert pg_database.content == before
    assert incident("finish", "--in-doubt", "run", "--yes").status == 0
    assert incident.codes == ["up-to-date"]


def test_a_database_without_a_version_table_is_not_said_to_have_nothing_applied(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    incident = Incident(magetui, sqlite_database, tmp_path, WITH_INDEX)
    incident.migrated("rev1")
    sqlite_database.rows("drop table alembic_version")
    refused = incident("plan", "rollback", "--revision", "-1")
    assert refused.status == 4
    assert (
        "The database has no current revision, so there is nothing to go back from. 'magetui evidence'"
        in refused.stderr
    )


def test_a_repair_that_moves_only_the_current_revision_does_not_call_the_script_empty(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    incident = Incident(magetui, sqlite_database, tmp_path, WITH_INDEX)
    incident.migrated("rev1")
    sqlite_database.rows("update alembic_version set version_num = 'squashed'")
    planned = incident("plan", "repair", "--revision", "rev1")
    assert "Nothing of it is missing: only the current revision moves." in planned.stdout
    assert "is empty" not in planned.stdout
