"""What is installed on a production host is the wheel, not the checkout: it must carry all that is not Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.mage import CHECKOUT
from tests.support.terminal import Terminal


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the built wheel holds, as an installer would unpack it."""
    folder = tmp_path_factory.mktemp("wheel")
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "uv builds the wheel, and is not to be found"
    subprocess.run(
        [uv, "build", "--quiet", "--wheel", "--out-dir", str(folder), str(CHECKOUT)], check=True, timeout=170
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.mark.slow
def test_the_wheel_carries_styles_statements_releases_and_the_practice_project(installed: Path) -> None:
    package = installed / "magetui"
    assert sorted(p.name for p in (package / "styles").glob("*.tcss")) == sorted(
        p.name for p in (CHECKOUT / "styles").glob("*.tcss")
    )
    for kind in ("**/*.sql", "**/*.json", "engine/demo/demo_project/**/*"):
        ours = {p.relative_to(CHECKOUT / "magetui") for p in (CHECKOUT / "magetui").glob(kind) if p.is_file()}
        missing = {p for p in ours if "__pycache__" not in p.parts and not (package / p).is_file()}
        assert not missing, f"not in the wheel: {sorted(map(str, missing))}"


@pytest.mark.slow
def test_the_installed_screen_finds_its_styles_and_opens_a_practice_incident(installed: Path, tmp_path: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); from magetui.__main__ import main; main()"
    with Terminal([sys.executable, "-c", program, "demo"], (100, 30), cwd=tmp_path) as terminal:
        terminal.wait_for("BEHIND BY 2", 30)
        terminal.press("q")
        assert terminal.wait_exit() == 0
