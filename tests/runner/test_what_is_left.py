"""What a run that failed has left behind: read back from the database, never concluded from the rollback."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, linear, make_project, table
from tests.support.command import Magetui, Outcome
from tests.support.databases import PostgresDatabase

pytestmark = pytest.mark.slow

FAILS = 'raise ValueError("stop")'
UNCHANGED = "The database is unchanged"


def second(lines: str) -> Revision:
    return Revision(id="rev2", down="rev1", message="Second", upgrade=lines)


def alone(sql: str) -> str:
    """Return lines that execute the SQL outside the transaction of the run."""
    return f"with op.get_context().autocommit_block():\n    op.execute({sql!r})"


def at_rev1(directory: Path, database: PostgresDatabase, magetui: Magetui, upgrade: str) -> AlembicProject:
    """Return a project whose rev1, with the table t1, is applied, and whose rev2 is pending."""
    project = make_project(directory, (table(1), second(upgrade)), database.url)
    done = magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes")
    assert done.status == 0, done
    return project


def migrate(magetui: Magetui, project: AlembicProject, *arguments: object) -> Outcome:
    return magetui("--config", project.ini, "migrate", "--yes", *arguments)


CONCURRENTLY = "CREATE {unique}INDEX CONCURRENTLY IF NOT EXISTS ix_t1_name ON t1 (name)"


def test_an_index_that_waited_too_long_is_left_invalid_and_said_so_and_never_counts_as_done(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = at_rev1(tmp_path / "project", pg_database, magetui, alone(CONCURRENTLY.format(unique="")))
    with pg_database.session("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM alembic_version"):
        failed = migrate(magetui, project, "--lock-timeout-seconds", "1", "--lock-retries", "3")
    assert failed.status == 5, failed
    assert UNCHANGED not in failed.stdout
    assert "index public.ix_t1_name, left invalid" in failed.stdout
    assert "'magetui clean' drops what is invalid, or builds it again." in failed.stdout
    # Another attempt would meet the index: there is none.
    assert "No retry: the schema has changed: index public.ix_t1_name is left, invalid." in failed.stdout

    again = migrate(magetui, project)
    assert again.status == 1, again
    assert "Error: All steps ran, but not everything was built." in again.stdout
    assert "The index public.ix_t1_name is invalid" in again.stdout
    assert "Current revision: rev2." in again.stdout


def test_a_unique_index_over_duplicates_is_left_invalid_and_said_so(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = at_rev1(tmp_path / "project", pg_database, magetui, alone(CONCURRENTLY.format(unique="UNIQUE ")))
    pg_database.rows("INSERT INTO t1 (id, name) VALUES (1, 'same'), (2, 'same')")
    failed = migrate(magetui, project)
    assert failed.status == 1, failed
    assert "could not create unique index" in failed.stdout
    assert UNCHANGED not in failed.stdout
    assert "index public.ix_t1_name, left invalid" in failed.stdout


@pytest.mark.parametrize(
    ("before", "lines", "said"),
    [
        pytest.param(
            "CREATE TYPE colour AS ENUM ('red')",
            alone("ALTER TYPE colour ADD VALUE 'blue'"),
            "type public.colour: values red → red, blue",
            id="enum value",
        ),
        pytest.param(
            "CREATE SCHEMA tenant", alone("CREATE TABLE tenant.x (id int)"), "new table tenant.x", id="other schema"
        ),
        pytest.param(
            "CREATE ROLE {name}", alone("ALTER TABLE t1 OWNER TO {name}"), "table public.t1: owner", id="owner"
        ),
        pytest.param(
            "CREATE SEQUENCE counter",
            "op.execute(\"SELECT setval('counter', 40)\")",
            "No rollback sets a sequence back, and it or other sessions used public.counter (new → 40).",
            id="sequence",
        ),
        pytest.param(
            "CREATE INDEX ix ON t1 (name)",
            alone("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix'::regclass"),
            "index public.ix, left invalid",
            id="invalid index",
        ),
    ],
)
def test_what_a_rollback_does_not_undo_is_never_called_unchanged(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, before: str, lines: str, said: str
) -> None:
    role = f"owner_of_{pg_database.name}"
    project = at_rev1(tmp_path / "project", pg_database, magetui, f"{lines.replace('{name}', role)}\n{FAILS}")
    pg_database.rows(before.replace("{name}", role))
    failed = migrate(magetui, project)
    assert failed.status == 1, failed
    assert UNCHANGED not in failed.stdout
    assert said in " ".join(failed.stdout.split())
    assert magetui("runs", "2", "--json").json["unchanged"] is False
    if "{name}" in before:
        pg_database.rows(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP ROLE {role}")


def test_what_others_change_during_a_run_that_fails_is_not_called_unchanged(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    url = pg_database.url.replace("postgresql://", "postgresql+psycopg2://")
    by_others = (
        f"import sqlalchemy as other\nengine = other.create_engine({url!r}, isolation_level='AUTOCOMMIT')\n"
        "with engine.connect() as connection:\n    connection.execute(other.text('CREATE VIEW v AS SELECT 1 AS one'))\n"
        f"{FAILS}"
    )
    project = make_project(tmp_path / "project", (*linear(1), second(by_others)), pg_database.url)
    failed = migrate(magetui, project)
    assert failed.status == 1, failed
    assert UNCHANGED not in failed.stdout
    assert "new view public.v" in failed.stdout


def test_the_rows_that_a_run_drops_with_consent_are_on_record(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    assert migrate(magetui, project).status == 0
    pg_database.rows("INSERT INTO t2 SELECT n, 'x' FROM generate_series(1, 3000) n")
    back = magetui("--config", project.ini, "rollback", "--revision", "rev1", "--yes")
    assert back.status == 0, back
    assert "Lost, as counted before the run: table t2 with 3,000 rows." in back.stdout
    report = magetui("runs", "2", "--report").stdout
    assert "Lost, as counted before the run:\n\n  table t2 with 3,000 rows\n" in report
    assert "Schema changes:\n\n  table public.t2 is gone\n" in report
    [loss] = magetui("runs", "2", "--json").json["losses"]
    assert (loss["table"], loss["rows"], loss["exact"]) == ("t2", 3000, True)
