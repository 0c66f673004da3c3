"""Runs read from their journals: the running ones as they grow, the past ones complete."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from magetui.engine.errors import RefusedError, StateError
from magetui.engine.runs.journals import journal_path, require_journal, run_numbers, runs_directory
from magetui.engine.runs.record import RunRecord, fold
from magetui.engine.runs.start import StartedRun
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.workspace import Workspace
from magetui.protocol import events, journal
from magetui.protocol.machine import identity

FOLLOW_PULSE_SECONDS = 0.1
NEWEST_RUNS = 20  # among which one that goes on is looked for
BEGIN_SECONDS = 10.0  # how long a child may take to write its first event


@dataclass(frozen=True, slots=True)
class Earlier:
    """How long a step took in an earlier run, on whichever database that was."""

    elapsed_ms: int
    run: int
    database: str


def follow(
    environment: Mapping[str, str],
    started: StartedRun | int,
    stop: Callable[[], bool] = lambda: False,
    hear: Callable[[Sequence[events.Event]], None] = lambda _events: None,
) -> Iterator[RunRecord]:
    """The run's record now, and again whenever its journal grows, until the child has ended.

    `stop` is asked at each pulse: once it says so nobody listens any more, and nothing more is read.
    `hear` receives the events that are new to the record.

    Raises as `read_run`.
    """
    run = started if isinstance(started, int) else started.run
    read_run(environment, run)  # or say why it cannot be read
    path = journal_path(runs_directory(environment), run)
    reader, record = journal.Reader(path), RunRecord(run=run)
    while not stop():
        alive = journal.is_alive(path)  # asked before reading: what is written in between is read next time
        fresh = list(reader.read())
        record = fold(record, fresh)
        hear(fresh)
        if not alive:
            break
        if fresh:
            yield record
        time.sleep(FOLLOW_PULSE_SECONDS)
    else:
        return
    if isinstance(started, StartedRun):
        started.process.wait()
    yield _closed(record, path)


def read_run(environment: Mapping[str, str], run: int) -> RunRecord:
    """One run's record as it is now. Raises `RunNotFoundError`, `StateError` where it may not be read."""
    directory = runs_directory(environment)
    try:
        path = require_journal(directory, run)
        alive = journal.is_alive(path)
        record = fold(RunRecord(run=run), journal.Reader(path).read())
    except PermissionError as error:
        raise StateError(directory, error, "read") from error
    return record if alive else _closed(record, path)


def read_events(environment: Mapping[str, str], run: int) -> tuple[events.Event, ...]:
    """Everything that a run's journal says, in the order in which it happened. Raises as `read_run`.

    A signal that an operator sent is put on record by another process, which may come after what the signal brought
    about: the moments tell.
    """
    directory = runs_directory(environment)
    try:
        return tuple(sorted(journal.Reader(require_journal(directory, run)).read(), key=lambda event: event.at))
    except PermissionError as error:
        raise StateError(directory, error, "read") from error


def took_before(environment: Mapping[str, str], steps: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Earlier]:
    """How long steps, as (revision, direction), took when they were last done, from the newest journals."""
    wanted = set(steps)
    found: dict[tuple[str, str], Earlier] = {}
    for record in list_runs(environment, NEWEST_RUNS) if wanted else ():
        for step in record.steps:
            key = (step.revision, step.direction)
            if key in wanted and key not in found and step.elapsed_ms is not None and not record.alive:
                found[key] = Earlier(step.elapsed_ms, record.run, record.database)
    return found


def list_runs(environment: Mapping[str, str], most: int | None = None) -> tuple[RunRecord, ...]:
    """The runs on record, newest first; only the `most` newest, if given. Those of other users are passed over.

    Raises `StateError` where the directory may not be read.
    """
    directory = runs_directory(environment)
    try:
        os.scandir(directory).close()  # `Path.glob` passes over what it may not read
        readable = (n for n in reversed(run_numbers(directory)) if os.access(journal_path(directory, n), os.R_OK))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StateError(directory, error, "read") from error
    return tuple(read_run(environment, number) for number in islice(readable, most))


def tell_lost(workspace: Workspace, record: RunRecord, *, just_ended: bool = False) -> RunRecord:
    """For a run whose child died untold: what its database says now, and whether its session is still there.

    Where the run has `just_ended`, that is the current revision after it, too; later, others may have changed it. Raises
    `MagetuiError` where the database cannot be read.
    """
    if record.outcome != "lost" or record.database != workspace.target.redacted:
        return record
    with open_reading(workspace) as reading:
        current = reading.overview.current
    left = False
    if record.session is not None:
        with workspace.reading() as connection:
            left = workspace.backend.session_exists(connection, record.session, record.application)
    return replace(
        record,
        current_now=current,
        current_after=current if just_ended else record.current_after,
        session_left=left,
    )


def cancel(environment: Mapping[str, str], run: int) -> bool:
    """Ask a run to stop: it cancels its statement, rolls back and records how it ended. False where it has ended.

    Raises `RunNotFoundError`, `RefusedError` where it cannot be asked from here, or not yet.
    """
    record = read_run(environment, run)
    path = journal_path(runs_directory(environment), run)
    deadline = time.monotonic() + BEGIN_SECONDS
    while record.pid is None and record.alive and time.monotonic() < deadline:
        time.sleep(FOLLOW_PULSE_SECONDS)  # its child has only just been started
        record = read_run(environment, run)
    if record.machine and record.machine != identity() and journal.is_alive(path):
        raise RefusedError(f"Run {run} goes on, on {record.host or 'another machine'}: cancel it there.")
    # The lock on the journal is the child's: while it is held, the number is still that process's own.
    if not journal.is_alive(path):
        return False
    if record.pid is None:
        raise RefusedError(f"Run {run} has not said yet which process it is, so it was not asked to stop: ask again.")
    try:
        os.kill(record.pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


def _closed(record: RunRecord, path: Path) -> RunRecord:
    """The record of a run whose child is gone; where it said no last word, it is lost."""
    if record.outcome != "running":
        return record
    complaints = path.with_suffix(".stderr")
    words = complaints.read_text(errors="replace").strip().splitlines() if complaints.is_file() else []
    error = (
        words[-1] if words else "The process that ran it ended without a word: it was killed, or the machine went down."
    )
    if words and record.pid is None:
        error = f"The process could not begin: {error}"
    steps = tuple(replace(s, state="stopped") if s.state == "running" else s for s in record.steps)
    return replace(record, outcome="lost", error=error, steps=steps, wait=None)
