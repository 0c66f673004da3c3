"""The events of a run, in the past tense: the lines of its journal.

The screen, the command line, the action log and the report read these events and nothing else. Durations are
milliseconds, times are ISO 8601 in UTC. A reader ignores events and fields that it does not know, so that a journal
can be read by older and newer versions. `codec.FORMAT` is the number of the format; format 1 is translated on reading.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from magetui.model.plan import Direction, Loss, OnDisconnect, PlannedStep, RunVerb, SignalAction
from magetui.model.schema_change import SchemaChange
from magetui.model.server import ErrorKind, ErrorSubject
from magetui.model.sessions import LockWait, Session, StatementProgress
from magetui.protocol import codec
from magetui.protocol.redaction import clean_json

LockFailure = Literal["lock-timeout", "deadlock"]
Outcome = Literal["done", "failed", "cancelled", LockFailure, "statement-timeout", "refused", "lost"]


@dataclass(frozen=True, slots=True)
class Event:
    """Any event. `event` is its name in the journal, `at` the time when it happened."""

    TAG: ClassVar[str] = "event"
    event: ClassVar[str] = ""
    at: str

    def __init_subclass__(cls, event: str = "") -> None:
        cls.event = event or cls.event  # `slots=True` makes each class a second time, without the argument


@dataclass(frozen=True, slots=True)
class RunStarted(Event, event="run-started"):
    """A run started, or an action that no child carries out: then `target_revision` says what it was done to."""

    run: int
    verb: RunVerb
    target_revision: str
    current: tuple[str, ...]
    steps: tuple[PlannedStep, ...]
    database: str  # the redacted URL
    project: str
    pid: int
    user: str
    host: str
    lock_timeout_ms: int
    statement_timeout_ms: int
    machine: str = ""  # see `machine.identity`: a pid is valid on that machine only
    lock_retries: int = 0
    on_disconnect: OnDisconnect = "continue"
    losses: tuple[Loss, ...] = ()  # what the plan loses, as counted before the run
    format: int = codec.FORMAT


@dataclass(frozen=True, slots=True)
class MutexAwaited(Event, event="mutex-awaited"):
    """Another migration holds the mutex. `holder` and `note` say which, if the server shows it."""

    timeout_ms: int
    holder: Session | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class MutexTaken(Event, event="mutex-taken"):
    waited_ms: int


@dataclass(frozen=True, slots=True)
class StepStarted(Event, event="step-started"):
    number: int
    of: int
    revision: str
    direction: Direction
    message: str


@dataclass(frozen=True, slots=True)
class StepEnded(Event, event="step-ended"):
    number: int
    revision: str
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class SessionOpened(Event, event="session-opened"):
    """The migrating connection opened: its session number on the server, and its application name there."""

    session: int
    application: str


@dataclass(frozen=True, slots=True)
class StatementStarted(Event, event="statement-started"):
    number: int
    sql: str
    session: int | None = None  # the migrating session, by its number on the server


@dataclass(frozen=True, slots=True)
class StatementEnded(Event, event="statement-ended"):
    number: int
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class ProgressMade(Event, event="progress-made"):
    """The progress of the statement, at most once a second."""

    number: int
    progress: StatementProgress


@dataclass(frozen=True, slots=True)
class LockAwaited(Event, event="lock-awaited"):
    """The run waits for a lock, or its wait queue has changed. `more_behind` counts the waiters that are not listed."""

    since: str
    timeout_ms: int
    waits_for: LockWait | None
    blockers: tuple[Session, ...]  # the sessions that block the run, and their blockers
    waiting_behind: tuple[Session, ...] = ()
    more_behind: int = 0
    session: int | None = None  # of the run itself
    blocked_by: tuple[int, ...] = ()  # the blockers of the run itself, as far as they are listed
    queued_behind: tuple[int, ...] = ()  # those of `blocked_by` that are only before the run in the wait queue


@dataclass(frozen=True, slots=True)
class LockObtained(Event, event="lock-obtained"):
    waited_ms: int


@dataclass(frozen=True, slots=True)
class OutputPrinted(Event, event="output-printed"):
    """A script or env.py wrote a line to stdout or stderr."""

    text: str


@dataclass(frozen=True, slots=True)
class OutputSkipped(Event, event="output-skipped"):
    """Lines of output that are not recorded, because there is so much. What was printed last follows."""

    lines: int
    bytes: int


@dataclass(frozen=True, slots=True)
class AttemptFailed(Event, event="attempt-failed"):
    """The run could not get a lock. It retries in `retry_in_ms`; if that is None, `reason` says why not."""

    number: int
    of: int
    error: str
    retry_in_ms: int | None
    reason: str | None = None
    outcome: LockFailure = "lock-timeout"


@dataclass(frozen=True, slots=True)
class SessionSignalled(Event, event="session-signalled"):
    """The operator cancelled the query of a session, or ended the session."""

    action: SignalAction
    session: Session
    operator: str  # 'user@host'


@dataclass(frozen=True, slots=True)
class ServerFellSilent(Event, event="server-fell-silent"):
    """The server has not answered since then, neither on the run's own connection nor on a new one."""

    since: str
    limit_ms: int


