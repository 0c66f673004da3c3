"""A schema of search_path: one that is missing is created by the migration itself, or told who has to create it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg2 import sql

from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui, Outcome
from tests.support.databases import PostgresDatabase
from tests.support.leaks import nowhere
from tests.support.mage import HEAD
from tests.support.postgres import HOST

pytestmark = pytest.mark.slow

BEFORE_HEAD = "0227396a216c"
TABLES = "select distinct schemaname::text from pg_tables where schemaname !~ '^(pg_|information)'"


def within(url: str, path: str) -> str:
    """The URL with that search_path."""
    return f"{url}?options={quote('-csearch_path=' + path, safe='')}"


def text(outcome: Outcome) -> str:
    """What was told, as one line."""
    return " ".join((outcome.stdout + outcome.stderr).split())


def codes(outcome: Outcome) -> dict[str, str]:
    """What `diagnose --json` found, with its next verb."""
    return {finding["code"]: finding["next"] for finding in outcome.json["findings"]}


def test_mage_in_a_schema_that_is_missing_is_migrated_into_it_and_back_and_nowhere_else(
    magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase, state_dir: Path
) -> None:
    url = within(pg_database.url, "mage_prod")
    common = ("--mage-path", mage_home, "--url", url)
    told = []
    told.append(found := magetui(*common, "--json", "diagnose"))
    assert (found.status, codes(found)) == (3, {"schema-missing": "migrate"})
    assert "'magetui migrate' creates it first." in found.json["findings"][0]["message"]
    told.append(planned := magetui(*common, "--json", "plan", "migrate"))
    assert planned.json["creates_schema"] == "mage_prod"
    told.append(refused := magetui(*common, "stamp", "head", "--yes"))
    assert refused.status == 4
    assert pg_database.rows("select 1 from pg_namespace where nspname = 'mage_prod'") == []
    told.append(asked := magetui(*common, "migrate"))
    assert asked.status == 4, "nobody consented"
    assert pg_database.rows("select 1 from pg_namespace where nspname = 'mage_prod'") == []
    told.append(done := magetui(*common, "migrate", "--yes"))
    assert done.status == 0, done
    assert "creates schema mage_prod first" in text(done)
    told.append(magetui("runs", "1", "--report"))
    assert "CREATE SCHEMA IF NOT EXISTS mage_prod" in told[-1].stdout
    told.append(healthy := magetui(*common, "--json", "diagnose"))
    assert (healthy.status, list(codes(healthy))) == (0, ["up-to-date"])
    assert healthy.json["target"]["schema"] == "mage_prod"
    told.append(magetui(*common, "rollback", "--revision", "-1", "--yes"))
    assert pg_database.rows("select version_num from mage_prod.alembic_version") == [(BEFORE_HEAD,)]
    told.append(magetui(*common, "stamp", HEAD, "--yes"))
    assert pg_database.rows("select version_num from mage_prod.alembic_version") == [(HEAD,)]
    assert pg_database.rows(TABLES) == [("mage_prod",)]
    for outcome in told:
        nowhere([outcome, state_dir])


def test_names_in_quotes_and_several_schemas(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase
) -> None:
    pg_database.rows("create schema later")
    first = within(pg_database.url, r'"Team,\ A",later')
    told = magetui("--config", project.ini, "--url", first, "diagnose")
    assert "names a schema that does not exist: Team, A. Tables go to later." in text(told)
    both = within(pg_database.url, r'"Team,\ A","it""s%d"')
    done = magetui("--config", project.ini, "--url", both, "migrate", "--yes")
    assert done.status == 0, done
    assert pg_database.rows(TABLES) == [("Team, A",)]
    upper = within(pg_database.url, "LATER")
    assert magetui("--config", project.ini, "--url", upper, "migrate", "--yes").status == 0
    assert sorted(pg_database.rows(TABLES)) == [("Team, A",), ("later",)]


@pytest.mark.parametrize("apart", [False, True], ids=["one-transaction", "transaction-per-migration"])
def test_migration_that_fails_takes_the_schema_back_unless_steps_are_committed_one_by_one(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path, apart: bool
) -> None:
    broken = Revision(id="rev2", down="rev1", message="Break off", upgrade="op.execute('select 1/0')")
    project = make_project(tmp_path / "project", (*linear(1), broken), "sqlite://")
    if apart:
        env = project.versions.with_name("env.py")
        env.write_text(
            env.read_text().replace("connection=connection", "connection=connection, transaction_per_migration=True")
        )
    url = within(pg_database.url, "team")
    done = magetui("--config", project.ini, "--url", url, "migrate", "--yes")
    assert done.status == 1, done
    assert "division by zero" in done.stdout
    assert pg_database.rows(TABLES) == ([("team",)] if apart else [])
    assert len(pg_database.rows("select 1 from pg_namespace where nspname = 'team'")) == int(apart)


def test_role_without_rights_is_told_what_its_owner_has_to_do(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase
) -> None:
    server, name = pg_database.server, f"{pg_database.name}-Guest"
    server.execute("postgres", sql.SQL("create role {} login password 'guest-secret'").format(sql.Identifier(name)))
    place = f"postgresql://{name}:guest-secret@{HOST}:{server.port}/{pg_database.name}"
    common = ("--config", project.ini, "--url", within(place, "team"))
    try:
        told = magetui(*common, "diagnose")
        advice = f'CREATE SCHEMA team AUTHORIZATION "{name}".'
        assert "schema-missing" in told.stdout
        assert advice in text(told)
        refused = magetui(*common, "migrate", "--yes")
        assert refused.status == 4, refused
        assert f"may not create a schema in the database {pg_database.name}" in text(refused)
        assert advice in text(refused)
        pg_database.rows("create schema team")
        closed = magetui(*common, "migrate", "--yes")
        assert closed.status == 4, closed
        assert "may not use the schema team, which the search_path names. Let its owner allow it: GRANT" in text(closed)
        pg_database.rows(f'grant usage on schema team to "{name}"')
        assert f'GRANT CREATE ON SCHEMA team TO "{name}".' in text(magetui(*common, "diagnose"))
        pg_database.rows(f'grant create on schema team to "{name}"')
        done = magetui(*common, "migrate", "--yes")
        assert done.status == 0, done
        assert "guest-secret" not in "".join(text(one) for one in (told, refused, closed, done))
    finally:
        pg_database.rows("drop schema if exists team cascade")
        server.execute("postgres", sql.SQL("drop role {}").format(sql.Identifier(name)))


def test_schema_that_is_empty_beside_another_teams_tables_is_not_taken_for_a_lost_current_revision(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase
) -> None:
    pg_database.rows("create table invoice (id int); create schema team")
    found = magetui("--config", project.ini, "--url", within(pg_database.url, "team"), "--json", "diagnose")
    assert codes(found) == {"empty-database": "migrate"}
    assert "The schema team has no tables at all." in found.json["findings"][0]["message"]
