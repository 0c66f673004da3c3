"""The project's environment has packages that are too old: said before anything is planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.support.environments import environment

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def python() -> Path:
    """Return the interpreter of an environment with an Alembic that no test has tried."""
    return environment("alembic-1.12", ("alembic==1.12.*", "sqlalchemy==1.4.*")) / "bin" / "python"


def test_an_alembic_that_is_too_old_is_named_before_anything_is_planned(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, python: Path
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    common = ("--config", project.ini, "--python", python)
    found = magetui(*common, "diagnose", "--json")
    assert found.status == 3, found
    first = found.json["findings"][0]
    assert (first["code"], first["severity"]) == ("unsupported-python", "critical")
    assert "It has Alembic 1.12." in first["message"]
    assert "magetui runs scripts with Alembic 1.13 or later" in first["message"]
    for verb in (("plan", "migrate"), ("migrate", "--yes")):
        refused = magetui(*common, *verb)
        assert refused.status == 4, refused
        assert "It has Alembic 1.12." in refused.stderr
    assert not sqlite_database.path.exists()
