"""How many records of runs are kept: by their number, age and size. The newest are kept, and those of live runs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from magetui.engine.errors import StateError
from magetui.engine.runs.journals import journal_path, run_numbers, runs_directory
from magetui.engine.runs.kept_scripts import scripts_path
from magetui.engine.runs.summaries import summary_path
from magetui.protocol import journal

DAY = 86_400  # seconds


@dataclass(frozen=True, slots=True)
class Retention:
    """The most that is kept. 0 is no limit."""

    runs: int = 500
    days: float = 0
    megabytes: float = 500


@dataclass(frozen=True, slots=True)
class Pruned:
    """The runs whose records were deleted, the bytes that they took, and how many records are left."""

    runs: tuple[int, ...]
    bytes: int
    left: int


def prune(environment: Mapping[str, str], keep: Retention) -> Pruned:
    """Delete the records that are beyond a limit. Raises `StateError` if they may not be read or deleted."""
    directory = runs_directory(environment)
    if not directory.exists():
        return Pruned((), 0, 0)
    size, oldest = 0, time.time() - keep.days * DAY
    deleted, freed, left = [], 0, 0
    try:
        for run in reversed(run_numbers(directory)):
            files = _files(journal_path(directory, run))
            taken = sum(file.lstat().st_size for file in files)
            size += taken
            beyond = (
                (keep.runs and left >= keep.runs)
                or (keep.megabytes and size > keep.megabytes * 1_000_000)
                or (keep.days and files[0].lstat().st_mtime < oldest)
            )
            if not beyond or _lives(files[0]):
                left += 1
                continue
            for file in files:
                file.unlink(missing_ok=True)
            deleted.append(run)
            freed += taken
    except OSError as error:
        raise StateError(directory, error) from error
    return Pruned(tuple(deleted), freed, left)


def _files(path: Path) -> list[Path]:
    """Return the journal, and the files beside it that exist."""
    beside = (summary_path(path), scripts_path(path), path.with_suffix(".stderr"), journal.cancel_path(path))
    return [path, *(file for file in beside if file.exists())]


def _lives(path: Path) -> bool:
    """Return whether the run continues, or may: a record that is not ours is never deleted."""
    with suppress(OSError), journal.Reader(path) as reader:
        return reader.alive
    return True
