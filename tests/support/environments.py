"""Virtual environments of others, in which this project's packages are not: what migrates under a Python of its own.

Each is made once, by uv, in the checkout's `.cache`.
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

ATTEMPTS = 2  # an index may have a bad moment; what has come is kept, and the second goes on from there


def environment(
    folder: str, packages: Sequence[str], *options: str, python: str = sys.executable, warmed_by: str | None = None
) -> Path:
    """The home of the environment with these packages, `folder` in the cache; `options` are the installer's.

    `warmed_by` are imports whose bytecode is written now, once, rather than by the first test that wants them.
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
    """Where the packages of an environment are."""
    [found] = home.glob("lib/python*/site-packages")
    return found


def _uv() -> list[str]:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        return [uv]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    raise RuntimeError("uv was not found: run the tests with `uv run pytest`")


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
