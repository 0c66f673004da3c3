"""A SQLite path that is written relative means one file, wherever the command and its child process work."""

from __future__ import annotations

from pathlib import Path

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui


def test_relative_url_of_an_alembic_ini_is_taken_from_its_folder(magetui: Magetui, tmp_path: Path) -> None:
    project = make_project(tmp_path / "scheduler", linear(2), "sqlite:///data.db")
    done = magetui("--config", project.ini, "migrate", "--yes")
    assert done.status == 0, done
    assert (project.directory / "data.db").is_file()
    assert not (tmp_path / "data.db").exists()
    assert magetui("--config", project.ini, "diagnose").status == 0


def test_relative_url_of_the_command_line_is_taken_from_where_it_was_typed(magetui: Magetui, tmp_path: Path) -> None:
    project = make_project(tmp_path / "scheduler", linear(2), "sqlite:///other.db")
    common = ("--config", project.ini, "--url", "sqlite:///typed.db")
    done = magetui(*common, "migrate", "--yes")
    assert done.status == 0, done
    assert (tmp_path / "typed.db").is_file()
    assert not (project.directory / "typed.db").exists()
    assert magetui(*common, "diagnose").status == 0
