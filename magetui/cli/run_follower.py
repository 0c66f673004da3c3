"""Following a run on the command line: what happens is said on stderr as it happens, and ctrl+c asks it to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable

from magetui.cli.output import complain
from magetui.config import Settings
from magetui.engine.errors import MagetuiError
from magetui.engine.runs.follow import inspect_lost_run
from magetui.engine.runs.record import RunRecord
from magetui.engine.workspace import Workspace
from magetui.text import formats


class Interrupts:
    """ctrl+c while a run goes on: asks the run to stop, whenever it comes, and never tears off what we say of it.

    A `KeyboardInterrupt` could come between the run's start and the following of it, and leave it unmentioned.
    """

    def __init__(self, cancel: Callable[[int], bool]) -> None:
        self._cancel = cancel
        self._run: int | None = None
        self._wanted = False
        self._before = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Interrupts:
        if self._before is not signal.SIG_IGN:  # a shell's background job is not meant by ctrl+c
            signal.signal(signal.SIGINT, lambda _number, _frame: self._received())
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def began(self, run: int) -> None:
        """The run has a number now; what was asked for before that is done."""
        self._run = run
        if self._wanted:
            self._ask(run)

    def _received(self) -> None:
        self._wanted = True
        if self._run is not None:
            self._ask(self._run)

    def _ask(self, run: int) -> None:
        try:
            said = "cancelling …" if self._cancel(run) else f"run {run} has ended already, so it is not cancelled"
        except MagetuiError as error:
            said = error.message
        os.write(2, f"{said}\n".encode())  # sys.stderr may be in the middle of a write itself


def followed(records: Iterable[RunRecord]) -> RunRecord:
    """The run's last record; what happens meanwhile goes to stderr."""
    told = Told()
    record: RunRecord | None = None
    for record in records:
        told.tell(record)
    if record is None:
        raise AssertionError("a run's journal always yields its last record")
    return record


class Told:
    """What of a run has been said already, so that each thing is said once."""

    def __init__(self) -> None:
        self._steps: set[tuple[str, str]] = set()
        self._output = 0
        self._wait: object = None
        self._news = {"attempts": 0, "signals": 0, "answers": 0}
        self._silent_since: str | None = None
        self._broke: str | None = None
        self._tenth = 0

    def tell(self, record: RunRecord) -> None:
        for number, step in enumerate(record.steps, start=1):
            if step.state in ("running", "done") and (step.revision, step.state) not in self._steps:
                self._steps.add((step.revision, step.state))
                took = f" {formats.duration(step.elapsed_ms)}" if step.state == "done" else " …"
                complain(formats.plain(f"step {number} of {len(record.steps)}  {step.revision}  {step.message}{took}"))
        fresh = record.output_lines - self._output
        for line in record.output[-fresh:] if fresh else ():
            complain(formats.plain(f"  | {line}"))
        self._output = record.output_lines
        self._tell_news(record)
        wait = record.wait
        if wait is not None and wait != self._wait:
            limit = f", up to {formats.duration(wait.timeout_ms)}" if wait.timeout_ms else ""
            complain(f"WAITING for {formats.wanted(wait.waits_for)}{limit}")
            if wait.note:
                complain(f"  {formats.plain(wait.note)}")
            for session in wait.blockers:
                complain(f"  in the way: {formats.session_line(session)}")
                if session.query:
                    complain(f"              {formats.one_line(session.query, 90)}")
            for session in wait.waiting_behind:
                complain(f"  waiting behind us: {formats.session_line(session)}")
        self._wait = wait

    def _tell_news(self, record: RunRecord) -> None:
        for attempt in record.attempts[self._news["attempts"] :]:
            complain(formats.plain(formats.attempt(attempt)))
            self._steps.clear()
        for signal_sent in record.signals[self._news["signals"] :]:
            complain(formats.plain(formats.signal(signal_sent)))
        if record.answers > self._news["answers"] and self._silent_since is not None:
            complain("the server answers again")
        if record.silent_since not in (None, self._silent_since):
            complain(f"the server has not answered since {record.silent_since}")
        self._silent_since = record.silent_since
        if record.broke != self._broke and record.alive:
            complain("the connection broke; the server is tried again, to read what the database says now")
        self._broke = record.broke
        self._news = {"attempts": len(record.attempts), "signals": len(record.signals), "answers": record.answers}
        if record.progress is not None and record.progress.total:
            tenth = 10 * record.progress.done // record.progress.total
            if tenth > self._tenth:
                complain(f"  {formats.progress(record.progress)}")
            self._tenth = tenth


def told_lost(settings: Settings, record: RunRecord, *, just_ended: bool = False) -> RunRecord:
    """What the database says now, where it can be asked; the record as it is where not."""
    try:
        return inspect_lost_run(Workspace(settings.selection), record, just_ended=just_ended)
    except MagetuiError as error:
        complain(f"magetui: what the database says now could not be read: {error.message}")
        return record
