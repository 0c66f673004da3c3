"""A list of rows that is filtered, moved in with plain letters, and keeps its cursor when its rows change.

Every list of the program is one of these: revisions, tables, log, sessions, runs. A row is made for the width there
is, and made anew when that changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.style import Style
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

SCROLLBAR = 2
TEXT_WIDTHS = (120, 160, 200, 300, 500)  # tried in turn when rows are taken along, until nothing is cut
UNCUT = 5_000


@dataclass(frozen=True, slots=True)
class Row:
    """One line: `key` is stable over changes, `search` is what the filter looks in."""

    key: str
    content: Content
    search: str


class Lines(OptionList):
    """The option list itself, with the keys of less and vi."""

    BINDINGS = [
        Binding("j,down", "cursor_down", "Down", show=False),
        Binding("k,up", "cursor_up", "Up", show=False),
        Binding("g,home", "first", "First", show=False),
        Binding("G,end", "last", "Last", show=False),
        Binding("ctrl+d", "page_down", "Page down", show=False),
        Binding("ctrl+u", "page_up", "Page up", show=False),
    ]

    def get_visual_style(self, *component_classes: str, partial: bool = False) -> Style:
        """Textual (8.2.8) drops `reverse` where it makes a component's style, and then no cursor is seen."""
        style = super().get_visual_style(*component_classes, partial=partial)
        if "option-list--option-highlighted" in component_classes and self.has_focus:
            return replace(style, reverse=True)
        return style

    class Resized(Message):
        """There are more or fewer columns now."""

    def on_resize(self, _event: Resize) -> None:
        self.post_message(self.Resized())


class Rows(Vertical):
    """See the module. Posts `Rows.Opened` on enter."""

    BINDINGS = [
        Binding("slash", "filter", "Filter", show=False, key_display="/", tooltip="show only rows with this text"),
        Binding("escape", "clear_filter", "Clear filter", show=False),
    ]

    class Opened(Message):
        """A row was opened with enter."""

        def __init__(self, rows: Rows, key: str) -> None:
            self.rows = rows
            self.key = key
            super().__init__()

        @property
        def control(self) -> Rows:
            return self.rows

    def __init__(self, *, id: str | None = None, empty: str = "") -> None:
        super().__init__(id=id)
        self._build: Callable[[int], Sequence[Row]] = lambda _width: ()
        self._rows: Sequence[Row] = ()
        self._width = 0
        self._empty = empty
        self._shown_once = False
        self._wanted = ""

    def compose(self) -> ComposeResult:
        yield Lines(markup=False)

    @property
    def lines(self) -> Lines:
        return self.query_one(Lines)

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        option = self.lines.highlighted_option
        return option.id if option is not None else None

    @property
    def text(self) -> str:
        """All rows shown, as plain text and uncut: for the clipboard and for files."""

        def lines(width: int) -> list[str]:
            return [row.content.plain.rstrip() for row in self._matching(self._build(width))]

        def said(lines: list[str]) -> list[str]:
            return [re.sub(r"(?<=\S) {2,}", "  ", line) for line in lines]

        uncut = said(lines(UNCUT))
        fitting = (made for made in map(lines, TEXT_WIDTHS) if said(made) == uncut)
        return "\n".join(next(fitting, uncut))

    def show(self, build: Callable[[int], Sequence[Row]]) -> None:
        """Show the rows that `build` makes for a width in columns; the cursor stays on its key."""
        self._build = build
        self._shown_once = True
        self._rebuild()

    def forget(self) -> None:
        """Show that the rows are being read, and none of those there were."""
        self._build = lambda _width: ()
        self._shown_once = False
        self._rebuild()

    def select(self, key: str) -> None:
        """Bring the cursor to a row, where it is shown."""
        index = next((i for i, row in enumerate(self._shown()) if row.key == key), None)
        if index is not None:
            self.lines.highlighted = index

    def focus_lines(self) -> None:
        self.lines.focus()

    def _rebuild(self) -> None:
        self._width = max(0, self.lines.size.width - SCROLLBAR)
        self._rows = self._build(self._width)
        self._fill()

    def _shown(self) -> Sequence[Row]:
        return self._matching(self._rows)

    def _matching(self, rows: Sequence[Row]) -> Sequence[Row]:
        wanted = self._wanted.lower()
        return [row for row in rows if wanted in row.search.lower()] if wanted else rows

    def _fill(self) -> None:
        lines, shown, key = self.lines, self._shown(), self.selected
        place = lines.highlighted or 0
        scroll = lines.scroll_y
        options = [Option(row.content, id=row.key) for row in shown]
        if not options:
            nothing = self._empty if self._shown_once else "reading …"
            if self._rows:
                nothing = f"nothing matches '{self._wanted}'; esc clears"
            options = [Option(Content.styled(nothing, "dim"), disabled=True)]
        lines.set_options(options)
        if shown:
            kept = next((i for i, row in enumerate(shown) if row.key == key), min(place, len(shown) - 1))
            lines.highlighted = kept
            lines.scroll_to(y=scroll, animate=False)

    @on(Lines.Resized)
    def _resized(self, event: Lines.Resized) -> None:
        event.stop()
        if max(0, self.lines.size.width - SCROLLBAR) != self._width:
            self._rebuild()
        self.lines.scroll_to_highlight()  # there may be fewer lines now

    # -- the filter

    async def action_filter(self) -> None:
        """Open the filter's field; it is made when first wanted, since most lists are never filtered."""
        fields = self.query(Input)
        if not fields:
            field = Input(self._wanted, placeholder="filter", compact=True)
            field.cursor_blink = False
            await self.mount(field)
        self.screen.set_focus(self.query_one(Input))

    @on(Input.Changed)
    def _filtered(self, event: Input.Changed) -> None:
        event.stop()
        self._wanted = event.value
        self._fill()

    @on(Input.Submitted)
    def _accepted(self, event: Input.Submitted) -> None:
        event.stop()
        self.lines.focus()
        if not event.value:
            event.input.remove()

    def clear_filter(self) -> bool:
        """Take the filter away; False where there was none."""
        fields = self.query(Input)
        if not fields:
            return False
        self._wanted = ""
        self.lines.focus()
        fields.remove()
        self._fill()
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Escape is ours only where there is a filter to clear; else it closes the screen."""
        return bool(self.query(Input)) if action == "clear_filter" else super().check_action(action, parameters)

    def action_clear_filter(self) -> None:
        self.clear_filter()

    # -- what happened, told upwards

    @on(OptionList.OptionSelected)
    def _opened(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Opened(self, event.option_id))


def fitted(text: str, width: int) -> str:
    """`text` in exactly `width` columns, cut with an ellipsis or filled with spaces."""
    if width <= 0:
        return ""
    return set_cell_size(text, width - 1) + "…" if cell_len(text) > width else set_cell_size(text, width)
