"""Packages of other projects, installed once, each into its own folder of the checkout's `.cache`.

They contain other people's chains of migrations. A chain of our own would only prove our own ideas.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
INSTALL_TIMEOUT = 600  # seconds; Mage's wheel has 40 MB


def installed(package: str, version: str, folder: str, *options: str) -> Path:
    """Return the directory with the package, `folder` in the cache. `options` go to the installer."""
    directory = CHECKOUT / ".cache" / folder
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_name(f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the test processes start at the same time
        if not directory.exists():
            partial = directory.with_name(f"{directory.name}.partial")
            if partial.exists():
                shutil.rmtree(partial)
            _install([*options, "--target", str(partial), f"{package}=={version}"])
            partial.rename(directory)
    return directory


def scripts_in(directory: Path, scripts: Path, count: int) -> Path:
    """Return the folder of a chain's scripts. RuntimeError if their number is wrong."""
    number = len(list((directory / scripts / "versions").glob("[!_]*.py")))
    if number != count:
        raise RuntimeError(f"{directory} has {number} revisions instead of {count}: delete it and run again")
    return directory / scripts


def _installer() -> list[str]:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", sys.executable]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install"]
    pip = shutil.which("pip3") or shutil.which("pip")
    if pip:
        return [pip, "install"]
    raise RuntimeError("neither uv nor pip is installed: run the tests with `uv run pytest`")


def _install(arguments: list[str]) -> None:
    command = [*_installer(), *arguments]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
