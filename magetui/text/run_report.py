"""One run told from beginning to end, as text for the incident report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from magetui.engine.runs.record import RunRecord
from magetui.model.sessions import Session, StatementProgress
from magetui.protocol import events
from magetui.text import formats

MARGIN = " " * 14
# What may follow a wait, and tells whether the lock was had.
AFTER_A_WAIT = (
    events.LockAwaited,
    events.StatementStarted,
    events.StatementEnded,
    events.AttemptFailed,
    events.RunEnded,
)


def report(record: RunRecord, happened: Sequence[events.Event]) -> Iterator[str]:
    """The report's lines: what the run was and how it ended, then each of its events."""
    by_hand = record.verb in formats.WITHOUT_VERSION_ROW
    yield f"run {record.run}: {record.verb} {'' if by_hand else 'to '}{formats.plain(record.target_revision)}"
    limits = next((e for e in happened if isinstance(e, events.RunStarted)), None)
    facts = [
        ("database", record.database),
        ("scripts", record.project),
        ("began", f"{record.started or '?'} by {record.user}@{record.host}, process {record.pid or '?'}"),
        ("session", f"{record.session} on the server, as '{record.application}'" if record.session else ""),
        ("limits", _limits(limits) if limits and not by_hand else ""),
        ("ended", record.ended or ("not yet" if record.alive else "unknown")),
        ("took", formats.duration(record.elapsed_ms)),
        ("outcome", formats.OUTCOMES[record.outcome]),
        ("current", "" if by_hand else formats.way(record, "")),
    ]
    for name, value in facts:
        if value:
            yield f"  {name:<9} {formats.plain(value)}"
    yield f"  {formats.run_conclusion(record)}"
    yield ""
    yield "What happened, in minutes and seconds since it began:"
    yield ""
    begin = record.started
    for at, lines in Telling(begin).told(happened):
        for number, line in enumerate(lines):
            yield (f"{_clock(begin, at):>12}  {line}" if number == 0 else f"{MARGIN}{line}").rstrip()


def _limits(started: events.RunStarted) -> str:
    lock, statement, retries = started.lock_timeout_ms, started.statement_timeout_ms, started.lock_retries
    said = [
        f"gives up on a lock after {formats.duration(lock)}" if lock else "waits for a lock without a limit",
        f"on a statement after {formats.duration(statement)}" if statement else "",
        f"begins again up to {retries} times after a lock timeout" if retries else "",
        "is cancelled when the program that began it is gone" if started.on_disconnect == "cancel" else "",
    ]
    return ", ".join(part for part in said if part)


def _clock(begin: str | None, at: str) -> str:
    """'3:07.120', the time since the run began."""
    if begin is None:
        return at
    seconds = (_moment(at) - _moment(begin)).total_seconds()
    return f"{int(seconds // 60)}:{seconds % 60:06.3f}"


def _moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))


