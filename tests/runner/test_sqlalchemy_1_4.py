"""A project whose application needs SQLAlchemy 1.4, as Superset does: its scripts run under its own interpreter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_check import MODELS, MORE, project_of
from tests.runner.test_env_py import NOWHERE, SET_URL, with_env
from tests.runner.test_templates import goes_up_and_down
from tests.support.alembic_project import Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase
from tests.support.environments import environment

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("real_starts")]

ON_BOTH = pytest.mark.parametrize("database", [18, "sqlite"], indirect=True)
# SQL without text(), and a row's value by its name: SQLAlchemy 2.0 refuses both.
OF_ITS_TIME = """\
bind = op.get_bind()
bind.execute("insert into t1 (id, name) values (1, 'first')")
[row] = bind.execute("select id, name from t1")
made = op.create_table("t2", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(50)))
op.bulk_insert(made, [{"id": row["id"], "name": row["name"]}])
"""


@pytest.fixture(scope="session")
def python() -> Path:
    """Made before a test has a home of its own, which the installer would fill."""
    packages = ("alembic==1.13.*", "sqlalchemy==1.4.*", "psycopg2-binary>=2.9.9,<3")
    return environment("sqlalchemy-1.4", packages) / "bin" / "python"


@ON_BOTH
def test_a_project_is_migrated_and_rolled_back(
    magetui: Magetui, tmp_path: Path, database: Database, python: Path
) -> None:
    project = make_project(tmp_path / "project", linear(3), database.url)
    goes_up_and_down(magetui, project, database, "--python", python)


@ON_BOTH
def test_scripts_of_its_time_are_run_and_verified_and_a_failed_one_leaves_nothing(
    magetui: Magetui, tmp_path: Path, database: Database, python: Path
) -> None:
    revisions = [*linear(1), Revision("rev2", "rev1", "Copy", OF_ITS_TIME, "op.drop_table('t2')")]
    project = make_project(tmp_path / "project", revisions, database.url)
    common = ("--config", project.ini, "--python", python)
    done = magetui(*common, "migrate", "--yes")
    assert done.status == 0, done
    assert database.rows("select id, name from t2") == [(1, "first")]
    verified = magetui(*common, "verify", "--yes")
    assert verified.status == 0, verified
    project.add(Revision("rev3", "rev2", "Fail", "op.drop_table('t1')\nop.drop_table('no_such')"))
    failed = magetui(*common, "migrate", "--yes")
    assert failed.status == 1, failed
    assert "The database is unchanged. Current revision: rev2." in failed.stdout, failed
    assert database.current == ["rev2"]
    assert database.rows("select count(*) from t1") == [(1,)]


@ON_BOTH
def test_new_operations_are_found_and_named(magetui: Magetui, tmp_path: Path, database: Database, python: Path) -> None:
    project = project_of(tmp_path / "project", database, MODELS + MORE)
    done = magetui("--config", project.ini, "--python", python, "check")
    assert done.status == 3, done
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "creates index by_name on t2 (name)" in lines
    assert any(line.startswith("adds t1.mood (") for line in lines), done


def test_the_password_of_a_url_that_env_py_makes_keeps_its_percent_signs(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, python: Path
) -> None:
    project = with_env(tmp_path / "project", NOWHERE, SET_URL)
    monkeypatch.setenv("SHOP_URL", pg_database.url)
    done = magetui("--config", project.ini, "--python", python, "migrate", "--yes")
    assert done.status == 0, done
    assert pg_database.current == ["rev3"]


def test_a_missing_schema_is_created_first(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, python: Path
) -> None:
    project = make_project(tmp_path / "project", linear(1), f"{pg_database.url}?options=-csearch_path%3Dmage_prod")
    done = magetui("--config", project.ini, "--python", python, "migrate", "--yes")
    assert done.status == 0, done
    assert pg_database.rows("select version_num from mage_prod.alembic_version") == [("rev1",)]
