"""The events of a run in words, each fact once, for the command line, the screen and the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from magetui.engine.runs.record import RunRecord, Wait, fold
from magetui.protocol import events
from magetui.text import formats, wait_queue

if TYPE_CHECKING:
    from magetui.model.sessions import Session, StatementProgress

# The event after a wait tells whether the run got the lock.
AFTER_A_WAIT = (
    events.LockAwaited,
    events.StatementStarted,
    events.StatementEnded,
    events.AttemptFailed,
    events.RunEnded,
)
WAITS = (events.LockAwaited, events.MutexAwaited)
# The events that a person who watches the run needs. The others are for the report.
LIVE = (
    *WAITS,
    events.StepStarted,
    events.StepEnded,
    events.ProgressMade,
    events.OutputPrinted,
    events.OutputSkipped,
    events.AttemptFailed,
    events.SessionSignalled,
    events.ServerFellSilent,
    events.ServerAnswered,
    events.ConnectionBroke,
)
STATEMENT_SHOWN = 100  # characters
UNCOMMITTED = "what it has not committed is rolled back"
LINE_DROPPED = "the program that started the run is gone"

Notice = tuple[str, str]  # a heading in capitals, and the sentence that follows it


def blocker(session: Session) -> str:
    """Return 'blocker: 4711  mage  mage-server  10.0.3.7  idle in transaction, 6 min'."""
    return f"blocker: {formats.session_line(session)}"


def attempt(failed: events.AttemptFailed) -> str:
    """Return 'attempt 1 of 6 could not get the lock; next attempt in 1.4 s', or why there is no other attempt."""
    what = "ended in a deadlock" if failed.outcome == "deadlock" else "could not get the lock"
    fact = f"attempt {failed.number} of {failed.of} {what}"
    if failed.retry_in_ms is not None:
        return f"{fact}; next attempt in {formats.duration(failed.retry_in_ms)}"
    return f"{fact}; no retry: {formats.one_line(failed.reason or '')}"


def waiting(wait: Wait, *, again: bool = False) -> Notice:
    """Return the heading of a wait and the lock that the run waits for."""
    return "STILL WAITING" if again else "WAITING", f"for {formats.wanted(wait.waits_for)}"


def silent(clock: str) -> Notice:
    """Return the notice of a server that has not answered since `clock`, a time of day or of the run."""
    return "NO ANSWER", f"the server has not answered since {clock}; the run gives up if the server stays silent"


def broke(clock: str) -> Notice:
    return "LOST", f"the connection broke at {clock}; the run reconnects to read the current revision"


def cancelling(record: RunRecord) -> Notice:
    why = f"{LINE_DROPPED}, so " if record.line_dropped else ""
    return "CANCELLING", f"{why}the statement is being cancelled and its changes are rolled back"


def still_at(record: RunRecord) -> str:
    """Return what a run that was asked to stop is still at: 'run 3 is still at step 2 of 3, up rev2: SELECT …'."""
    steps = [(number, step) for number, step in enumerate(record.steps, start=1) if step.state == "running"]
    of = len(record.steps)
    at = "".join(f"step {number} of {of}, {step.direction} {step.revision}" for number, step in steps[:1])
    statement = record.statement
    if statement is not None and statement.elapsed_ms is None:
        what = f"the statement {formats.one_line(statement.sql, STATEMENT_SHOWN)}"
    else:
        what = "code that is no SQL"
    return formats.plain(f"run {record.run} is still at {at}: {what}" if at else f"run {record.run} is still at {what}")


class RunTeller:
    """Words the events of one run, in their order. The meaning of an event depends on the record before the event.

    `clock` words the moment of an event: a time of day, or the time since the run started.
    """

    def __init__(self, run: int, clock: Callable[[str], str]) -> None:
        self._record = RunRecord(run=run)
        self._clock = clock
        self._progress: StatementProgress | None = None  # the last progress in the lines

    def lines(self, happened: Sequence[events.Event]) -> Iterator[tuple[events.Event, list[str]]]:
        """Yield each event with its lines, unless there is nothing to say about the event."""
        for index, event in enumerate(happened):
            before, self._record = self._record, fold(self._record, [event])
            if isinstance(event, events.LockObtained):
                after = next((e for e in happened[index + 1 :] if isinstance(e, AFTER_A_WAIT)), None)
                lines = [] if before.wait is None else [_waited(before.wait, event, after)]
            else:
                lines = list(self._worded(event, before))
            if lines:
                yield event, lines

    def live_lines(self, happened: Sequence[events.Event]) -> Iterator[str]:
        """Yield the lines for a person who watches the run. Of several waits, only the present wait is news."""
        news = [(event, lines) for event, lines in self.lines(happened) if isinstance(event, LIVE)]
        waits = [event for event, _ in news if isinstance(event, WAITS)]
        present = waits[-1] if waits and self._record.wait is not None else None
        for event, lines in news:
            if event is present or not isinstance(event, WAITS):
                yield from lines

    def _worded(self, event: events.Event, before: RunRecord) -> Iterator[str]:  # noqa: PLR0912 - a case an event
        record = self._record
        match event:
            case events.RunStarted() if event.steps:
                yield f"started, {formats.number(len(event.steps), 'step')}"
            case events.MutexAwaited() | events.LockAwaited() if record.wait is not None:
                again = before.wait is not None and before.wait.since == record.wait.since
                yield from _wait_lines(record.wait, record.wait_note, again=again)
            case events.MutexTaken():
                yield f"got the migration lock after {formats.duration(event.waited_ms)}"
            case events.SessionOpened():
                yield f"session {event.session} on the server"
            case events.StepStarted():
                what = f"{event.direction} {event.revision}  {event.message}"
                yield formats.plain(f"step {event.number} of {event.of}: {what}")
            case events.StepEnded():
                yield f"step {event.number} of {len(record.steps)}: done in {formats.duration(event.elapsed_ms)}"
            case events.StatementStarted():
                self._progress = None
                yield from (formats.plain(line) for line in event.sql.strip().splitlines())
            case events.StatementEnded():
                yield f"  {_took(event, before.wait)}"
            case events.ProgressMade() if _is_news(self._progress, event.progress):
                self._progress = event.progress
                yield f"  {formats.progress(event.progress)}"
            case events.AttemptFailed():
                self._progress = None
                yield attempt(record.attempts[-1])
                yield f"  {formats.one_line(event.error)}"
            case events.SessionSignalled():
                yield formats.plain(formats.signal(record.signals[-1]))
                yield from _query(event.session)
            case events.ServerFellSilent():
                yield ": ".join(silent(self._clock(event.since)))
            case events.ServerAnswered():
                yield f"the server answers again after {formats.duration(event.silent_ms)}"
            case events.ConnectionBroke():
                yield ": ".join(broke(self._clock(event.at)))
            case events.LineDropped():
                yield LINE_DROPPED
            case events.CancelRequested():
                yield "the run was asked to stop"
            case events.OutputPrinted():
                yield f"  | {formats.plain(event.text)}"
            case events.OutputSkipped():
                lines = formats.number(event.lines, "line")
                yield f"  | … {lines} ({formats.size(event.bytes)}) are not on record"
            case events.RunEnded():
                yield f"ended: {formats.outcome(event.outcome)}"
                yield from (f"  {formats.plain(line)}" for line in (event.error or "").strip().splitlines())


def _wait_lines(wait: Wait, note: str | None, *, again: bool) -> Iterator[str]:
    limit = f", up to {formats.duration(wait.timeout_ms)}" if wait.timeout_ms else ""
    yield f"{' '.join(waiting(wait, again=again))}{limit}"
    if note:
        yield f"  {formats.plain(note)}"
    for session in wait.blockers:
        itself = f"; it waits for {', '.join(map(str, session.blocked_by))} itself" if session.blocked_by else ""
        yield f"  {blocker(session)}{itself}"
        yield from _query(session)
    for session in wait.waiting_behind:
        yield f"  waiter: {formats.session_line(session)}"
        yield from _query(session)
    if wait.more_behind:
        yield f"  and {wait.more_behind} more waiters"
    if (first := wait_queue.ahead_of_run(wait)) is not None:
        yield f"  {first}"


def _query(session: Session) -> Iterator[str]:
    if session.query:
        yield f"    {formats.one_line(session.query, 120)}"


def _took(ended: events.StatementEnded, wait: Wait | None) -> str:
    took = f"took {formats.duration(ended.elapsed_ms)}"
    if wait is None:
        return took
    # The end of a wait is noticed a moment late: the statement may have ended by then.
    waited_ms = int((formats.moment(ended.at) - formats.moment(wait.since)).total_seconds() * 1000)
    return f"{took}, of which up to {formats.duration(min(waited_ms, ended.elapsed_ms))} waiting for the lock"


def _waited(wait: Wait, over: events.LockObtained, after: events.Event | None) -> str:
    """Word a wait that is over. The run got the lock, unless the event `after` the wait is a failure."""
    failed = isinstance(after, events.AttemptFailed) or (isinstance(after, events.RunEnded) and after.outcome != "done")
    how = "stopped waiting" if failed else "got the lock"
    return f"{how} after {formats.duration(over.waited_ms)}: {formats.wanted(wait.waits_for)}"


def _is_news(last: StatementProgress | None, progress: StatementProgress) -> bool:
    """Return whether the progress is worth a line: another phase, or another tenth of the work.

    A journal has one progress event a second, which would be 600 lines in ten minutes.
    """
    return last is None or _landmark(last) != _landmark(progress)


def _landmark(progress: StatementProgress) -> tuple[object, ...]:
    return progress.doing, progress.phase, 10 * progress.done // progress.total if progress.total else 0