class Telling:
    """Tells events one by one; what an event means depends on the wait, or the progress, that came before it.

    That a wait is over is noticed a moment late. By then the statement may have ended, or failed, which tells it too.
    """

    def __init__(self, begin: str | None) -> None:
        self._begin = begin
        self._wait: events.LockAwaited | None = None
        self._progress: StatementProgress | None = None

    def told(self, happened: Sequence[events.Event]) -> Iterator[tuple[str, Iterable[str]]]:
        """When, and in which lines; none of an event that says nothing new."""
        for place, event in enumerate(happened):
            match event:
                case events.LockObtained():
                    after = next((e for e in happened[place + 1 :] if isinstance(e, AFTER_A_WAIT)), None)
                    lines = [] if self._wait is None else [_waited(self._wait, event, after)]
                    self._wait = None
                case events.LockAwaited():
                    again = self._wait is not None and self._wait.since == event.since
                    self._wait = event
                    lines = list(_waits(event, again=again))
                case events.ProgressMade():
                    lines = [f"  {formats.progress(event.progress)}"] if self._is_news(event.progress) else []
                case events.StatementEnded():
                    lines = [self._took(event)]
                    self._wait = self._progress = None
                case events.AttemptFailed() | events.RunEnded():
                    lines = list(self._told(event))
                    self._wait = self._progress = None
                case _:
                    lines = list(self._told(event))
            if lines:
                yield event.at, lines

    def _is_news(self, made: StatementProgress) -> bool:
        """Whether another phase, or another tenth, has begun: of ten minutes there is an event a second."""
        told = self._progress
        news = told is None or (told.doing, told.phase) != (made.doing, made.phase) or _tenth(told) != _tenth(made)
        if news:
            self._progress = made
        return news

    def _took(self, ended: events.StatementEnded) -> str:
        took = f"  took {formats.duration(ended.elapsed_ms)}"
        if self._wait is None:
            return took
        waited_ms = int((_moment(ended.at) - _moment(self._wait.since)).total_seconds() * 1000)
        return f"{took}, up to {formats.duration(min(waited_ms, ended.elapsed_ms))} of it waiting for its lock"

    def _told(self, event: events.Event) -> Iterable[str]:  # noqa: PLR0911, PLR0912 - a case an event
        match event:
            case events.RunStarted():
                steps = "1 step" if len(event.steps) == 1 else f"{len(event.steps)} steps"
                return [f"began, {steps}"] if event.steps else []
            case events.MutexAwaited():
                return [
                    "waits for the migration mutex: somebody else is migrating",
                    *([f"  {formats.plain(event.note)}"] if event.note else []),
                ]
            case events.MutexTaken():
                return [f"has the migration mutex, after {formats.duration(event.waited_ms)}"]
            case events.SessionOpened():
                return [f"works in session {event.session} of the server"]
            case events.StepStarted():
                what = f"{event.direction} {event.revision}  {event.message}"
                return [formats.plain(f"step {event.number} of {event.of} began: {what}")]
            case events.StepEnded():
                return [f"step {event.number} ended, after {formats.duration(event.elapsed_ms)}"]
            case events.StatementStarted():
                return [formats.plain(line) for line in event.sql.strip().splitlines()]
            case events.AttemptFailed():
                why = formats.one_line(event.error)
                said = f"attempt {event.number} of {event.of} did not get its lock ({why})"
                if event.retry_in_ms is not None:
                    return [f"{said}; the run begins again in {formats.duration(event.retry_in_ms)}"]
                return [f"{said}; it is not tried again, since {formats.one_line(event.reason or '')}"]
            case events.SessionSignalled():
                who = (
                    f"{event.operator} {formats.SIGNALLED[event.action]} session {formats.session_line(event.session)}"
                )
                return [formats.plain(who), *_query(event.session.query, "  ")]
            case events.ServerFellSilent():
                return [f"  the server has not answered since {_clock(self._begin, event.since)}"]
            case events.ServerAnswered():
                return [f"  the server answers again, after {formats.duration(event.silent_ms)}"]
            case events.ConnectionBroke():
                return ["the connection broke; the server is tried again, to read what the database says"]
            case events.LineDropped():
                return ["the program that began the run is gone"]
            case events.CancelRequested():
                return ["the run was asked to stop"]
            case events.OutputPrinted():
                return [f"  | {formats.plain(event.text)}"]
            case events.RunEnded():
                error = [f"  {formats.plain(line)}" for line in (event.error or "").strip().splitlines()]
                return [f"ended: {formats.OUTCOMES[event.outcome]}", *error]
        return []


def _tenth(made: StatementProgress) -> int:
    return 10 * made.done // made.total if made.total else 0


def _waits(event: events.LockAwaited, *, again: bool) -> Iterator[str]:
    """A wait that begins, or goes on with other sessions in it."""
    yield f"  {'still waits' if again else 'waits'} for {formats.wanted(event.waits_for)}"
    for session in event.blockers:
        yield f"    in the way: {_session(session)}"
        yield from _query(session.query, "      ")
    for session in event.waiting_behind:
        yield f"    waits behind: {_session(session)}"
    if event.more_behind:
        yield f"    and {event.more_behind} more behind"


def _waited(wait: events.LockAwaited, over: events.LockObtained, after: events.Event | None) -> str:
    """A wait that is over: with the lock had, unless what came `after` says that the statement failed."""
    took, what = formats.duration(over.waited_ms), formats.wanted(wait.waits_for)
    if isinstance(after, events.AttemptFailed) or (isinstance(after, events.RunEnded) and after.outcome != "done"):
        return f"  waited {took} for {what}, and waits no more"
    return f"  waited {took} for {what}, then had it"


def _session(session: Session) -> str:
    waits = f"; it waits for {', '.join(map(str, session.blocked_by))} itself" if session.blocked_by else ""
    return f"{formats.session_line(session)}{waits}"


def _query(query: str | None, indent: str) -> list[str]:
    return [f"{indent}{formats.one_line(query, 120)}"] if query else []
