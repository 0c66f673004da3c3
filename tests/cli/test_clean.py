"""What earlier runs left is removed: found, planned, consented to, on record, and nothing else is touched."""

from __future__ import annotations

from pathlib import Path

import psycopg2
import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project, table
from tests.support.command import Magetui, Outcome
from tests.support.databases import PostgresDatabase, SqliteDatabase

pytestmark = pytest.mark.slow

COLOURS = Revision(
    "rev2",
    "rev1",
    "Add paint",
    'op.create_table("paint", sa.Column("colour", sa.Enum("red", "blue", name="colour")))',
    'op.drop_table("paint")',
)
INDEX = "with op.get_context().autocommit_block():\n    op.execute('CREATE UNIQUE INDEX CONCURRENTLY ux ON t1 (name)')"
INDEXED = Revision("rev2", "rev1", "Add ux", INDEX, 'op.drop_index("ux")')


def text(outcome: Outcome) -> str:
    return " ".join((outcome.stdout + outcome.stderr).split())


def findings(magetui: Magetui, project: AlembicProject) -> dict[str, str | None]:
    found = magetui("--config", project.ini, "diagnose", "--json").json["findings"]
    return {finding["code"]: finding["next"] for finding in found}


def test_an_enum_type_that_a_rollback_left_is_dropped_and_the_next_migrate_succeeds(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = make_project(tmp_path / "project", (table(1), COLOURS), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    assert magetui("--config", project.ini, "rollback", "--revision", "-1", "--yes").status == 0
    assert findings(magetui, project)["leftover-type"] == "clean"
    plan = magetui("--config", project.ini, "plan", "migrate")
    assert "the enum type colour exists already, and nothing uses it: 'magetui clean' drops it" in text(plan)
    plan = magetui("--config", project.ini, "plan", "clean")
    assert "clean: 1 operation on what earlier runs left, the current revision stays rev1" in text(plan)
    assert "DROP TYPE colour" in text(plan) or "DROP TYPE public.colour" in text(plan)
    cleaned = magetui("--config", project.ini, "clean", "--yes")
    assert cleaned.status == 0, cleaned
    assert "Done. Current revision: rev1." in cleaned.stdout
    assert "type public.colour is gone" in magetui("runs", "3", "--report").stdout
    assert findings(magetui, project) == {"behind": "migrate"}
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0


def test_a_type_that_a_column_uses_is_not_offered_to_be_dropped(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = make_project(tmp_path / "project", (table(1), COLOURS), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    pg_database.rows("CREATE TYPE colour AS ENUM ('red', 'blue'); CREATE TABLE wall (shade colour, second colour[])")
    plan = magetui("--config", project.ini, "plan", "migrate")
    assert "the enum type colour exists already, and wall.shade, wall.second have it" in text(plan)
    refused = magetui("--config", project.ini, "clean", "--yes")
    assert refused.status == 4, refused
    assert "No earlier run of this chain left anything that could be removed." in text(refused)


def invalid_index(database: PostgresDatabase) -> None:
    database.rows("INSERT INTO t1 (id, name) VALUES (1, 'same'), (2, 'same')")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        database.rows("CREATE UNIQUE INDEX CONCURRENTLY ux ON t1 (name)")
    database.rows("DELETE FROM t1 WHERE id = 2")


def is_valid(database: PostgresDatabase) -> bool | None:
    rows = database.rows("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ux')")
    return rows[0][0] if rows else None


def test_an_invalid_index_of_a_pending_revision_is_dropped(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = make_project(tmp_path / "project", (table(1), INDEXED), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    invalid_index(pg_database)
    assert findings(magetui, project)["invalid-index"] == "clean"
    assert magetui("--config", project.ini, "clean", "--yes").status == 0
    assert is_valid(pg_database) is None
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0


def test_an_invalid_index_of_an_applied_revision_is_built_again(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = make_project(tmp_path / "project", (table(1), INDEXED), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    invalid_index(pg_database)
    assert magetui("--config", project.ini, "stamp", "rev2", "--yes").status == 0
    cleaned = magetui("--config", project.ini, "clean", "--yes")
    assert cleaned.status == 0, cleaned
    assert is_valid(pg_database) is True
    assert findings(magetui, project) == {"up-to-date": None}


def test_what_another_application_left_is_not_touched(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = make_project(tmp_path / "project", (table(2),), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    pg_database.rows("CREATE TABLE t1 (id int, name text); CREATE TYPE mood AS ENUM ('good')")
    invalid_index(pg_database)
    assert findings(magetui, project)["invalid-index"] is None
    refused = magetui("--config", project.ini, "clean", "--yes")
    assert refused.status == 4, refused
    assert is_valid(pg_database) is False


def test_the_copy_that_a_batch_operation_left_is_dropped(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", (table(1),), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    sqlite_database.rows("CREATE TABLE _alembic_tmp_t1 (id integer)")
    sqlite_database.rows("INSERT INTO _alembic_tmp_t1 VALUES (1)")
    asked = magetui("--config", project.ini, "clean")
    assert asked.status == 4, asked  # its row goes: without a terminal, that is refused
    assert "table _alembic_tmp_t1 with 1 row" in text(asked)
    assert magetui("--config", project.ini, "clean", "--yes").status == 0
    assert findings(magetui, project) == {"up-to-date": None}


def test_the_copy_is_renamed_back_if_it_is_all_that_is_left_of_the_table(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", (table(1),), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    sqlite_database.rows("INSERT INTO t1 VALUES (1, 'kept')")
    sqlite_database.rows("ALTER TABLE t1 RENAME TO _alembic_tmp_t1")
    assert magetui("--config", project.ini, "clean", "--yes").status == 0
    assert sqlite_database.rows("SELECT name FROM t1") == [("kept",)]
