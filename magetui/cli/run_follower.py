"""Following a run on the command line: its events go to stderr as they happen, and ctrl+c asks the run to stop."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from magetui.cli.output import complain
from magetui.cli.workspaces import open_workspace
from magetui.engine.errors import MagetuiError
from magetui.engine.runs import follow
from magetui.engine.runs.cancel import cancel_run, kill_run
from magetui.engine.runs.record import RunRecord
from magetui.text import formats
from magetui.text.run_events import UNCOMMITTED, RunTeller, still_at

if TYPE_CHECKING:
    from magetui.config.settings import Settings
    from magetui.engine.runs.start import StartedRun
    from magetui.protocol.events import Event


class Interrupts:
    """Handles ctrl+c during a run, and never interrupts what this program prints.

    The first asks the run to stop. The second says what the run is still at, and the third ends its process. A
    `KeyboardInterrupt` could come after the start of the run and before the program follows it. Then nobody would
    learn how the run ended.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._run: int | None = None
        self._count = 0
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
        if self._count:
            self._count = 1
            self._answer(run)

    def _received(self) -> None:
        self._count += 1
        if self._run is not None:
            self._answer(self._run)

    def _answer(self, run: int) -> None:
        try:
            reply = self._act(run)
        except MagetuiError as error:
            reply = error.message
        os.write(2, f"{formats.for_terminal(reply, colour=False)}\n".encode())  # sys.stderr may be in a write itself

    def _act(self, run: int) -> str:
        if self._count == 1:
            ended = f"run {run} has already ended, so it is not cancelled"
            return "cancelling …" if cancel_run(self._environment, run) else ended
        record = follow.read_run(self._environment, run)
        if not record.alive:
            return f"run {run} has ended"
        if self._count == 2:
            return f"{still_at(record)}. ctrl+c again ends its process: {UNCOMMITTED}."
        return f"ending the process of run {run} …" if kill_run(self._environment, run) else f"run {run} has ended"


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
