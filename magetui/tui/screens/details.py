"""Screens that show one thing: a text in full, the runs on record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from magetui.tui.panes.log import STYLES
from magetui.tui.screens.base import OverScreen
from magetui.tui.screens.run import RunScreen
from magetui.tui.theme import QUIET, STRONG
from magetui.tui.widgets.rows import Row, Rows, fitted

if TYPE_CHECKING:
    from magetui.engine.runs.record import RunRecord

TOOK_WIDTH = 13
WHOSE_WIDTH = 30  # at least, where it stands on the same line


class ScrolledScreen(OverScreen):
    """A screen of text to scroll."""

    BINDINGS = [
        Binding("j,down", "scroll('down')", "Down", show=False),
        Binding("k,up", "scroll('up')", "Up", show=False),
        Binding("g,home", "scroll('home')", "Top", show=False),
        Binding("G,end", "scroll('end')", "End", show=False),
        Binding("ctrl+d,pagedown,space", "scroll('page_down')", "Page down", show=False),
        Binding("ctrl+u,pageup", "scroll('page_up')", "Page up", show=False),
    ]

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one(VerticalScroll), f"scroll_{where}")(animate=False)


class TextScreen(ScrolledScreen):
    """One text, whole: what its line had no room for."""

    NAME = "Text"
    ABOUT = "One text in full: what its line or its place had no room for."

    def __init__(self, heading: str, text: str) -> None:
        super().__init__()
        self._heading = heading
        self._text = text

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with VerticalScroll():
            yield Static(Content(self._text), markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.entitle((f" {self._heading}", STRONG))


class RunsScreen(OverScreen):
    """The runs on record; enter opens one."""

    NAME = "Runs"
    ABOUT = "Every run on record, newest first. Enter shows what happened in it, or follows it while it goes on."

    def __init__(self, records: Sequence[RunRecord]) -> None:
        super().__init__()
        self._records = records

    def compose(self) -> ComposeResult:
        yield Static(f" Runs   {len(self._records)} on record", id="title", markup=False)
        yield Rows(empty="no runs on record")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        rows = self.query_one(Rows)
        rows.show(lambda width: run_rows(self._records, width))
        rows.focus_lines()

    @on(Rows.Opened)
    def _opened(self, event: Rows.Opened) -> None:
        self.app.push_screen(RunScreen(int(event.key)))


def run_rows(records: Sequence[RunRecord], width: int) -> list[Row]:
    """A run in one line, or each in two where there is no room: number, when, verb, outcome, duration; way, whose."""
    from magetui.text import formats

    outcome_width = max((len(formats.OUTCOMES[record.outcome]) for record in records), default=0) + 2
    way_width = max((cell_len(formats.way(record)) for record in records), default=0) + 2
    rows = []
    for record in records:
        took, way = formats.duration(record.elapsed_ms), formats.way(record)
        whose = formats.plain(f"{record.user}@{record.host}  {record.database}")
        first = Content.assemble(
            (f"{record.run:>4} ", STRONG),
            (fitted(formats.local_time(record.started), 12), QUIET),
            fitted(record.verb, 10),
            (fitted(formats.OUTCOMES[record.outcome], outcome_width), STYLES.get(record.outcome, "")),
        )
        if width < first.cell_length + TOOK_WIDTH + way_width + WHOSE_WIDTH:
            content = Content("\n").join([Content.assemble(first, (took, QUIET)), Content(f"     {way}  {whose}")])
        else:
            content = Content.assemble(first, (fitted(took, TOOK_WIDTH), QUIET), fitted(way, way_width), (whose, QUIET))
        rows.append(Row(str(record.run), content, " ".join((content.plain, way, whose))))
    return rows
