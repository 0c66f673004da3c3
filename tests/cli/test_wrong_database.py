"""The URL leads to another application's database, or to one of newer scripts: said before anything is created."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, linear, make_project
from tests.support.command import Magetui, Outcome
from tests.support.databases import Database

pytestmark = pytest.mark.slow

ELSEWHERE = "None of the 2 tables that the scripts make exists here, and 3 others do (customer, invoice, product)"


def text(outcome: Outcome) -> str:
    return " ".join((outcome.stdout + outcome.stderr).split())


def project_on(database: Database, directory: Path) -> AlembicProject:
    return make_project(directory / "project", linear(2), database.url)


def test_the_database_of_another_application_is_recognised_before_tables_are_created_in_it(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = project_on(database, tmp_path)
    for name in ("customer", "invoice", "product"):
        database.rows(f"CREATE TABLE {name} (id int)")
    found = magetui("--config", project.ini, "diagnose", "--json")
    [finding] = found.json["findings"]
    assert (finding["code"], finding["next"]) == ("no-version-table", "connect")
    assert ELSEWHERE in finding["message"]
    assert "probably the database of another application" in finding["message"]
    assert "stamp" not in finding["message"].replace("stamp it, before anything", "")
    plan = magetui("--config", project.ini, "plan", "migrate")
    assert ELSEWHERE in text(plan)
    asked = magetui("--config", project.ini, "migrate")
    assert asked.status == 4, asked
    assert ELSEWHERE in text(asked)
    evidence = magetui("--config", project.ini, "evidence")
    assert ELSEWHERE in text(evidence)
    assert "magetui stamp" not in text(evidence)


def test_tables_of_newer_scripts_forbid_the_advice_to_stamp(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = project_on(database, tmp_path)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    database.rows("CREATE TABLE t3 (id int)")
    database.rows("UPDATE alembic_version SET version_num = 'rev3'")
    [finding] = magetui("--config", project.ini, "diagnose", "--json").json["findings"]
    assert (finding["code"], finding["next"]) == ("unknown-revision", "evidence")
    newer = "No revision of these scripts makes t3: newer scripts may have."
    assert newer in finding["message"]
    assert "Find the release or the commit that has rev3, and roll back with its scripts first." in finding["message"]
    evidence = magetui("--config", project.ini, "evidence", "--json").json
    assert evidence["next"] is None
    asked = magetui("--config", project.ini, "stamp", "rev2", "--replace-unknown-revision", "rev3")
    assert asked.status == 4, asked
    assert newer in text(asked)


def test_an_unknown_revision_whose_schema_is_that_of_a_known_one_can_be_replaced(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = project_on(database, tmp_path)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    database.rows("UPDATE alembic_version SET version_num = 'squashed'")
    [finding] = magetui("--config", project.ini, "diagnose", "--json").json["findings"]
    assert finding["next"] == "evidence"  # which shows the revision, and leads to the stamp
    assert (
        "'magetui stamp' can replace the current revision. The schema matches rev2 (Create t2)." in finding["message"]
    )
