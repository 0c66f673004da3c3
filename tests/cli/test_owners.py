"""Another role than the application's migrates: what it creates belongs to it, and the application is locked out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, linear, make_project
from tests.support.command import Magetui, Outcome
from tests.support.databases import PostgresDatabase
from tests.support.postgres import PASSWORD, USER

pytestmark = pytest.mark.slow


def text(outcome: Outcome) -> str:
    return " ".join((outcome.stdout + outcome.stderr).split())


@pytest.fixture
def role(pg_database: PostgresDatabase) -> Iterator[str]:
    """Yield the application's role, which may create tables in the database."""
    name = f"app_{pg_database.name}"
    pg_database.rows(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'; GRANT CREATE ON SCHEMA public TO {name}")
    yield name
    pg_database.rows(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest.fixture
def project(tmp_path: Path, pg_database: PostgresDatabase, role: str, magetui: Magetui) -> AlembicProject:
    """Return a project whose rev1 the application's role has applied, and whose rev2 is pending."""
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    as_role = pg_database.url.replace(f"//{USER}:", f"//{role}:")
    done = magetui("--config", project.ini, "--url", as_role, "migrate", "--revision", "rev1", "--yes")
    assert done.status == 0, done
    return project


def test_a_plan_of_another_role_says_who_will_own_the_new_tables_and_the_url_that_it_names_mends_it(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase, role: str
) -> None:
    plan = magetui("--config", project.ini, "plan", "migrate")
    assert f"{USER} will own what it creates, and {role} owns the version table" in text(plan)
    assert f"can get 'permission denied'. To create them as {role}, use this URL: " in text(plan)
    url = text(plan).partition("use this URL: ")[2].split()[0]
    done = magetui("--config", project.ini, "--url", url.replace("***", PASSWORD), "migrate", "--yes")
    assert done.status == 0, done
    assert pg_database.rows("SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 't2'") == [(role,)]
    assert magetui("--config", project.ini, "diagnose").status == 0


def test_tables_that_another_role_made_are_found_and_the_sql_of_the_finding_mends_them(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase, role: str
) -> None:
    pg_database.rows("CREATE TABLE of_another_application (id int)")
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    found = magetui("--config", project.ini, "diagnose", "--json")
    assert found.status == 3, found
    [finding] = [finding for finding in found.json["findings"] if finding["code"] == "owners-differ"]
    assert f"has no right on t2 (owner: {USER})" in finding["message"]
    assert finding["next"] == "diagnose"
    for statement in finding["facts"]["sql"]:
        pg_database.rows(statement)
    assert magetui("--config", project.ini, "diagnose").status == 0
    pg_database.rows(f"SET ROLE {role}; SELECT * FROM t2")
