"""Runs: started in a child process, followed through their journals, told from them for ever after.

A run's record is folded from its journal's events and from nothing else, whether it goes on in this very program, was
started before the line dropped, or ended a month ago. Journals lie in `<state dir>/runs/<number>.jsonl`, readable by
their owner alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from magetui.backends.base import LockWait, Session, Timeouts
from magetui.engine.errors import MagetuiError, RefusedError, RunNotFoundError, StateError
from magetui.engine.plan import Plan
from magetui.engine.state import read_state
from magetui.engine.workspace import Workspace
from magetui.runner import events, journal
from magetui.runner.__main__ import BOOT
from magetui.runner.machine import identity
from magetui.runner.request import Request, encode

FOLLOW_PULSE_SECONDS = 0.1
OUTPUT_KEPT = 200  # lines
BEGIN_SECONDS = 10.0  # how long a child may take to write its first event
Outcome = Literal["running", "done", "failed", "cancelled", "lock-timeout", "statement-timeout", "refused", "lost"]
StepState = Literal["pending", "running", "done", "stopped", "undone"]


@dataclass(frozen=True, slots=True)
class StepRecord:
    revision: str
    direction: str
    message: str
    state: StepState
    elapsed_ms: int | None = None
    started: str | None = None


@dataclass(frozen=True, slots=True)
class StatementRecord:
    sql: str
    started: str
    elapsed_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """What a run waits for at this moment, since when, how long it will, and who is in the way."""

    since: str
    timeout_ms: int
    waits_for: LockWait | None
    blockers: tuple[Session, ...]
    waiting_behind: tuple[Session, ...] = ()
    note: str | None = None  # about the holder of the mutex


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a journal says of one run. `outcome` is 'running' while its child lives, 'lost' where it died untold."""

    run: int
    verb: str = ""
    target: str = ""
    outcome: Outcome = "running"
    marker_before: tuple[str, ...] = ()
    marker_after: tuple[str, ...] | None = None
    steps: tuple[StepRecord, ...] = ()
    statement: StatementRecord | None = None
    statements: int = 0
    wait: Wait | None = None
    blockers: tuple[Session, ...] = ()  # everybody who was ever in the way
    error: str | None = None
    where: str | None = None
    committed: bool = False
    output: tuple[str, ...] = ()  # the last lines; all of them stand in the journal
    output_lines: int = 0
    cancel_requested: bool = False
    database: str = ""
    project: str = ""
    user: str = ""
    host: str = ""
    pid: int | None = None
    started: str | None = None
    ended: str | None = None
    elapsed_ms: int | None = None
    lock_timeout_ms: int = 0
    machine: str = ""

    @property
    def alive(self) -> bool:
        return self.outcome == "running"

    @property
    def unchanged(self) -> bool:
        """Whether the database is known to be as it was before the run."""
        ended_short = self.outcome not in ("running", "done", "lost")
        return ended_short and not self.committed and self.marker_after == self.marker_before


@dataclass(frozen=True)
class StartedRun:
    """A run whose child this program started."""

    run: int
    process: subprocess.Popen[bytes] = field(repr=False)


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where runs are recorded: `$XDG_STATE_HOME/magetui`, by default `~/.local/state/magetui`."""
    base = environment.get("XDG_STATE_HOME")
    state = Path(base) if base else Path(environment.get("HOME", "~"), ".local", "state")
    return state.expanduser() / "magetui"


def runs_directory(environment: Mapping[str, str]) -> Path:
    return state_directory(environment) / "runs"


def start(workspace: Workspace, plan: Plan, timeouts: Timeouts) -> StartedRun:
    """Begin a run of the plan in a child of its own session, which outlives this program.

    Consent is the caller's to have asked for. Raises `RefusedError` in read-only mode, `StateError` where no record
    can be kept, `MagetuiError` where the interpreter cannot be started.
    """
    if workspace.selection.read_only:
        raise RefusedError("--read-only is set, so nothing is changed.")
    if plan.forbidden is not None:
        raise RefusedError(f"{plan.forbidden} Nothing was changed.")
    directory = runs_directory(workspace.environment)
    number, descriptor = _new_journal(directory)
    request = Request(
        run=number,
        verb=plan.verb,
        url=workspace.target.text,
        scripts=workspace.project.scripts,
        target=plan.target,
        marker=plan.marker,
        steps=plan.steps,
        mutex_key=workspace.project.mutex_key,
        timeouts=timeouts,
        result=plan.result,
        purge=plan.purge,
        replace_unknown=plan.replace_unknown,
    )
    interpreter = workspace.interpreter
    ours = str(Path(__file__).resolve().parents[2])
    complaints = directory / f"{number}.stderr"
    try:
        with complaints.open("xb") as stderr:
            process = subprocess.Popen(
                [interpreter, "-c", BOOT, ours, str(descriptor), str(complaints)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(descriptor,),
                start_new_session=True,
                cwd=workspace.project.folder,
            )
    except OSError as error:
        complaints.unlink(missing_ok=True)
        journal_path(directory, number).unlink()
        raise MagetuiError(f"The interpreter {interpreter} cannot be started: {error}. Nothing was done.") from error
    finally:
        os.close(descriptor)
    assert process.stdin is not None
    try:
        with process.stdin as pipe:
            pipe.write(encode(request))
    except BrokenPipeError:
        pass  # it ended before it listened: its record says so, with what it wrote to stderr
    return StartedRun(number, process)


def _new_journal(directory: Path) -> tuple[int, int]:
    """The next free number and the descriptor of its journal, already locked."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = max(_numbers(directory), default=0)
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


def _numbers(directory: Path) -> list[int]:
    return sorted(int(path.stem) for path in directory.glob("*.jsonl") if path.stem.isdigit())


