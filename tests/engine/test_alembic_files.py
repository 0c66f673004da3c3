"""What alembic.ini and pyproject.toml say, in the ways that Alembic lets it be said."""

from __future__ import annotations

from pathlib import Path

import pytest

from magetui.engine.errors import ProjectError
from magetui.engine.project.project import alembic_project, find_alembic_file


def folders(tmp_path: Path, *names: str) -> list[Path]:
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    return [tmp_path / name for name in names]


@pytest.mark.parametrize(
    ("separator", "listed"),
    [
        ("path_separator = os", "%(here)s/one:%(here)s/two"),
        ("path_separator = newline", "\n    one\n    two"),
        ("path_separator = ;", "one;two"),
        ("version_path_separator = space", "one two"),
        ("", "one, two"),
    ],
)
def test_several_version_locations(tmp_path: Path, separator: str, listed: str) -> None:
    _, one, two = folders(tmp_path, "migrations", "one", "two")
    ini = tmp_path / "alembic.ini"
    ini.write_text(f"[alembic]\nscript_location = migrations\n{separator}\nversion_locations = {listed}\n")
    assert alembic_project(ini).version_locations == (one, two)


def test_version_locations_that_are_searched_to_the_bottom(tmp_path: Path) -> None:
    expected = folders(tmp_path, "migrations/versions", "migrations/versions/2025", "migrations/versions/2025/06")
    folders(tmp_path, "migrations/versions/__pycache__")
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = %(here)s/migrations\nrecursive_version_locations = true\n")
    assert list(alembic_project(ini).version_locations) == expected


def test_pyproject_toml_alone_and_with_an_alembic_ini_beside_it(tmp_path: Path) -> None:
    _, one, two = folders(tmp_path, "db/migrations", "one", "100% two")
    toml = tmp_path / "pyproject.toml"
    toml.write_text(
        '[tool.alembic]\nscript_location = "%(here)s/db/migrations"\nprepend_sys_path = ["."]\n'
        'version_locations = ["one", "%(here)s/100%% two"]\n'
    )
    assert find_alembic_file(tmp_path) == toml
    project = alembic_project(toml)
    assert project.version_locations == (one, two)
    assert (project.location, project.url, project.scripts.prepended) == (toml, None, (str(tmp_path),))
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nsqlalchemy.url = sqlite:///shop.db\n")
    for file in (ini, toml):
        beside = alembic_project(file)
        assert (beside.location, beside.url) == (toml, "sqlite:///shop.db")
        assert beside.version_locations == (one, two)


def test_scripts_in_a_package(tmp_path: Path) -> None:
    _, versions = folders(tmp_path, "src/shop/db/migrations", "src/shop/db/migrations/versions")
    ini = tmp_path / "alembic.ini"
    ini.write_text("[alembic]\nscript_location = shop.db:migrations\n")
    assert alembic_project(ini).version_locations == (versions,)


def test_sections_that_each_have_scripts(tmp_path: Path) -> None:
    folders(tmp_path, "shop", "stock")
    ini = tmp_path / "alembic.ini"
    ini.write_text(
        "[alembic]\nscript_location = shop\nsqlalchemy.url = sqlite:///shop.db\n"
        "[stock]\nscript_location = stock\nsqlalchemy.url = sqlite:///stock.db\n"
        "[handlers]\nformat = %(levelname)s\n"
    )
    stock = alembic_project(ini, "stock")
    assert (stock.url, stock.scripts.section) == ("sqlite:///stock.db", "stock")
    assert stock.version_locations == (tmp_path / "stock" / "versions",)
    with pytest.raises(ProjectError, match=r"--name shop: .* It has: alembic, stock\."):
        alembic_project(ini, "shop")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.alembic\n", "cannot be understood"),
        ('[tool.alembic]\nscript_location = "%(there)s/migrations"\n', "A % in a value must be doubled"),
        ("[tool.alembic]\n", "has no script_location in its .tool.alembic. table"),
        ('[tool.alembic]\nscript_location = "nowhere"\n', "there is no such folder"),
    ],
)
def test_a_pyproject_toml_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    toml = tmp_path / "pyproject.toml"
    toml.write_text(text)
    with pytest.raises(ProjectError, match=said):
        alembic_project(toml)


def test_a_pyproject_toml_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"cannot be read: .* No such file"):
        alembic_project(tmp_path / "pyproject.toml")