@dataclass(frozen=True, slots=True)
class ServerAnswered(Event, event="server-answered"):
    silent_ms: int


@dataclass(frozen=True, slots=True)
class ConnectionBroke(Event, event="connection-broke"):
    """The run's connection broke. The run tries for `tries_ms` to connect again and read the current revision."""

    tries_ms: int


@dataclass(frozen=True, slots=True)
class LineDropped(Event, event="line-dropped"):
    """The program that started the run is gone, and the run was to be cancelled in that case."""


@dataclass(frozen=True, slots=True)
class CancelRequested(Event, event="cancel-requested"):
    """The operator asked the run to stop."""


@dataclass(frozen=True, slots=True)
class SchemaCompared(Event, event="schema-compared"):
    """The schema after the run differs from the schema before it by `changes`, made by the run or by others meanwhile.

    `more` counts changes that are not listed. If `problem` is set, it says why the schemas could not be compared.
    """

    changes: tuple[SchemaChange, ...] = ()
    more: int = 0
    problem: str | None = None

    @property
    def equal(self) -> bool:
        """Return True if the schema was compared, and nothing is different."""
        return self.problem is None and not self.changes


@dataclass(frozen=True, slots=True)
class RunEnded(Event, event="run-ended"):
    """The run ended. `current` was read from the database afterwards; None if it could not be read."""

    outcome: Outcome
    current: tuple[str, ...] | None
    elapsed_ms: int
    committed: bool = False  # whether anything was committed
    error: str | None = None
    where: str | None = None  # the script's file and line, if a script failed
    statement: str | None = None
    error_kind: ErrorKind | None = None
    subject: ErrorSubject | None = None  # the table of the error


# The program itself writes these fields. If a password is 'done', hiding it must not change an outcome.
EXACT = frozenset(
    {
        "event",
        "at",
        "since",
        "began",
        "verb",
        "outcome",
        "direction",
        "revision",
        "target_revision",
        "current",
        "action",
        "on_disconnect",
    }
)

# The names of fields in format 1. No event of a later format has a field of these names.
FORMAT_1_NAMES = {
    "run-started": {"marker": "current", "target": "target_revision"},
    "run-ended": {"marker": "current"},
}


def encode(event: Event, clean: Callable[[str], str] = str) -> str:
    """Return the event as one line of JSON without a line end; `clean` is applied to the texts in it."""
    values = clean_json(codec.encode(event), clean, EXACT)
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def decode(line: str) -> Event:
    """Return the event on a line. Raises `ValueError` if it is no JSON; its subclass `CodecError` if it is unknown."""
    event: Event = codec.decode(Event, _from_format_1(json.loads(line)))
    for moment in (event.at, getattr(event, "since", event.at)):
        if datetime.fromisoformat(moment.replace("Z", "+00:00")).tzinfo is None:  # 3.10 does not read the Z
            raise ValueError("the time of an event has no time zone")
    return event


def _from_format_1(values: Any) -> Any:
    """Return the event with its present field names, if it has the field names of format 1."""
    names = FORMAT_1_NAMES.get(str(values.get("event"))) if isinstance(values, dict) else None
    if names is None or names.keys().isdisjoint(values):
        return values
    return {"format": 1, **{names.get(key, key): value for key, value in values.items()}}
