"""What can happen in a run, in the past tense: the lines of its journal.

Every front end, the log and the post-mortem read these and nothing else. Durations are milliseconds, times ISO 8601
in UTC. A reader that meets an event or a field it does not know passes over it, so journals outlive versions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

from magetui.model.plan import Direction, OnDisconnect, PlannedStep, RunVerb, SignalAction
from magetui.model.sessions import HeldLock, LockWait, Session, StatementProgress

FORMAT = 2  # of the journal; format 1 had no such field
RENAMED_SINCE_1 = {"marker": "current", "target": "target_revision"}  # fields of format 1, in which no other has these

Outcome = Literal["done", "failed", "cancelled", "lock-timeout", "statement-timeout", "refused", "lost"]


@dataclass(frozen=True, slots=True)
class Event:
    """What every event has: when it happened."""

    name: ClassVar[str] = ""
    at: str


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    name: ClassVar[str] = "run-started"
    run: int
    verb: RunVerb
    target_revision: str  # of an action that no child carries out: what it was done to
    current: tuple[str, ...]
    steps: tuple[PlannedStep, ...]
    database: str  # the URL, redacted
    project: str
    pid: int
    user: str
    host: str
    lock_timeout_ms: int
    statement_timeout_ms: int
    machine: str = ""  # see `machine.identity`
    lock_retries: int = 0
    on_disconnect: OnDisconnect = "continue"
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class MutexAwaited(Event):
    """Somebody else is migrating; `holder` and `note` say who, where that can be known."""

    name: ClassVar[str] = "mutex-awaited"
    timeout_ms: int
    holder: Session | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class MutexTaken(Event):
    name: ClassVar[str] = "mutex-taken"
    waited_ms: int


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    name: ClassVar[str] = "step-started"
    number: int
    of: int
    revision: str
    direction: Direction
    message: str


@dataclass(frozen=True, slots=True)
class StepEnded(Event):
    name: ClassVar[str] = "step-ended"
    number: int
    revision: str
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class SessionOpened(Event):
    """The migrating connection: the server's number of it, and the name under which the server lists it."""

    name: ClassVar[str] = "session-opened"
    session: int
    application: str


@dataclass(frozen=True, slots=True)
class StatementStarted(Event):
    name: ClassVar[str] = "statement-started"
    number: int
    sql: str
    session: int | None = None  # the server's number of the migrating session


@dataclass(frozen=True, slots=True)
class StatementEnded(Event):
    name: ClassVar[str] = "statement-ended"
    number: int
    elapsed_ms: int


@dataclass(frozen=True, slots=True)
class ProgressMade(Event):
    """How far the statement has come; at most once a second."""

    name: ClassVar[str] = "progress-made"
    number: int
    progress: StatementProgress


@dataclass(frozen=True, slots=True)
class LockAwaited(Event):
    """The migrating session waits: for what, since when, and who is in the way (a new event when that changes).

    Of many sessions the first are listed; `more_behind` counts the others that wait behind us.
    """

    name: ClassVar[str] = "lock-awaited"
    since: str
    timeout_ms: int
    waits_for: LockWait | None
    blockers: tuple[Session, ...]  # those in the way, and those in theirs
    waiting_behind: tuple[Session, ...] = ()
    more_behind: int = 0
    session: int | None = None  # our own
    blocked_by: tuple[int, ...] = ()  # the blockers of our own session, as far as they are listed
    queued_behind: tuple[int, ...] = ()  # those of `blocked_by` that are only before it in the wait queue


@dataclass(frozen=True, slots=True)
class LockObtained(Event):
    name: ClassVar[str] = "lock-obtained"
    waited_ms: int


@dataclass(frozen=True, slots=True)
class OutputPrinted(Event):
    """A line that the scripts or env.py wrote to stdout or stderr."""

    name: ClassVar[str] = "output-printed"
    text: str


