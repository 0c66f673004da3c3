"""Where the journals of runs are, and their numbers."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Mapping
from pathlib import Path

from magetui.engine.directories import state_directory
from magetui.engine.errors import RunNotFoundError, StateError
from magetui.protocol import journal


def runs_directory(environment: Mapping[str, str]) -> Path:
    return state_directory(environment) / "runs"


def new_journal(directory: Path) -> tuple[int, int]:
    """The next free number and the descriptor of its journal, already locked."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = max(run_numbers(directory), default=0)
        while True:
            number += 1
            try:
                return number, journal.create(journal_path(directory, number))
            except FileExistsError:
                continue  # somebody else took that number just now
    except OSError as error:
        raise StateError(directory, error) from error


def journal_path(directory: Path, run: int) -> Path:
    return directory / f"{run}.jsonl"


def run_numbers(directory: Path) -> list[int]:
    return sorted(int(path.stem) for path in directory.glob("*.jsonl") if path.stem.isdigit())


def require_journal(directory: Path, run: int) -> Path:
    path = journal_path(directory, run)
    if not path.is_file():
        raise RunNotFoundError(f"There is no run {run} on record in {directory}. 'magetui runs' lists those there are.")
    return path


def operator() -> str:
    """Who is at it, for those who meet a run on the server: 'user@host', in ASCII as the server keeps names."""
    return f"{getpass.getuser()}@{socket.gethostname()}".encode("ascii", "replace").decode()
