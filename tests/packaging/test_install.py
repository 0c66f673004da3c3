"""Whoever is paged has no clone: each way of installing is carried out from an empty HOME, and the program is used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from release.bundle import THIS_PYTHON, make
from tests.support.mage import CHECKOUT
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SECONDS = 500


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([_uv(), "build", "--quiet", "--out-dir", str(folder), str(CHECKOUT)], check=True, timeout=SECONDS)
    return folder


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a new account: an empty HOME, and no Python but the system's."""
    (tmp_path / "account").mkdir()
    left = ("XDG_", "VIRTUAL_ENV", "PYTHON", "UV_PROJECT", "MAGE", "DB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left)}
    programs = f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin"
    return {**kept, "HOME": str(tmp_path / "account"), "PATH": programs, "MAGETUI_TRUST": "1"}


def test_an_offline_bundle_is_installed_by_python_alone(tmp_path: Path, home: dict[str, str]) -> None:
    bundle = make(tmp_path / "bundle", [THIS_PYTHON], None)
    with tarfile.open(bundle) as archive:
        archive.extractall(tmp_path, filter="data") if sys.version_info >= (3, 12) else archive.extractall(tmp_path)
    (install,) = tmp_path.glob("magetui-*/install.py")
    unreachable = {**home, "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_EXTRA_INDEX_URL": ""}
    python = str(Path(sys.base_prefix) / "bin" / f"python{THIS_PYTHON}")
    done = subprocess.run(
        [python, str(install)], env=unreachable, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    program = Path(home["HOME"]) / ".local" / "bin" / "magetui"
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Start it with: {program}" in done.stdout
    _use(program, home, tmp_path)
    bill = json.loads((install.parent / "sbom.cdx.json").read_text())
    listed = {(part["name"], part["hashes"][0]["content"]) for part in bill["components"]}
    wheels = install.parent.glob("wheels/*.whl")
    found = {(w.name.split("-")[0].replace("_", "-").lower(), sha256(w.read_bytes()).hexdigest()) for w in wheels}
    assert listed == found and len(found) > 10


def test_a_scanner_finds_in_the_wheel_what_it_requires(dist: Path) -> None:
    with zipfile.ZipFile(_wheel(dist)) as wheel:
        (name,) = [name for name in wheel.namelist() if ".dist-info/sboms/" in name]
        bill = json.loads(wheel.read(name))
    required = {part["name"]: part["properties"][0]["value"] for part in bill["components"]}
    assert bill["metadata"]["component"]["purl"].startswith("pkg:pypi/magetui@")
    assert required["textual"] == "textual<9,>=8.2"
    assert set(required) >= {"alembic", "argcomplete", "boto3", "psycopg2-binary", "rich", "sqlalchemy", "sqlglot"}


def test_uv_installs_the_wheel_as_a_tool(dist: Path, tmp_path: Path, home: dict[str, str]) -> None:
    _tool(["tool", "install", "--quiet", "--compile-bytecode", str(_wheel(dist))], home)
    _use(Path(home["HOME"]) / ".local" / "bin" / "magetui", home, tmp_path)


def test_pipx_installs_the_wheel(dist: Path, tmp_path: Path, home: dict[str, str]) -> None:
    _tool(["tool", "run", "--quiet", "pipx", "install", "--backend", "pip", "--quiet", str(_wheel(dist))], home)
    assert _man_page(home).exists()
    _use(Path(home["HOME"]) / ".local" / "bin" / "magetui", home, tmp_path)


def _man_page(home: dict[str, str]) -> Path:
    return Path(home["HOME"]) / ".local" / "share" / "man" / "man1" / "magetui.1"


def _use(program: Path, home: dict[str, str], folder: Path) -> None:
    """Ask the program for its version, look for its bytecode, and open and leave a practice incident."""
    said = subprocess.run([str(program), "--version"], env=home, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.startswith("magetui ") and "unbuilt" not in said.stdout
    site = program.resolve().parents[1] / "lib" / f"python{THIS_PYTHON}" / "site-packages"
    assert list((site / "magetui" / "__pycache__").glob("verbs.*.pyc")), "the bytecode is compiled at the first start"
    with Terminal([str(program), "demo"], (100, 30), env=home, cwd=folder) as terminal:
        terminal.wait_for("BEHIND BY 2", 60)
        terminal.press("q")
        assert terminal.wait_exit() == 0


def _tool(words: list[str], home: dict[str, str]) -> None:
    """Run uv as the new account, but with the packages that this machine has already."""
    cache = subprocess.run([_uv(), "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    command = [_uv(), *words, "--python", f"{sys.base_prefix}/bin/python{THIS_PYTHON}"]
    subprocess.run(command, env={**home, "UV_CACHE_DIR": cache}, timeout=SECONDS, check=True)


def _wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


def _uv() -> str:
    uv = os.environ.get("UV") or shutil.which("uv")
    assert uv, "uv builds the packages, and is not to be found"
    return uv
