"""Reading runs from their journals, live and past, and cancelling a live run.

A journal is the only source, also of a run that was started before an SSH connection dropped. The database is asked
only about lost runs, whose journals have no end.
"""

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
NEWEST_RUNS = 20  # how many runs are searched for live ones
FIRST_EVENT_SECONDS = 10.0  # how long a child may take to write its first event


@dataclass(frozen=True, slots=True)
class EarlierStep:
    """The duration of a step in an earlier run, on any database."""

    elapsed_ms: int
    run: int
    database: str


def follow_run(
    environment: Mapping[str, str],
    started: StartedRun | int,
    stop: Callable[[], bool] = lambda: False,
    hear: Callable[[Sequence[events.Event]], None] = lambda _events: None,
) -> Iterator[RunRecord]:
    """Yield the run's record, and again each time its journal grows, until the child has ended.

    `stop` is polled every `FOLLOW_PULSE_SECONDS`; if it returns True, nothing more is read. `hear` receives the events
    that are new to the record. Raises the errors of `read_run`.
    """
    run = started if isinstance(started, int) else started.run
    read_run(environment, run)  # raises if the journal cannot be read
    path = journal_path(runs_directory(environment), run)
    reader, record = journal.Reader(path), RunRecord(run=run)
    while not stop():
        alive = journal.is_alive(path)  # asked before reading, so that the child's last events are not missed
        fresh = list(reader.read())
        record = fold(record, fresh)
        hear(fresh)
        if not alive or not record.alive:  # a process that a script left behind keeps the journal's lock
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
    """Return the run's record as it is now. Raises `RunNotFoundError`, or `StateError` if it may not be read."""
    directory = runs_directory(environment)
    try:
        path = require_journal(directory, run)
        alive = journal.is_alive(path)
        record = fold(RunRecord(run=run), journal.Reader(path).read())
    except PermissionError as error:
        raise StateError(directory, error, "read") from error
    return record if alive else _closed(record, path)


def read_events(environment: Mapping[str, str], run: int) -> tuple[events.Event, ...]:
    """Return all events, sorted by time: another process may have written a signal after its effect."""
    directory = runs_directory(environment)
    try:
        return tuple(sorted(journal.Reader(require_journal(directory, run)).read(), key=lambda event: event.at))
    except PermissionError as error:
        raise StateError(directory, error, "read") from error


def list_runs(environment: Mapping[str, str], most: int | None = None) -> tuple[RunRecord, ...]:
    """Return at most `most` of this user's runs, newest first. Raises `StateError` if they may not be read."""
    directory = runs_directory(environment)
    try:
        os.scandir(directory).close()  # `Path.glob` ignores a directory that it may not read
        readable = (n for n in reversed(run_numbers(directory)) if os.access(journal_path(directory, n), os.R_OK))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StateError(directory, error, "read") from error
    return tuple(read_run(environment, number) for number in islice(readable, most))


def earlier_steps(
    environment: Mapping[str, str], steps: Iterable[tuple[str, str]]
) -> Mapping[tuple[str, str], EarlierStep]:
    """Return how long each (revision, direction) took in the newest of `NEWEST_RUNS` runs that completed it."""
    wanted = set(steps)
    earlier: dict[tuple[str, str], EarlierStep] = {}
    for record in list_runs(environment, NEWEST_RUNS) if wanted else ():
        for step in record.steps:
            key = (step.revision, step.direction)
            if key in wanted and key not in earlier and step.elapsed_ms is not None and not record.alive:
                earlier[key] = EarlierStep(step.elapsed_ms, record.run, record.database)
    return earlier


def inspect_lost_run(workspace: Workspace, record: RunRecord, *, just_ended: bool = False) -> RunRecord:
    """Add to a lost run what the database says now: the current revision, and if the run's session still exists.

    Returns other runs unchanged. If the run has `just_ended`, the current revision is also recorded as its result;
    later, others may have changed it. Raises `MagetuiError` if the database cannot be read.
    """
    if record.outcome != "lost" or record.database != workspace.target.redacted:
        return record
    with open_reading(workspace) as reading:
        current = reading.overview.current
    session_left = False
    if record.session is not None:
        with workspace.reading() as connection:
            session_left = workspace.backend.session_exists(connection, record.session, record.application)
    return replace(
        record,
        current_now=current,
        current_after=current if just_ended else record.current_after,
        session_left=session_left,
    )


def cancel_run(environment: Mapping[str, str], run: int) -> bool:
    """Ask a run to stop, or return False if it has ended. Raises `RunNotFoundError` and `RefusedError`."""
    record = read_run(environment, run)
    path = journal_path(runs_directory(environment), run)
    deadline = time.monotonic() + FIRST_EVENT_SECONDS
    while record.pid is None and record.alive and time.monotonic() < deadline:
        time.sleep(FOLLOW_PULSE_SECONDS)  # the child has only just been started
        record = read_run(environment, run)
    if record.machine and record.machine != identity() and journal.is_alive(path):
        raise RefusedError(f"Run {run} continues on {record.host or 'another machine'}: cancel it there.")
    # The child holds the journal's lock. While the lock is held, no other process can have this pid, unless the run has
    # ended and a process that a script left behind still holds it.
    if not record.alive or not journal.is_alive(path):
        return False
    if record.pid is None:
        raise RefusedError(f"Run {run} has not recorded its process yet, so it was not asked to stop: ask again.")
    try:
        os.kill(record.pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


def _closed(record: RunRecord, path: Path) -> RunRecord:
    """Return the record of a run whose child has ended. If the journal has no outcome, the run is lost."""
    if record.outcome != "running":
        return record
    complaints = path.with_suffix(".stderr")
    lines = complaints.read_text(errors="replace").strip().splitlines() if complaints.is_file() else []
    if not lines:
        error = "The run's process ended without a report: it was killed, or the machine went down."
    else:
        error = f"The process could not start: {lines[-1]}" if record.pid is None else lines[-1]
    steps = tuple(replace(s, state="stopped") if s.state == "running" else s for s in record.steps)
    return replace(record, outcome="lost", error=error, steps=steps, wait=None)