def follow(
    environment: Mapping[str, str], started: StartedRun | int, stop: Callable[[], bool] = lambda: False
) -> Iterator[RunRecord]:
    """The run's record now, and again whenever its journal grows, until the child has ended.

    `stop` is asked at each pulse: once it says so nobody listens any more, and nothing more is read.

    Raises `RunNotFoundError`.
    """
    run = started if isinstance(started, int) else started.run
    path = _require(runs_directory(environment), run)
    reader, record = journal.Reader(path), RunRecord(run=run)
    while not stop():
        alive = journal.is_alive(path)  # asked before reading: what is written in between is read next time
        fresh = list(reader.read())
        record = fold(record, fresh)
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
        path = _require(directory, run)
        alive = journal.is_alive(path)
        record = fold(RunRecord(run=run), journal.Reader(path).read())
    except PermissionError as error:
        raise StateError(directory, error, "read") from error
    return record if alive else _closed(record, path)


def list_runs(environment: Mapping[str, str], most: int | None = None) -> tuple[RunRecord, ...]:
    """The runs on record, newest first; only the `most` newest, if given. Those of other users are passed over.

    Raises `StateError` where the directory may not be read.
    """
    directory = runs_directory(environment)
    try:
        os.scandir(directory).close()  # `Path.glob` passes over what it may not read
        readable = (n for n in reversed(_numbers(directory)) if os.access(journal_path(directory, n), os.R_OK))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StateError(directory, error, "read") from error
    return tuple(read_run(environment, number) for number in islice(readable, most))


def tell_lost(workspace: Workspace, record: RunRecord) -> RunRecord:
    """For a run whose child died untold: the marker as the database has it now, where this is its database.

    Raises `MagetuiError` where the database cannot be read.
    """
    if record.outcome != "lost" or record.database != workspace.target.redacted:
        return record
    return replace(record, marker_after=read_state(workspace, workspace.project).marker)


def cancel(environment: Mapping[str, str], run: int) -> bool:
    """Ask a run to stop: it cancels its statement, rolls back and records how it ended. False where it has ended.

    Raises `RunNotFoundError`.
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
    if record.pid is None or not journal.is_alive(path):
        return False
    try:
        os.kill(record.pid, signal.SIGTERM)
    except ProcessLookupError:
        return False
    return True


def _require(directory: Path, run: int) -> Path:
    path = journal_path(directory, run)
    if not path.is_file():
        raise RunNotFoundError(f"There is no run {run} on record in {directory}. 'magetui runs' lists those there are.")
    return path


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


def fold(record: RunRecord, happened: Iterable[events.Event]) -> RunRecord:
    """The record after the events."""
    for event in happened:
        record = _folded(record, event)
    return record


def _folded(record: RunRecord, event: events.Event) -> RunRecord:  # noqa: PLR0911 - one return for each event
    match event:
        case events.RunStarted():
            steps = tuple(StepRecord(s.revision, s.direction, s.message, "pending") for s in event.steps)
            return replace(
                record,
                verb=event.verb,
                target=event.target,
                marker_before=event.marker,
                steps=steps,
                database=event.database,
                project=event.project,
                user=event.user,
                host=event.host,
                pid=event.pid,
                started=event.at,
                lock_timeout_ms=event.lock_timeout_ms,
                machine=event.machine,
            )
        case events.MutexAwaited():
            blockers = (event.holder,) if event.holder else ()
            relation = LockWait("the migration mutex", None)
            wait = Wait(event.at, event.timeout_ms, relation, blockers, note=event.note)
            return replace(record, wait=wait, blockers=_joined(record.blockers, blockers))
        case events.MutexTaken() | events.LockObtained():
            return replace(record, wait=None)
        case events.StepStarted():
            return replace(record, steps=_with_step(record, event.number, state="running", started=event.at))
        case events.StepEnded():
            return replace(record, steps=_with_step(record, event.number, state="done", elapsed_ms=event.elapsed_ms))
        case events.StatementStarted():
            statement = StatementRecord(event.sql, event.at)
            return replace(record, statement=statement, statements=record.statements + 1)
        case events.StatementEnded():
            ended = replace(record.statement, elapsed_ms=event.elapsed_ms) if record.statement else None
            return replace(record, statement=ended, wait=None)
        case events.LockAwaited():
            wait = Wait(event.since, event.timeout_ms, event.waits_for, event.blockers, event.waiting_behind)
            return replace(record, wait=wait, blockers=_joined(record.blockers, event.blockers))
        case events.OutputPrinted():
            output = (*record.output[1 - OUTPUT_KEPT :], event.text)
            return replace(record, output=output, output_lines=record.output_lines + 1)
        case events.CancelRequested():
            return replace(record, cancel_requested=True)
        case events.RunEnded():
            steps = tuple(replace(s, state="stopped") if s.state == "running" else s for s in record.steps)
            if event.outcome not in ("done", "lost") and not event.committed:  # rolled back, all of it
                steps = tuple(replace(s, state="undone") if s.state == "done" else s for s in steps)
            return replace(
                record,
                outcome=event.outcome,
                marker_after=event.marker,
                elapsed_ms=event.elapsed_ms,
                committed=event.committed,
                error=event.error,
                where=event.where,
                ended=event.at,
                steps=steps,
                wait=None,
            )
    return record


def _with_step(record: RunRecord, number: int, **changes: object) -> tuple[StepRecord, ...]:
    return tuple(
        replace(step, **changes) if place == number else step  # type: ignore[arg-type]
        for place, step in enumerate(record.steps, start=1)
    )


def _joined(known: tuple[Session, ...], more: tuple[Session, ...]) -> tuple[Session, ...]:
    pids = {session.pid for session in known}
    return (*known, *(session for session in more if session.pid not in pids))
