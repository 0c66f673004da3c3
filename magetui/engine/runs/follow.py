"""Reading runs from their journals, live and past, and cancelling a live run.

A journal is the only source, also of a run that was started before an SSH connection dropped. The database is asked
only about lost runs, whose journals have no end.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.errors import RunNotFoundError, StateError, UnreadableRunError
from magetui.engine.runs import summaries
from magetui.engine.runs.journals import journal_path, require_journal, run_numbers, runs_directory
from magetui.engine.runs.record import RunRecord, fold
from magetui.engine.runs.start import StartedRun
from magetui.engine.schema.snapshot import open_reading
from magetui.protocol import events, journal
from magetui.protocol.private_files import ForeignFileError, open_own

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace

FOLLOW_PULSE_SECONDS = 0.1
LAST_BYTES = 20_000  # of a child's stderr
NEWEST_RUNS = 20  # how many runs are searched for live ones
FIRST_EVENT_SECONDS = 10.0  # how long a child may take to write its first event


@dataclass(frozen=True, slots=True)
class EarlierStep:
    """The duration of a step in an earlier run on the same database."""

    elapsed_ms: int
    run: int


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
    path, record = journal_path(runs_directory(environment), run), RunRecord(run=run)
    was_seen = isinstance(started, StartedRun)
    with opened_journal(environment, run) as reader:
        while not stop():
            # Asked before reading, so that the child's last events are not missed.
            alive, state = reader.alive, reader.state
            was_seen = was_seen or alive
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
    record = _closed(record, path)
    summaries.write(path, state, record)
    yield record if was_seen else _with_later(record, path)


def read_run(environment: Mapping[str, str], run: int) -> RunRecord:
    """Return the run's record as it is now. Raises `RunNotFoundError`, or `StateError` if it may not be read."""
    with opened_journal(environment, run) as reader:
        alive = reader.alive
        record = fold(RunRecord(run=run), reader.read())
    path = journal_path(runs_directory(environment), run)
    return record if alive else _with_later(_closed(record, path), path)


def read_events(environment: Mapping[str, str], run: int) -> tuple[events.Event, ...]:
    """Return all events in the order in which they happened.

    That is their order in the journal, except for signals: another process may write a signal after its effect. The
    times do not decide about the others, because a clock may be set back while a run continues.
    """
    happened: list[events.Event] = []
    with opened_journal(environment, run) as reader:
        for event in reader.read():
            place = len(happened)
            while isinstance(event, events.SessionSignalled) and place > 0 and happened[place - 1].at > event.at:
                place -= 1
            happened.insert(place, event)
    return tuple(happened)


@contextmanager
def opened_journal(environment: Mapping[str, str], run: int) -> Iterator[journal.Reader]:
    """Open the run's journal for reading. Raises `RunNotFoundError`, or `StateError` if it may not be read."""
    directory = runs_directory(environment)
    try:
        path = require_journal(directory, run)
        reader = journal.Reader(path)
    except OSError as error:
        is_about_directory = isinstance(error, PermissionError) and not isinstance(error, ForeignFileError)
        raise StateError(directory if is_about_directory else Path(error.filename), error, "read") from error
    with reader:
        yield reader


@dataclass(frozen=True, slots=True)
class RunList:
    """The runs on record, newest first. `skipped` are sentences about records that could not be read."""

    records: tuple[RunRecord, ...]
    skipped: tuple[str, ...] = ()


def list_runs(environment: Mapping[str, str], most: int | None = None) -> RunList:
    """Return at most `most` of this user's runs, without what scripts printed. Raises `StateError`.

    A run that has ended is read from its summary, if there is one.
    """
    directory = runs_directory(environment)
    try:
        os.scandir(directory).close()  # `Path.glob` ignores a directory that it may not read
        numbers = run_numbers(directory)[::-1]
    except (FileNotFoundError, NotADirectoryError):
        return RunList(())
    except OSError as error:
        raise StateError(directory, error, "read") from error
    records: list[RunRecord] = []
    skipped: list[str] = []
    for number in numbers:
        if len(records) == most:
            break
        try:
            records.append(_summarized(environment, number))
        except RunNotFoundError:
            continue  # it was pruned meanwhile
        except (StateError, UnreadableRunError) as error:
            skipped.append(error.message)
    return RunList(tuple(records), tuple(skipped))


