"""Expected against live, side by side in columns: the operations of a revision, or the differences of a replay."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import fitted

if TYPE_CHECKING:
    from magetui.text.comparison import Compared, ComparedState

MARKS: dict[ComparedState, str] = {"equal": " ", "missing": "-", "extra": "+", "different": "!", "hidden": "?"}
STYLES: dict[ComparedState, str] = {"missing": WARNING, "extra": WARNING, "different": WARNING, "hidden": QUIET}
EXPECTED, LIVE = "EXPECTED", "LIVE"
MARK, GAP = 3, 2
LEAST_NAME = 14  # room for a revision's id in the heading
SHORTEST = 8  # columns of a cell, however narrow the screen is


@dataclass(frozen=True, slots=True)
class Columns:
    """The widths of the columns, all but the last with the gap after them."""

    name: int
    expected: int
    live: int


def columns_of(parts: Iterable[Compared], width: int) -> Columns:
    """Return columns that are as wide as their cells. If there is no room for that, the cells wrap."""
    parts = list(parts)
    longest = [
        max([least, *(cell_len(text) + GAP for text in texts)])
        for least, texts in (
            (LEAST_NAME + GAP, [part.name for part in parts]),
            (len(EXPECTED) + GAP + 1, [part.expected for part in parts]),
            (len(LIVE) + GAP, [part.live for part in parts]),
        )
    ]
    room = max(3 * SHORTEST, width - MARK)
    name = min(longest[0], max(LEAST_NAME + GAP, room * 2 // 5, room - longest[1] - longest[2]))
    live = min(longest[2], (room - name) // 2)
    expected = min(longest[1], room - name - live)
    return Columns(name, expected, room - name - expected)


def comparison_heading(title: str, columns: Columns, width: int) -> Content:
    """Return a rule with the title and the names of the columns in it."""
    named = f"─{fitted_title(title, MARK + columns.name - GAP)}".ljust(MARK + columns.name - 1, "─")
    expected = f" {EXPECTED} ".ljust(columns.expected, "─")
    return Content.styled(f"{named}{expected} {LIVE} ".ljust(width, "─")[:width], QUIET)


def fitted_title(title: str, width: int) -> str:
    return f"{fitted(title, min(width, cell_len(title)))} " if title else ""


def comparison_lines(parts: Sequence[Compared], columns: Columns) -> list[Content]:
    """Return the lines of the parts, below the name of each group. A cell that is too long continues below itself."""
    lines: list[Content] = []
    group = ""
    for part in parts:
        if part.group != group:
            group = part.group
            lines.append(Content.styled(f" {group}", STRONG))
        cells = (
            _cell(part.name, columns.name - GAP),
            _cell(part.expected, columns.expected - GAP),
            _cell(part.live, columns.live),
        )
        style = STYLES.get(part.state, "")
        for number, (name, expected, live) in enumerate(zip_longest(*cells, fillvalue="")):
            mark = "" if number else MARKS[part.state]
            lines.append(
                Content.assemble(
                    (f" {mark:<{MARK - 1}}", style),
                    fitted(name, columns.name),
                    fitted(expected, columns.expected),
                    (live, style),
                )
            )
    return lines


def _cell(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(SHORTEST, width), break_on_hyphens=False)


class ComparisonView(Vertical):
    """A comparison that fits its room, below its heading. `note` is a sentence below the lines."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._title, self._note = "", ""
        self._parts: Sequence[Compared] = ()

    def compose(self) -> ComposeResult:
        yield Static(classes="comparison-heading", markup=False)
        with VerticalScroll():
            yield Static(classes="comparison-lines", markup=False)

    def show(self, title: str, parts: Sequence[Compared], note: str = "") -> None:
        self._title, self._parts, self._note = title, parts, note
        self._draw()
        self.query_one(VerticalScroll).scroll_home(animate=False)

    @on(Resize)
    def _draw(self) -> None:
        width = self.size.width
        columns = columns_of(self._parts, width - 1)  # beside the scrollbar
        heading = comparison_heading(self._title, columns, width) if self._title else Content("")
        self.query_one(".comparison-heading", Static).update(heading, layout=False)
        lines = comparison_lines(self._parts, columns)
        lines += hanging(" " * MARK, self._note, max(SHORTEST, width - 1), QUIET) if self._note else []
        self.query_one(".comparison-lines", Static).update(Content("\n").join(lines))
