"""A project as `alembic init` makes it, of whichever template, is read, migrated, rolled back and stamped."""

from __future__ import annotations

from pathlib import Path

import alembic
import pytest

from tests.support.alembic_project import AlembicProject
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.templates import make_from_template

pytestmark = pytest.mark.slow

ONE_DATABASE = ("generic", "async", "pyproject", "pyproject_async")


def goes_up_and_down(magetui: Magetui, project: AlembicProject, database: Database, *flags: object) -> None:
    """History, diagnose, migrate, rollback and stamp, each held against what the database says."""

    def run(*words: object) -> str:
        done = magetui(*flags, *words, cwd=project.directory)
        assert done.status in (0, 3), str(done)
        return done.stdout

    assert [line.split()[-1] for line in run("history").splitlines()] == ["t3", "t2", "t1"]
    before = magetui(*flags, "diagnose", "--json", cwd=project.directory)
    assert before.status == 3, before
    assert before.json["pending"] == ["rev1", "rev2", "rev3"], before
    assert before.json["findings"][0]["code"] == "empty-database", before
    assert "CREATE TABLE t3" in run("plan", "migrate")
    assert "Done. Current revision: rev3." in run("migrate", "--yes")
    assert database.current == ["rev3"]
    assert database.rows("select count(*) from t3") == [(0,)]
    assert magetui(*flags, "diagnose", cwd=project.directory).status == 0
    assert "Current revision: rev1." in run("rollback", "--revision", "-2", "--yes")
    assert database.current == ["rev1"]
    assert "Current revision: rev2." in run("stamp", "rev2", "--yes")
    assert database.current == ["rev2"]
    contradicted = magetui(*flags, "diagnose", "--json", cwd=project.directory).json
    assert "evidence-contradicts" in [finding["code"] for finding in contradicted["findings"]]
    assert "The schema matches rev1" in run("evidence")


def test_no_template_of_alembics_is_left_out() -> None:
    shipped = {path.parent.name for path in Path(alembic.__file__).parent.glob("templates/*/script.py.mako")}
    assert shipped == {*ONE_DATABASE, "multidb"}


@pytest.mark.parametrize("template", ONE_DATABASE)
def test_a_project_of_each_template_on_sqlite(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, template: str
) -> None:
    url = sqlite_database.url
    if "async" in template:
        url = url.replace("sqlite", "sqlite+aiosqlite", 1)
    project = make_from_template(tmp_path / "project", template, url)
    goes_up_and_down(magetui, project, sqlite_database)


@pytest.mark.parametrize("template", ["generic", "pyproject"])
def test_a_project_of_each_template_on_postgresql(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, template: str
) -> None:
    project = make_from_template(tmp_path / "project", template, pg_database.url)
    goes_up_and_down(magetui, project, pg_database)


def test_of_several_databases_one_is_changed_and_the_others_are_left_alone(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    other = SqliteDatabase(tmp_path / "other.db")
    project = make_from_template(tmp_path / "project", "multidb", sqlite_database.url, other.url)
    asked = magetui("diagnose", cwd=project.directory)
    assert asked.status == 3, asked
    assert "names several databases: engine1, engine2. Choose one with --name engine1" in " ".join(asked.stdout.split())
    goes_up_and_down(magetui, project, sqlite_database, "--name", "engine1")
    assert other.rows("select name from sqlite_master") == []
    told = magetui("--name", "engine2", "diagnose", "--json", cwd=project.directory).json
    assert told["target"]["url"] == other.url
    assert [finding["code"] for finding in told["findings"]][-1] == "several-databases"
    assert magetui("--url", other.url, "migrate", "--revision", "rev1", "--yes", cwd=project.directory).status == 0
    assert other.current == ["rev1"]
    assert other.rows("select count(*) from of_engine2") == [(0,)]
    assert sqlite_database.current == ["rev2"]


def test_a_database_that_env_py_does_not_work_on_is_refused(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    others = [SqliteDatabase(tmp_path / f"{name}.db") for name in ("one", "two")]
    project = make_from_template(tmp_path / "project", "multidb", *(other.url for other in others))
    refused = magetui("--url", sqlite_database.url, "migrate", "--yes", cwd=project.directory)
    assert refused.status == 4, refused
    assert "env.py connects to another database than" in refused.stdout
    assert [other.rows("select name from sqlite_master") for other in others] == [[], []]