def _summarized(environment: Mapping[str, str], run: int) -> RunRecord:
    """Return the record from the summary of a run that has ended, else from its journal. Then write the summary."""
    path = journal_path(runs_directory(environment), run)
    if (known := summaries.read(path)) is not None:
        return known
    with opened_journal(environment, run) as reader:
        state, alive = reader.state, reader.alive
        record = fold(RunRecord(run=run), reader.read())
        if record.started is None and reader.unreadable:
            raise UnreadableRunError(f"The record of run {run} is skipped: {path} holds no run.")
    if not alive:
        record = _closed(record, path)
        summaries.write(path, state, record)
    return summaries.shortened(record)


def earlier_steps(
    environment: Mapping[str, str], database: str, steps: Iterable[tuple[str, str]], before: int | None = None
) -> Mapping[tuple[str, str], EarlierStep]:
    """Return how long each (revision, direction) took in the newest of `NEWEST_RUNS` runs that completed it.

    Only runs on `database`, its redacted URL, count: on another database, a step has other rows. If `before` is the
    number of a run, only those before it.
    """
    wanted = set(steps)
    earlier: dict[tuple[str, str], EarlierStep] = {}
    for record in list_runs(environment, NEWEST_RUNS).records if wanted else ():
        for step in record.steps if record.database == database and (before is None or record.run < before) else ():
            key = (step.revision, step.direction)
            if key in wanted and key not in earlier and step.elapsed_ms is not None and not record.alive:
                earlier[key] = EarlierStep(step.elapsed_ms, record.run)
    return earlier


def inspect_lost_run(workspace: Workspace, record: RunRecord, *, just_ended: bool = False) -> RunRecord:
    """Add to a lost run what the database says now: the current revision, and if the run's session still exists.

    Returns other runs unchanged. If the run has `just_ended`, the current revision is also recorded as its result;
    later, others may have changed it. Raises `MagetuiError` if the database cannot be read.
    """
    if record.outcome != "lost" or record.database != workspace.target.redacted:
        return record
    session_left = False
    if record.session is not None:  # asked first: while the session exists, it may still commit
        with workspace.reading() as connection:
            session_left = workspace.backend.session_exists(connection, record.session, record.application)
    with open_reading(workspace) as reading:
        current = reading.overview.current
    return replace(
        record,
        current_now=current,
        current_after=current if just_ended else record.current_after,
        session_left=session_left,
    )


def _with_later(record: RunRecord, path: Path) -> RunRecord:
    """Return the record of a run that ended some time ago with whether a later run is on record."""
    return replace(record, is_past=max(run_numbers(path.parent), default=record.run) > record.run)


def _closed(record: RunRecord, path: Path) -> RunRecord:
    """Return the record of a run whose child has ended. If the journal has no outcome, the run is lost."""
    if record.outcome != "running":
        return record
    lines = _complaints(path.with_suffix(".stderr"))
    if not lines:
        error = "The run's process ended without a report: it was killed, or the machine went down."
    else:
        error = f"The process could not start: {lines[-1]}" if record.pid is None else lines[-1]
    steps = tuple(replace(s, state="stopped") if s.state == "running" else s for s in record.steps)
    return replace(record, outcome="lost", error=error, steps=steps, wait=None)


def _complaints(file: Path) -> list[str]:
    """Return the last lines of the child's stderr, without spaces around them."""
    try:
        with os.fdopen(open_own(file), "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - LAST_BYTES))
            return stream.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return []
