"""Runs: started in a child process, followed through their journals, told from them for ever after.

Journals lie in `<state dir>/runs/<number>.jsonl`, readable by their owner alone. What they say is in `records`.
"""

from __future__ import annotations

import getpass
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from magetui.backends.base import Session, Timeouts
from magetui.engine.errors import MagetuiError, RefusedError, RunNotFoundError, StateError
from magetui.engine.plan import Plan
from magetui.engine.records import RunRecord, fold
from magetui.engine.state import read_state
from magetui.engine.workspace import Workspace
from magetui.runner import events, journal
from magetui.runner.__main__ import BOOT
from magetui.runner.machine import identity
from magetui.runner.request import PARTING, OnDisconnect, Request, RunVerb, SignalAction, encode

FOLLOW_PULSE_SECONDS = 0.1
NEWEST_RUNS = 20  # among which one that goes on is looked for
BEGIN_SECONDS = 10.0  # how long a child may take to write its first event


@dataclass(frozen=True, slots=True)
class Limits:
    """How a run behaves where it is kept waiting, or its starter is gone."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    lock_retries: int = 0
    on_disconnect: OnDisconnect = "continue"


@dataclass(frozen=True)
class StartedRun:
    """A run whose child this program started.

    The pipe to it stays open: where the run is to be cancelled when its starter is gone, its end says so.
    """

    run: int
    process: subprocess.Popen[bytes] = field(repr=False)

    def part(self) -> None:
        """Leave the run to itself: what happens to this program is of no concern to it any more."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # it has ended, or was left before
            self.process.stdin.write(PARTING)
            self.process.stdin.close()


