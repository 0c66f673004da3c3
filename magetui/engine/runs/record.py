"""One run as a record, which is folded from the events of its journal and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from magetui.model.plan import Loss
from magetui.model.server import ErrorKind, ErrorSubject
from magetui.model.sessions import LockWait, Session, StatementProgress
from magetui.protocol import events

OUTPUT_KEPT = 200  # lines
Outcome = Literal["running", events.Outcome]
Wait = events.LockAwaited  # also for the mutex
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
class RunRecord:
    """One run. Its `outcome` is 'running' while its child lives, and 'lost' if the child died without recording one."""

    run: int
    verb: str = ""
    target_revision: str = ""
    outcome: Outcome = "running"
    current_before: tuple[str, ...] = ()
    current_after: tuple[str, ...] | None = None
    current_now: tuple[str, ...] | None = None  # the current revision today, of a lost run
    steps: tuple[StepRecord, ...] = ()
    statement: StatementRecord | None = None
    statements: int = 0
    progress: StatementProgress | None = None  # of the statement
    wait: Wait | None = None  # the wait that continues now
    wait_note: str | None = None  # about the holder of the mutex
    blockers: tuple[Session, ...] = ()  # every session that has ever blocked the run
    attempts: tuple[events.AttemptFailed, ...] = ()
    signals: tuple[events.SessionSignalled, ...] = ()
    silent_since: str | None = None  # the server has not answered since then
    broke: str | None = None  # when the connection broke
    answers: int = 0  # how often the server answered again after a silence
    error: str | None = None
    where: str | None = None
    error_kind: ErrorKind | None = None
    subject: ErrorSubject | None = None  # the table of the error
    committed: bool = False
    losses: tuple[Loss, ...] = ()  # what the plan loses, as counted before the run
    compared: events.SchemaCompared | None = None  # None for a run of an earlier version
    output: tuple[str, ...] = ()  # the last lines; the journal has more
    output_lines: int = 0
    cancel_requested: bool = False
    line_dropped: bool = False
    is_past: bool = False  # whether a later run is on record, so that the current revision may be another one now
    database: str = ""
    project: str = ""
    user: str = ""
    host: str = ""
    pid: int | None = None
    session: int | None = None  # the migrating session's number on the server
    application: str = ""  # its application name
    session_left: bool = False  # True if a lost run's session still exists
    started: str | None = None
    ended: str | None = None
    elapsed_ms: int | None = None
    lock_timeout_ms: int = 0
    lock_retries: int = 0
    machine: str = ""
    mutex_taken: bool = False  # the migration starts only after that

    @property
    def alive(self) -> bool:
        return self.outcome == "running"

    @property
    def unchanged(self) -> bool:
        """Return True if the database was read after the run, and is as it was before it."""
        ended_short = self.outcome not in ("running", "done", "lost")
        same = self.current_after == self.current_before and self.compared is not None and self.compared.equal
        return ended_short and same and not self.committed


def fold(record: RunRecord, happened: Iterable[events.Event]) -> RunRecord:
    """Return the record after the events."""
    for event in happened:
        record = _folded(record, event)
    return record


def _folded(record: RunRecord, event: events.Event) -> RunRecord:  # noqa: PLR0911, PLR0912 - a case an event
    match event:
        case events.RunStarted():
            steps = tuple(StepRecord(s.revision, s.direction, s.message, "pending") for s in event.steps)
            return replace(
                record,
                verb=event.verb,
                target_revision=event.target_revision,
                current_before=event.current,
                steps=steps,
                database=event.database,
                project=event.project,
                user=event.user,
                host=event.host,
                pid=event.pid,
                started=event.at,
                lock_timeout_ms=event.lock_timeout_ms,
                lock_retries=event.lock_retries,
                machine=event.machine,
                losses=event.losses,
            )
        case events.MutexAwaited():
            blockers = (event.holder,) if event.holder else ()
            mutex = LockWait("the migration lock", None)
            wait = Wait(event.at, event.at, event.timeout_ms, mutex, blockers)
            known = _joined(record.blockers, blockers)
            return replace(record, wait=wait, wait_note=event.note, blockers=known)
        case events.MutexTaken():
            return replace(record, wait=None, mutex_taken=True)
        case events.LockObtained():
            return replace(record, wait=None)
        case events.SessionOpened():
            return replace(record, session=event.session, application=event.application)
        case events.StepStarted():
            return replace(record, steps=_with_step(record, event.number, state="running", started=event.at))
        case events.StepEnded():
            return replace(record, steps=_with_step(record, event.number, state="done", elapsed_ms=event.elapsed_ms))
        case events.StatementStarted():
            statement = StatementRecord(event.sql, event.at)
            return replace(record, statement=statement, statements=record.statements + 1, progress=None)
        case events.StatementEnded():
            ended = replace(record.statement, elapsed_ms=event.elapsed_ms) if record.statement else None
            return replace(record, statement=ended, wait=None, progress=None)
        case events.ProgressMade():
            return replace(record, progress=event.progress)
        case events.LockAwaited():
            known = _joined(record.blockers, event.blockers)
            return replace(record, wait=event, wait_note=None, blockers=known)
        case events.AttemptFailed():
            steps = record.steps
            if event.retry_in_ms is not None:
                steps = tuple(replace(s, state="pending", elapsed_ms=None, started=None) for s in steps)
            attempts = (*record.attempts, event)
            return replace(record, attempts=attempts, steps=steps, statement=None, wait=None, progress=None)
        case events.SessionSignalled():
            return replace(record, signals=(*record.signals, event))
        case events.ServerFellSilent():
            return replace(record, silent_since=event.since)
        case events.ConnectionBroke():
            return replace(record, wait=None, statement=None, silent_since=None, broke=event.at)
        case events.ServerAnswered():
            return replace(record, silent_since=None, answers=record.answers + 1)
        case events.OutputPrinted():
            output = (*record.output[1 - OUTPUT_KEPT :], event.text)
            return replace(record, output=output, output_lines=record.output_lines + 1)
        case events.OutputSkipped():
            return replace(record, output_lines=record.output_lines + event.lines)
        case events.LineDropped():
            return replace(record, line_dropped=True)
        case events.CancelRequested():
            return replace(record, cancel_requested=True)
        case events.SchemaCompared():
            return replace(record, compared=event)
        case events.RunEnded():
            steps = tuple(replace(s, state="stopped") if s.state == "running" else s for s in record.steps)
            if event.outcome not in ("done", "lost") and not event.committed:  # everything was rolled back
                steps = tuple(replace(s, state="undone") if s.state == "done" else s for s in steps)
            return replace(
                record,
                outcome=event.outcome,
                current_after=event.current,
                elapsed_ms=event.elapsed_ms,
                committed=event.committed,
                error=event.error,
                where=event.where,
                error_kind=event.error_kind,
                subject=event.subject,
                ended=event.at,
                steps=steps,
                wait=None,
                progress=None,
                silent_since=None,
            )
    return record


def _with_step(record: RunRecord, number: int, **changes: object) -> tuple[StepRecord, ...]:
    return tuple(
        replace(step, **changes) if position == number else step  # type: ignore[arg-type]
        for position, step in enumerate(record.steps, start=1)
    )


def _joined(known: tuple[Session, ...], more: tuple[Session, ...]) -> tuple[Session, ...]:
    pids = {session.pid for session in known}
    return (*known, *(session for session in more if session.pid not in pids))
