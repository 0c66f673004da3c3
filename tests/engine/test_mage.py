"""Mage is found where it lives without being imported."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest

from magetui.engine.errors import ProjectError
from magetui.engine.project.mage import find_mage
from magetui.engine.project.project import MAGE_MUTEX_KEY, find_project
from tests.support import alembic_project
from tests.support.alembic_project import make_project
from tests.support.mage import VERSION

TRAP = "import pathlib\npathlib.Path(__file__).with_name('was_imported').touch()\nraise ImportError('do not')\n"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An environment of its own with a Mage that notices being imported; its interpreter's path."""
    site = tmp_path / "venv" / "site-packages"
    package = site / "mage_ai"
    (package / "orchestration" / "db" / "migrations" / "versions").mkdir(parents=True)
    (package / "__init__.py").write_text(TRAP)
    (site / "mage_ai-0.9.42.dist-info").mkdir()
    binaries = tmp_path / "venv" / "bin"
    binaries.mkdir()
    interpreter = binaries / "python"
    interpreter.write_text(f'#!/bin/sh\nPYTHONPATH={site} exec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    return interpreter


def package_of(interpreter: Path) -> Path:
    return interpreter.parents[1] / "site-packages" / "mage_ai"


def launcher(folder: Path, first_lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "mage"
    path.write_text(f"{first_lines}\nimport sys\n")
    path.chmod(0o755)
    return path


def assert_found(interpreter: Path, environment: dict[str, str], *, python: str | None = None, how: str) -> None:
    mage = find_mage({"PATH": "/usr/bin", **environment}, None, python)
    assert mage is not None
    assert (mage.package, mage.version) == (package_of(interpreter), "0.9.42")
    assert how in mage.found
    assert not (mage.package / "was_imported").exists()


def test_found_by_the_interpreter_that_was_named(elsewhere: Path) -> None:
    assert_found(elsewhere, {}, python=str(elsewhere), how="--python")


def test_found_by_a_relative_path_to_the_interpreter_and_not_in_the_folder_where_one_stands(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = elsewhere.parents[2] / "checkout"
    (checkout / "mage_ai").mkdir(parents=True)
    (checkout / "mage_ai" / "__init__.py").write_text(TRAP)
    monkeypatch.chdir(checkout)
    assert_found(elsewhere, {}, python="../venv/bin/python", how="--python ../venv/bin/python")


def test_found_in_the_active_environment(elsewhere: Path) -> None:
    assert_found(elsewhere, {"VIRTUAL_ENV": str(elsewhere.parents[1])}, how="$VIRTUAL_ENV")


def test_found_behind_the_launcher_on_the_path(elsewhere: Path, tmp_path: Path) -> None:
    launcher(tmp_path / "bin", f"#!{elsewhere}")
    assert_found(elsewhere, {"PATH": str(tmp_path / "bin")}, how="the launcher")


def test_found_behind_a_launcher_whose_interpreters_path_is_too_long(elsewhere: Path, tmp_path: Path) -> None:
    launcher(tmp_path / "bin", f"#!/bin/sh\n'''exec' \"{elsewhere}\" \"$0\" \"$@\"\n' '''")
    assert_found(elsewhere, {"PATH": str(tmp_path / "bin")}, how="the launcher")


def test_a_launcher_that_is_something_else_is_passed_over(tmp_path: Path) -> None:
    for first_line in ("#!/bin/sh", "#!/no/such/python", "\x7fELF"):
        launcher(tmp_path / "bin", first_line)
        assert find_mage({"PATH": str(tmp_path / "bin")}, None, None) is None


@pytest.mark.slow
def test_found_where_the_flag_says(mage_home: Path) -> None:
    for place in (mage_home, mage_home / "mage_ai"):
        mage = find_mage({}, str(place), None)
        assert mage is not None
        assert (mage.package, mage.version) == (mage_home / "mage_ai", VERSION)


def test_a_flag_that_names_a_place_without_mage_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"--mage-path .* has no Mage"):
        find_mage({}, str(tmp_path), None)
    with pytest.raises(ProjectError, match=r"The interpreter .*/no-python could not be asked for Mage"):
        find_mage({}, None, str(tmp_path / "no-python"))
    assert find_mage({}, None, sys.executable) is None


def test_the_flag_comes_before_what_could_be_found(elsewhere: Path, mage_home: Path) -> None:
    mage = find_mage({"VIRTUAL_ENV": str(elsewhere.parents[1])}, str(mage_home), None)
    assert mage is not None
    assert mage.version == VERSION


def test_a_project_of_its_own_comes_before_an_installed_mage(elsewhere: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", alembic_project.linear(1), "sqlite://")
    environment = {"VIRTUAL_ENV": str(elsewhere.parents[1])}
    assert find_project(environment, project.directory).kind == "alembic"
    meant = find_project({**environment, "DB_USER": "mage"}, project.directory)
    assert (meant.kind, meant.mutex_key) == ("mage", MAGE_MUTEX_KEY)
    assert find_project(environment, tmp_path).kind == "mage"


def test_projects_of_others_have_mutexes_of_their_own(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", alembic_project.linear(1), "sqlite://")
    key = find_project({}, project.directory).mutex_key
    assert key != MAGE_MUTEX_KEY
    assert 0 < key < 2**63


def test_this_environment_has_no_mage_of_its_own() -> None:
    """What the tests above rest on: nothing is found here that they did not put there."""
    assert not (Path(sysconfig.get_paths()["purelib"]) / "mage_ai").exists()
