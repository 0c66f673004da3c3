"""Stopping a run: it is asked to stop, and if it does not, its process is ended.

A run is asked by a file beside its journal, which its watcher looks for at each pulse. A signal would not do: env.py
may ignore it, or have a handler of its own.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING

from magetui.engine.errors import RefusedError
from magetui.engine.runs.follow import opened_journal, read_run
from magetui.engine.runs.journals import journal_path, runs_directory
from magetui.protocol import journal
from magetui.protocol.machine import identity
from magetui.protocol.private_files import PRIVATE

if TYPE_CHECKING:
    from magetui.engine.runs.record import RunRecord


def cancel_run(environment: Mapping[str, str], run: int) -> bool:
    """Ask a run to stop, or return False if it has ended. Raises `RunNotFoundError` and `RefusedError`."""
    record = _living(environment, run)
    if record is None:
        return False
    path = journal.cancel_path(journal_path(runs_directory(environment), run))
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE))
    except OSError:  # the directory is gone, or the disk is full
        return _signal(environment, record, signal.SIGTERM)
    return True


def kill_run(environment: Mapping[str, str], run: int) -> bool:
    """End the process of a run at once, or return False if it has ended. Raises as `cancel_run` does.

    The database rolls back what the run has not committed, and the run is lost.
    """
    record = _living(environment, run)
    return record is not None and _signal(environment, record, signal.SIGKILL)


def _living(environment: Mapping[str, str], run: int) -> RunRecord | None:
    """Return the record of a run that continues on this machine, or None if it has ended."""
    record = read_run(environment, run)
    with opened_journal(environment, run) as reader:
        alive = reader.alive
    if record.machine and record.machine != identity() and alive:
        raise RefusedError(f"Run {run} continues on {record.host or 'another machine'}: cancel it there.")
    return record if record.alive and alive else None


def _signal(environment: Mapping[str, str], record: RunRecord, number: signal.Signals) -> bool:
    """Send a signal to the process of a run, if it is the one that writes the run's journal."""
    if record.pid is None:
        raise RefusedError(f"Run {record.run} has not recorded its process yet. Try again.")
    if not journal.is_held_by(journal_path(runs_directory(environment), record.run), record.pid):
        raise RefusedError(f"Process {record.pid} does not write the record of run {record.run}, so it is left alone.")
    try:
        os.kill(record.pid, number)
    except ProcessLookupError:
        return False
    return True
