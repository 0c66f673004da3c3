"""A project's scripts run under its own Python, which is found by itself, with an Alembic older than ours."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from pathlib import Path

import pytest

from magetui.engine.project.interpreter import OURS, find_interpreter
from tests.runner.test_templates import goes_up_and_down
from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.older import older_environment
from tests.support.templates import make_from_template

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("real_starts")]

TELLS_VERSIONS = """\
import alembic, sqlalchemy, sys
print("under", sys.prefix, alembic.__version__, sqlalchemy.__version__)
"""


@pytest.fixture(scope="session")
def older() -> Path:
    return older_environment()


def test_the_projects_venv_runs_the_scripts_from_a_folder_below_it(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, older: Path
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    (root / ".venv").symlink_to(older)
    project = make_project(root / "backend", linear(3), sqlite_database.url)
    env = project.directory / "migrations" / "env.py"
    env.write_text(TELLS_VERSIONS + env.read_text())
    goes_up_and_down(magetui, project, sqlite_database)
    said = magetui("diagnose", cwd=project.directory).stdout
    assert f"python    {root / '.venv' / 'bin' / 'python'}  (the project's .venv)" in said
    journal = magetui("runs", "1", "--report").stdout
    assert f"under {older} 1.13." in journal or f"under {root / '.venv'} 1.13." in journal, journal


def test_an_alembic_that_knows_no_pyproject_toml_runs_what_that_says(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, older: Path
) -> None:
    project = make_from_template(tmp_path / "project", "pyproject", sqlite_database.url)
    (project.directory / "shop_models.py").write_text("")
    env = project.directory / "migrations" / "env.py"
    env.write_text("import shop_models\n" + env.read_text())  # found by prepend_sys_path
    goes_up_and_down(magetui, project, sqlite_database, "--python", older / "bin" / "python")


def test_an_async_env_py_migrates_through_asyncpg(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, older: Path
) -> None:
    url = pg_database.url.replace("postgresql://", "postgresql+asyncpg://")
    project = make_from_template(tmp_path / "project", "async", url)
    goes_up_and_down(magetui, project, pg_database, "--python", older / "bin" / "python")
    report = magetui("runs", "1", "--report").stdout
    assert re.search(r"session \d+ on the server", report), report
    assert magetui("--python", older / "bin" / "python", "stamp", "rev1", "--yes", cwd=project.directory).status == 0
    with pg_database.session("lock table t1 in access exclusive mode"):
        waited = magetui(
            "--python", older / "bin" / "python", "rollback", "--revision", "base", "--yes",
            "--lock-timeout-seconds", "4", cwd=project.directory,
        )  # fmt: skip
    assert waited.status == 5, waited
    assert "blocker:" in waited.stdout
    assert pg_database.current == ["rev1"]


def venv(home: Path, *, alembic: bool = True) -> Path:
    """What looks like an environment, with or without Alembic; its python."""
    python = home / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {"" if alembic else "-I -S"} "$@"\n')
    python.chmod(0o755)
    return python


def test_where_the_projects_python_is_looked_for(tmp_path: Path) -> None:
    project = tmp_path / "shop" / "backend"
    project.mkdir(parents=True)
    (tmp_path / "shop" / "poetry.lock").write_text("")
    (tmp_path / "shop" / "pyproject.toml").write_text('[tool.poetry]\nname = "Shop Front"\n')
    outside = venv(tmp_path / ".venv")  # above the project's root: somebody else's
    assert find_interpreter({}, project, None).why == OURS
    active = venv(tmp_path / "active")
    environment = {"VIRTUAL_ENV": str(tmp_path / "active"), "POETRY_CACHE_DIR": str(tmp_path / "poetry")}
    assert find_interpreter(environment, project, None).path == str(active)
    digest = base64.urlsafe_b64encode(hashlib.sha256(str(tmp_path / "shop").encode()).digest()).decode()[:8]
    of_poetry = venv(tmp_path / "poetry" / "virtualenvs" / f"shop_front-{digest}-py3.11")
    found = find_interpreter(environment, project, None)
    assert (found.path, found.why) == (str(of_poetry), "the project's Poetry environment")
    beside = venv(project.parent / ".venv")
    assert find_interpreter(environment, project, None).path == str(beside)
    named = venv(tmp_path / "named")
    assert find_interpreter(environment | {"UV_PROJECT_ENVIRONMENT": "../named"}, project, None).path == str(
        project.parent / "../named" / "bin" / "python"
    )
    assert find_interpreter(environment, project, str(named)).why == "--python"
    assert find_interpreter(environment, project, str(outside)).path == str(outside)


def test_an_environment_without_alembic_is_passed_over_and_that_is_said(tmp_path: Path) -> None:
    venv(tmp_path / ".venv", alembic=False)
    found = find_interpreter({}, tmp_path, None)
    assert found.path == sys.executable
    assert found.why == f"{OURS}; {tmp_path / '.venv'} has no Alembic"