@dataclass(frozen=True, slots=True)
class AttemptFailed(Event):
    """A lock was not to be had in time: the run begins anew in `retry_in_ms`, or not, for a `reason`."""

    name: ClassVar[str] = "attempt-failed"
    number: int
    of: int
    error: str
    retry_in_ms: int | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SessionSignalled(Event):
    """The operator cancelled the query of a session that was in the way, or ended the session."""

    name: ClassVar[str] = "session-signalled"
    action: SignalAction
    session: Session
    operator: str  # 'user@host'


@dataclass(frozen=True, slots=True)
class ServerFellSilent(Event):
    """Nothing was heard from the server since then, over a connection of the run's own and a new one."""

    name: ClassVar[str] = "server-fell-silent"
    since: str
    limit_ms: int


@dataclass(frozen=True, slots=True)
class ServerAnswered(Event):
    name: ClassVar[str] = "server-answered"
    silent_ms: int


@dataclass(frozen=True, slots=True)
class ConnectionBroke(Event):
    """The run's connection is gone; for so long the server is tried, to read back what the database says."""

    name: ClassVar[str] = "connection-broke"
    tries_ms: int


@dataclass(frozen=True, slots=True)
class LineDropped(Event):
    """The program that began the run is gone, and the run was to be cancelled in that case."""

    name: ClassVar[str] = "line-dropped"


@dataclass(frozen=True, slots=True)
class CancelRequested(Event):
    name: ClassVar[str] = "cancel-requested"


@dataclass(frozen=True, slots=True)
class RunEnded(Event):
    """How it ended; `current` was read back from the database afterwards, None where that was not possible."""

    name: ClassVar[str] = "run-ended"
    outcome: Outcome
    current: tuple[str, ...] | None
    elapsed_ms: int
    committed: bool = False  # whether anything was committed: if not, the database is as it was
    error: str | None = None
    where: str | None = None  # the script's file and line, where a script failed
    statement: str | None = None


# What the program itself put there; a password that happens to be 'done' must not tear an outcome apart.
EXACT = frozenset(
    {"at", "since", "began", "verb", "outcome", "direction", "revision", "target_revision", "current", "action"}
    | {"on_disconnect"}
)

KINDS: Mapping[str, type[Event]] = {kind.name: kind for kind in Event.__subclasses__()}


def encode(event: Event, clean: Callable[[str], str] = str) -> str:
    """The event as one line of JSON, without the line's end; `clean` goes over the texts in it."""
    values = {"event": event.name, **_cleaned(asdict(event), clean)}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def decode(line: str) -> Event | None:
    """The event on a line made by `encode`; None for one this version does not know."""
    values: dict[str, Any] = json.loads(line)
    kind = KINDS.get(values.pop("event", ""))
    if kind is None:
        return None
    known = {field.name for field in fields(kind)}
    return kind(**{key: _typed(key, value) for key, value in _translated(values).items() if key in known})


def _translated(values: dict[str, Any]) -> dict[str, Any]:
    """The fields of an event as this format names them."""
    return {RENAMED_SINCE_1.get(key, key): value for key, value in values.items()}


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: inner if key in EXACT else _cleaned(inner, clean) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cleaned(inner, clean) for inner in value]
    return value


def _typed(key: str, value: Any) -> Any:
    if value is None:
        return None
    if key == "session" and isinstance(value, int):
        return value  # a server's number of one
    make = MADE.get(key)
    if make is not None:
        return make(value)
    return tuple(value) if isinstance(value, list) else value


def _sessions(values: list[dict[str, Any]]) -> tuple[Session, ...]:
    return tuple(_session(one) for one in values)


def _session(values: dict[str, Any]) -> Session:
    known = {field.name for field in fields(Session)}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items() if key in known}
    holds = tuple(HeldLock(**held) for held in values.pop("holds", ()))
    waits_for = values.pop("waits_for", None)
    return Session(**values, waits_for=LockWait(**waits_for) if waits_for else None, holds=holds)


MADE: Mapping[str, Callable[[Any], Any]] = {
    "steps": lambda values: tuple(PlannedStep(**step) for step in values),
    "blockers": _sessions,
    "waiting_behind": _sessions,
    "holder": _session,
    "session": _session,
    "waits_for": lambda values: LockWait(**values),
    "progress": lambda values: StatementProgress(**values),
}
