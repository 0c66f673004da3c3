"""Virtual environments of other projects, without this project's packages, for migrations under their own Python.

uv makes each environment once, in the checkout's `.cache`.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.wheels import CHECKOUT, INSTALL_TIMEOUT

ATTEMPTS = 2  # the index may fail for a moment; uv keeps the packages that it has, and the second attempt continues


def environment(
    folder: str, packages: Sequence[str], *options: str, python: str = sys.executable, warmed_by: str | None = None
) -> Path:
    """Return the environment with these packages, `folder` in the cache. `options` go to the installer.

    `warmed_by` is code whose imports write their bytecode now, so that the first test does not pay for that.
    """
    home = CHECKOUT / ".cache" / folder
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the test processes start at the same time
        made = home / "made"
        if not made.exists():
            shutil.rmtree(home, ignore_errors=True)
            _run([*_uv(), "venv", "--quiet", "--python", python, str(home)])
            install = [*_uv(), "pip", "install", "--quiet", "--python", str(home / "bin" / "python")]
            _run([*install, *options, *packages], attempts=ATTEMPTS)
            if warmed_by is not None:
                _run([str(home / "bin" / "python"), "-c", warmed_by])
            made.write_text("")
    return home


def site_packages(home: Path) -> Path:
    """Return the directory with the packages of an environment."""
    [directory] = home.glob("lib/python*/site-packages")
    return directory


def _uv() -> list[str]:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        return [uv]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    raise RuntimeError("uv is not installed: run the tests with `uv run pytest`")


def _run(command: list[str], attempts: int = 1) -> None:
    bytecode = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
    clean = {name: value for name, value in os.environ.items() if name not in (*bytecode, "VIRTUAL_ENV")}
    for left in reversed(range(attempts)):
        done = subprocess.run(
            command,
            env=clean,
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT,
            check=False,
        )
        if done.returncode == 0:
            return
        if not left:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
