"""Packages that are not this project's, each in a folder of its own in the checkout's `.cache`, installed once.

Other people's chains of migrations come in them: a chain of ours would only prove our own ideas.
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
    """The directory, `folder` in the cache, with the package in it; `options` are the installer's."""
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
    """The folder of a chain's scripts, once it has been seen to be whole."""
    found = len(list((directory / scripts / "versions").glob("[!_]*.py")))
    if found != count:
        raise RuntimeError(f"{directory} has {found} revisions instead of {count}: delete it and run again")
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
    raise RuntimeError("neither uv nor pip found: run the tests with `uv run pytest`")


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
