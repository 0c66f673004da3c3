"""The runs screen: every recorded run, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import on, work
from textual.content import Content

from magetui.engine.errors import MagetuiError
from magetui.text import formats, run_conclusion
from magetui.tui.messages import ActionFailed
from magetui.tui.panes.log import STYLES
from magetui.tui.screens.base import OverScreen
from magetui.tui.screens.run import RunScreen
from magetui.tui.theme import QUIET, STRONG
from magetui.tui.verb_keys import VERB_KEYS
from magetui.tui.widgets.rows import Row, Rows, end_of, fitted

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.engine.runs.record import RunRecord

TOOK_WIDTH = 13
WHOSE_WIDTH = 30  # columns that user, host and database need to be on the same line


class RunsScreen(OverScreen):
    NAME = "Runs"
    ABOUT = "Every recorded run, newest first. Enter shows the events of a run, and follows a run that continues."

    BINDINGS = [*VERB_KEYS]

    def __init__(self, records: Sequence[RunRecord]) -> None:
        super().__init__()
        self._records = records

    def compose_body(self) -> ComposeResult:
        yield Rows(empty="no recorded runs")

    def on_mount(self) -> None:
        self._show()
        self.query_one(Rows).focus_lines()

    def read_again(self) -> None:
        """Read the runs again: a run may have started or ended while another screen was in front."""
        self._read()

    @work(thread=True, exclusive=True, group="runs", exit_on_error=False)
    def _read(self) -> None:
        from magetui.engine.runs.follow import list_runs

        try:
            self.call_later(self._reread, list_runs(self.magetui.environment).records)
        except MagetuiError as error:
            self.magetui.post_message(ActionFailed("runs", error.message))

    def _reread(self, records: Sequence[RunRecord]) -> None:
        self._records = records
        self.mark_read()
        self._show()

    def _show(self) -> None:
        records = self._records
        self.entitle(f" Runs   {len(records)} on record")
        self.query_one(Rows).show(lambda width: run_rows(records, width))

    @on(Rows.Opened)
    def _opened(self, event: Rows.Opened) -> None:
        self.app.push_screen(RunScreen(int(event.key)))


def run_rows(records: Sequence[RunRecord], width: int) -> list[Row]:
    """Return a row for each run, on one line, or on two lines if the width is too small."""
    outcome_width = max((len(formats.outcome(record.outcome)) for record in records), default=0) + 2
    change_width = max((cell_len(run_conclusion.way(record)) for record in records), default=0) + 2
    rows = []
    for record in records:
        took, change = formats.duration(record.elapsed_ms), run_conclusion.way(record)
        database, who = formats.database(record.database), formats.plain(f"{record.user}@{record.host}")
        whose = f"{database}  {who}"
        first = Content.assemble(
            (f"{record.run:>4} ", STRONG),
            (fitted(formats.local_time(record.started), 12), QUIET),
            fitted(record.verb, 10),
            (fitted(formats.outcome(record.outcome), outcome_width), STYLES.get(record.outcome, "")),
        )
        if width < first.cell_length + TOOK_WIDTH + change_width + WHOSE_WIDTH:
            room = width - first.cell_length - TOOK_WIDTH
            line = Content.assemble(first, (fitted(took, TOOK_WIDTH), QUIET), (end_of(database, room), QUIET))
            content = Content("\n").join([line, Content(f"     {change}  {who}")])
        else:
            content = Content.assemble(
                first, (fitted(took, TOOK_WIDTH), QUIET), fitted(change, change_width), (whose, QUIET)
            )
        rows.append(Row(str(record.run), content, " ".join((content.plain, change, whose))))
    return rows