@dataclass(frozen=True, slots=True)
class Earlier:
    """How long a step took in an earlier run, on whichever database that was."""

    elapsed_ms: int
    run: int
    database: str


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where runs are recorded: `$XDG_STATE_HOME/magetui`, by default `~/.local/state/magetui`."""
    base = environment.get("XDG_STATE_HOME")
    state = Path(base) if base else Path(environment.get("HOME", "~"), ".local", "state")
    return state.expanduser() / "magetui"


def runs_directory(environment: Mapping[str, str]) -> Path:
    return state_directory(environment) / "runs"


def start(workspace: Workspace, plan: Plan, limits: Limits) -> StartedRun:
    """Begin a run of the plan in a child of its own session, which outlives this program.

    Consent is the caller's to have asked for. Raises `RefusedError` in read-only mode or where the target is not the
    planned one, `StateError` where no record can be kept, `MagetuiError` where the interpreter cannot be started.
    """
    if workspace.selection.read_only:
        raise RefusedError("--read-only is set, so nothing is changed.")
    if plan.forbidden is not None:
        raise RefusedError(f"{plan.forbidden} Nothing was changed.")
    workspace.require_target(plan.url)
    request = _request(workspace, plan, limits)  # all that may fail is asked before there is a run on record
    command, folder = [workspace.interpreter, "-c", BOOT], workspace.project.folder
    directory = runs_directory(workspace.environment)
    number, descriptor = _new_journal(directory)
    path = journal_path(directory, number)
    try:
        return _begun(replace(request, run=number), command, folder, path.with_suffix(".stderr"), descriptor)
    except MagetuiError:  # no child was started; the record of one that may live is never taken away
        for left in (path, path.with_suffix(".stderr")):
            left.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _request(workspace: Workspace, plan: Plan, limits: Limits) -> Request:
    """What the child is told, of a run without a number as yet."""
    return Request(
        run=0,
        verb=plan.verb,
        url=workspace.target.text,
        scripts=workspace.project.scripts,
        target=plan.target,
        marker=plan.marker,
        steps=plan.steps,
        mutex_key=workspace.project.mutex_key,
        timeouts=limits.timeouts,
        lock_retries=limits.lock_retries,
        on_disconnect=limits.on_disconnect,
        result=plan.result,
        purge=plan.purge,
        replace_unknown=plan.replace_unknown,
        repair=plan.repair,
        create_schema=plan.creates_schema,
        operator=operator(),
    )


def _begun(request: Request, command: list[str], folder: Path, complaints: Path, descriptor: int) -> StartedRun:
    """The child of a run whose journal is made, what the child complains of going to a file."""
    told = memoryview(encode(request))
    ours = str(Path(__file__).resolve().parents[2])
    try:
        complaints.unlink(missing_ok=True)  # of an earlier run of that number, whose journal was deleted
        stderr = complaints.open("xb")
    except OSError as error:
        raise StateError(complaints.parent, error) from error
    with stderr:
        try:
            process = subprocess.Popen(
                [*command, ours, str(descriptor), str(complaints)],
                stdin=subprocess.PIPE,
                bufsize=0,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(descriptor,),
                start_new_session=True,
                cwd=folder,
            )
        except OSError as error:
            said = f"The interpreter {command[0]} cannot be started: {error}. Nothing was done."
            raise MagetuiError(said) from error
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it ended before it listened: its record says so, with what it wrote to stderr
        while told:
            told = told[process.stdin.write(told) :]
    return StartedRun(request.run, process)


def operator() -> str:
    """Who is at it, for those who meet a run on the server: 'user@host', in ASCII as the server keeps names."""
    return f"{getpass.getuser()}@{socket.gethostname()}".encode("ascii", "replace").decode()


def kept_waiting(workspace: Workspace, session: Session) -> tuple[int, ...]:
    """The runs of this database that go on and that the session was, or is, in the way of. Raises `StateError`."""
    return tuple(
        record.run
        for record in list_runs(workspace.environment, NEWEST_RUNS)
        if record.alive
        and record.database == workspace.target.redacted
        and any(blocker.pid == session.pid for blocker in record.blockers)
    )


def record_signal(
    workspace: Workspace, session: Session, action: SignalAction, waiting: Sequence[int], moment: str
) -> None:
    """Put on record that the operator cancelled or ended a session at that moment (ISO 8601, UTC).

    It goes into the journals of the runs that it kept `waiting`, which may have ended since, or else into one of its
    own. Raises `StateError` where none can be written.
    """
    directory = runs_directory(workspace.environment)
    signalled = events.SessionSignalled(at=moment, action=action, session=session, operator=operator())
    try:
        for run in waiting:
            with journal.opened(journal_path(directory, run)) as descriptor:
                journal.Journal(descriptor, workspace.target.secrets).append(signalled)
        if not waiting:
            _record_alone(workspace, directory, signalled.action, f"session {signalled.session.pid}", signalled)
    except OSError as error:
        raise StateError(directory, error) from error


def record_backup(workspace: Workspace, file: Path, size: str, elapsed_ms: int) -> None:
    """Put a backup that was made on record, by itself. Raises `StateError` where that cannot be written."""
    directory = runs_directory(workspace.environment)
    try:
        _record_alone(workspace, directory, "backup", f"{file} ({size})", elapsed_ms=elapsed_ms)
    except OSError as error:
        raise StateError(directory, error) from error


def _record_alone(
    workspace: Workspace,
    directory: Path,
    verb: RunVerb,
    target: str,
    *told: events.Event,
    elapsed_ms: int = 0,
) -> None:
    """A journal of something that was done at once, in this process, and not by a run."""
    number, descriptor = _new_journal(directory)
    try:
        own = journal.Journal(descriptor, workspace.target.secrets)
        own.append(
            events.RunStarted(
                at=journal.now(),
                run=number,
                verb=verb,
                target=target,
                marker=(),
                steps=(),
                database=workspace.target.redacted,
                project="",
                pid=os.getpid(),
                user=getpass.getuser(),
                host=socket.gethostname(),
                lock_timeout_ms=0,
                statement_timeout_ms=0,
                machine=identity(),
            )
        )
        for event in told:
            own.append(event)
        own.append(events.RunEnded(at=journal.now(), outcome="done", marker=None, elapsed_ms=elapsed_ms))
    finally:
        os.close(descriptor)


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


def read_events(environment: Mapping[str, str], run: int) -> tuple[events.Event, ...]:
    """Everything that a run's journal says, in the order in which it happened. Raises as `read_run`.

    A signal that an operator sent is put on record by another process, which may come after what the signal brought
    about: the moments tell.
    """
    directory = runs_directory(environment)
    try:
        return tuple(sorted(journal.Reader(_require(directory, run)).read(), key=lambda event: event.at))
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
        readable = (n for n in reversed(_numbers(directory)) if os.access(journal_path(directory, n), os.R_OK))
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise StateError(directory, error, "read") from error
    return tuple(read_run(environment, number) for number in islice(readable, most))


def tell_lost(workspace: Workspace, record: RunRecord, *, just_ended: bool = False) -> RunRecord:
    """For a run whose child died untold: what its database says now, and whether its session is still there.

    Where the run has `just_ended`, that is the marker after it, too; later, others may have changed it. Raises
    `MagetuiError` where the database cannot be read.
    """
    if record.outcome != "lost" or record.database != workspace.target.redacted:
        return record
    marker = read_state(workspace, workspace.project).marker
    left = False
    if record.session is not None:
        with workspace.reading() as connection:
            left = workspace.backend.session_exists(connection, record.session, record.application)
    return replace(
        record,
        marker_now=marker,
        marker_after=marker if just_ended else record.marker_after,
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
