"""The journals of runs as files: `<state directory>/runs/<number>.jsonl`, which only their owner can read.

The module is separate because everything in this package finds its journal here. `record` knows their contents.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from pathlib import Path

from magetui.engine.directories import state_directory
from magetui.engine.errors import RunNotFoundError, StateError
from magetui.protocol import journal
from magetui.protocol.machine import user
from magetui.protocol.private_files import make_private

NUMBER = re.compile(r"[1-9][0-9]{0,9}")


def runs_directory(environment: Mapping[str, str]) -> Path:
    return state_directory(environment) / "runs"


def journal_path(directory: Path, run: int) -> Path:
    return directory / f"{run}.jsonl"


def run_numbers(directory: Path) -> list[int]:
    """Return the numbers of the journals in the directory, in order. Other names, such as '007', are no journals."""
    return sorted(int(path.stem) for path in directory.glob("*.jsonl") if NUMBER.fullmatch(path.stem))


def new_journal(directory: Path) -> tuple[int, int]:
    """Create the next run's journal. Return its number and the descriptor that locks it. Raises `StateError`."""
    try:
        make_private(directory)
        number = max(run_numbers(directory), default=0)
        while True:
            number += 1
            try:
                return number, journal.create(journal_path(directory, number))
            except FileExistsError:
                continue  # another process has just taken this number
    except OSError as error:
        raise StateError(directory, error) from error


def require_journal(directory: Path, run: int) -> Path:
    """Return the path of the run's journal. Raises `RunNotFoundError` if it does not exist."""
    path = journal_path(directory, run)
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        why = f"There is no run {run} on record in {directory}. 'magetui runs' lists the runs."
        raise RunNotFoundError(why) from None
    return path


def operator() -> str:
    """Return 'user@host', which tells others on the server who runs this. ASCII, as PostgreSQL keeps session names."""
    return f"{user()}@{socket.gethostname()}".encode("ascii", "replace").decode()
