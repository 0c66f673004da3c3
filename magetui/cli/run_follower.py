"""Following a run on the command line: its events go to stderr as they happen, and ctrl+c asks the run to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence

from magetui.cli.output import complain
from magetui.cli.workspaces import open_workspace
from magetui.config.settings import Settings
from magetui.engine.errors import MagetuiError
from magetui.engine.runs import follow
from magetui.engine.runs.record import RunRecord
from magetui.engine.runs.start import StartedRun
from magetui.protocol.events import Event
from magetui.text import formats
from magetui.text.run_events import RunTeller


class Interrupts:
    """Handles ctrl+c during a run: it asks the run to stop, and never interrupts what this program prints.

    A `KeyboardInterrupt` could come after the start of the run and before the program follows it. Then nobody would
    learn how the run ended.
    """

    def __init__(self, cancel: Callable[[int], bool]) -> None:
        self._cancel = cancel
        self._run: int | None = None
        self._wanted = False
        self._before = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Interrupts:
        if self._before is not signal.SIG_IGN:  # a background job of a shell ignores ctrl+c
            signal.signal(signal.SIGINT, lambda _number, _frame: self._received())
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def started(self, run: int) -> None:
        """Take the number of the run. If ctrl+c came before, ask the run to stop now."""
        self._run = run
        if self._wanted:
            self._ask(run)

    def _received(self) -> None:
        self._wanted = True
        if self._run is not None:
            self._ask(self._run)

    def _ask(self, run: int) -> None:
        try:
            reply = "cancelling …" if self._cancel(run) else f"run {run} has already ended, so it is not cancelled"
        except MagetuiError as error:
            reply = error.message
        os.write(2, f"{reply}\n".encode())  # sys.stderr may be in the middle of a write itself


def followed(run: StartedRun | int) -> RunRecord:
    """Follow a run to its end and return its last record. The events of the run go to stderr."""
    number = run if isinstance(run, int) else run.run
    teller, record = RunTeller(number, formats.local_time), RunRecord(run=number)

    def hear(happened: Sequence[Event]) -> None:
        for line in teller.live_lines(happened):
            complain(line)

    for record in follow.follow_run(os.environ, run, hear=hear):  # noqa: B007 - the last record is the result
        pass
    return record


def read_lost(settings: Settings, record: RunRecord, *, just_ended: bool = False) -> RunRecord:
    """Add the current revision to the record of a lost run, if the database can be read."""
    try:
        return follow.inspect_lost_run(open_workspace(settings), record, just_ended=just_ended)
    except MagetuiError as error:
        complain(f"magetui: could not read the current revision: {error.message}")
        return record
