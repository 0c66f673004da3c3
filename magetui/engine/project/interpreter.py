"""The Python interpreter that a project's scripts run under: the named one, else the project's own, else ours.

A project's `env.py` imports the project, which works only in the project's environment. The search covers the places
where tools create environments, and it skips an environment that has no Alembic.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from magetui.engine.directories import home_directory
from magetui.engine.project.toml import read_toml

ASK_SECONDS = 20
# The versions come from the packages' metadata, because importing them takes a second.
QUESTION = "from importlib.metadata import version as v; print(v('alembic'), v('sqlalchemy'))"
OLDEST = {"Alembic": (1, 13), "SQLAlchemy": (1, 4)}
PROJECT_ROOT = ("pyproject.toml", "uv.lock", "poetry.lock", ".git")
OURS = "this program's own"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter's path, and the reason why it was chosen. `problem` is a sentence if it cannot run the scripts."""

    path: str
    why: str
    problem: str | None = None


def find_interpreter(
    environment: Mapping[str, str], folder: Path, named: str | None, source: str = "--python"
) -> Interpreter:
    """Return the interpreter for the scripts of an Alembic project in `folder`."""
    if named is not None:
        return Interpreter(named, source, _problem(named))
    lacking: list[str] = []
    active = [(Path(home), "$VIRTUAL_ENV") for home in [environment.get("VIRTUAL_ENV")] if home]
    for home, why in (*environments(environment, folder), *active):
        python = home / "bin" / "python"
        if not os.access(python, os.X_OK):
            continue
        if home.resolve() == Path(sys.prefix).resolve():
            return Interpreter(sys.executable, why)
        with suppress(OSError, subprocess.TimeoutExpired):
            if versions := ask(str(python), QUESTION):
                return Interpreter(str(python), why, _too_old(versions))
        lacking.append(str(home))
    return Interpreter(sys.executable, OURS + "".join(f"; {home} has no Alembic" for home in lacking))


def _problem(python: str) -> str | None:
    """Return why a named interpreter cannot run the scripts. If it cannot be started, the child tells why."""
    with suppress(OSError, subprocess.TimeoutExpired):
        return _too_old(ask(python, QUESTION))
    return None


def _too_old(versions: str) -> str | None:
    """Return a sentence if one of the versions, as `QUESTION` prints them, is older than the oldest that works."""
    for (name, oldest), version in zip(OLDEST.items(), versions.split(), strict=False):
        if tuple(map(int, re.findall(r"\d+", version)[:2])) < oldest:
            needed = ".".join(map(str, oldest))
            return (
                f"It has {name} {version}, and magetui runs scripts with {name} {needed} or later. Name an interpreter "
                "with newer packages by --python, or upgrade the packages of the project."
            )
    return None


def environments(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folder of each environment that the project may have, with its reason, the most likely one first."""
    above = (folder, *folder.parents)
    root = next((path for path in above if any((path / name).exists() for name in PROJECT_ROOT)), folder)
    if named := environment.get("UV_PROJECT_ENVIRONMENT"):
        yield root / named, "$UV_PROJECT_ENVIRONMENT"
    for path in above:
        yield path / ".venv", "the project's .venv"
        if path == root:
            break
    yield from ((home, "the project's Poetry environment") for home in _poetry_environments(environment, root))


def _poetry_environments(environment: Mapping[str, str], root: Path) -> list[Path]:
    """Return Poetry's environments of this project. Poetry builds their names from the project's name and path."""
    if not (root / "poetry.lock").is_file() or not (root / "pyproject.toml").is_file():
        return []
    try:
        document = read_toml(root / "pyproject.toml")
    except (OSError, ValueError):
        return []  # a module that needs the file reports the problem
    name = document.get("project", {}).get("name") or document.get("tool", {}).get("poetry", {}).get("name")
    if not isinstance(name, str):
        return []
    caches = home_directory(environment) / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    cache = environment.get("POETRY_CACHE_DIR") or Path(environment.get("XDG_CACHE_HOME") or caches) / "pypoetry"
    homes = Path(environment.get("POETRY_VIRTUALENVS_PATH") or Path(cache) / "virtualenvs")
    digest = base64.urlsafe_b64encode(hashlib.sha256(os.fsencode(os.path.realpath(root))).digest()).decode()[:8]
    clean = re.sub(r'[ $`!*@"\\\r\n\t]', "_", name.lower())[:42]
    prefix = f"{clean}-{digest}-py"
    return sorted(home for home in (homes.iterdir() if homes.is_dir() else ()) if home.name.startswith(prefix))


def ask(python: str, question: str) -> str:
    """Return what the interpreter prints for a line of Python, or '' if it fails.

    It runs at `/`: modules in the current folder would hide its own. Raises `OSError` and `subprocess.TimeoutExpired`.
    """
    done = subprocess.run(
        [str(Path(python).absolute()) if os.sep in python else python, "-B", "-c", question],
        capture_output=True,
        text=True,
        timeout=ASK_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
        cwd="/",
    )
    return "" if done.returncode else done.stdout.strip()
