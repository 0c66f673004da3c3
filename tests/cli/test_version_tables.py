"""Version tables that are not where the URL leads, or not of this chain; a database that takes no writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.alembic_project import AlembicProject, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase
from tests.support.postgres import PASSWORD, USER

pytestmark = pytest.mark.slow


def findings(magetui: Magetui, project: AlembicProject, *arguments: object) -> dict[str, Any]:
    found = magetui("--config", project.ini, *arguments, "diagnose", "--json").json["findings"]
    return {finding["code"]: finding for finding in found}


@pytest.mark.parametrize("schema", ["app", "App of 2"])
def test_the_url_of_the_schema_that_has_the_version_table_is_named(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, schema: str
) -> None:
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    pg_database.rows(f'CREATE SCHEMA "{schema}"')
    pg_database.rows(f'SET search_path TO "{schema}"; CREATE TABLE alembic_version (version_num varchar(32))')
    pg_database.rows(f"INSERT INTO \"{schema}\".alembic_version VALUES ('rev1')")
    found = findings(magetui, project)["version-table-elsewhere"]
    assert f"There is a version table in another schema instead: {schema} (rev1)." in found["message"]
    [url] = found["facts"]["urls"]
    assert found["message"].endswith(f"behind the name of the database from now on: ?{url.partition('?')[2]}")
    assert PASSWORD not in url
    usable = url.replace("***", pg_database.url.partition(f"{USER}:")[2].partition("@")[0])
    assert magetui("--config", project.ini, "--url", usable, "diagnose", "--json").json["current"] == ["rev1"]


def test_the_version_tables_of_other_chains_are_named_and_are_no_strangers(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = make_project(tmp_path / "project", linear(2), database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    database.rows("CREATE TABLE alembic_version_fab (version_num varchar(32))")
    database.rows("INSERT INTO alembic_version_fab VALUES ('fab1')")
    found = findings(magetui, project)
    assert set(found) == {"up-to-date", "other-version-tables"}
    assert (
        "Other chains have version tables here: alembic_version_fab says fab1."
        in found["other-version-tables"]["message"]
    )


@pytest.mark.parametrize(
    ("setting", "where"),
    [
        ("ALTER DATABASE {database} SET default_transaction_read_only = on", "the database {database}"),
        ("ALTER ROLE {user} IN DATABASE {database} SET default_transaction_read_only = on", "the role {user} in the"),
    ],
)
def test_who_made_the_database_read_only_and_the_statement_that_resets_it_are_named(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, setting: str, where: str
) -> None:
    project = make_project(tmp_path / "project", linear(1), pg_database.url)
    names = {"database": pg_database.name, "user": USER}
    pg_database.rows(setting.format(**names))
    found = findings(magetui, project)["server-read-only"]
    assert f"default_transaction_read_only is on for {where.format(**names)}" in found["message"]
    statement = found["message"].partition("To reset it: ")[2].partition(";")[0]
    pg_database.server.execute("postgres", statement)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0


def test_tables_of_the_scripts_in_another_schema_are_not_said_to_be_another_applications(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(3), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    pg_database.rows("create schema library")
    for table in ("t1", "t2", "t3", "alembic_version"):
        pg_database.rows(f"alter table {table} set schema library")
    evidence = " ".join(magetui("--config", project.ini, "evidence").stdout.split())
    assert "tables with their names exist in library. Check the search_path of the URL." in evidence
    assert "another application" not in evidence
    found = " ".join(magetui("--config", project.ini, "diagnose").stdout.split())
    assert "'migrate' creates all tables" not in found
    assert "next: migrate" not in found
