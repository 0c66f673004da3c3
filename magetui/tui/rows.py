"""A list of rows that is filtered, moved in with plain letters, and keeps its cursor when its rows change.

Every list of the program is one of these: revisions, tables, log, sessions, runs. A row is made for the width there
is, and made anew when that changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

SCROLLBAR = 2


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

    class Resized(Message):
        """There are more or fewer columns now."""

    def on_resize(self, _event: Resize) -> None:
        self.post_message(self.Resized())


class Rows(Vertical):
    """See the module. Posts `Rows.Opened` on enter."""

    BINDINGS = [
        Binding("slash", "filter", "Filter", show=False, key_display="/", tooltip="show only rows with this text")
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
        """All rows shown, as plain text: for the clipboard and for files."""
        return "\n".join(row.content.plain for row in self._shown())

    def show(self, build: Callable[[int], Sequence[Row]]) -> None:
        """Show the rows that `build` makes for a width in columns; the cursor stays on its key."""
        self._build = build
        self._shown_once = True
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
        wanted = self._wanted.lower()
        return [row for row in self._rows if wanted in row.search.lower()] if wanted else self._rows

    def _fill(self) -> None:
        lines, shown, key = self.lines, self._shown(), self.selected
        place = lines.highlighted or 0
        scroll = lines.scroll_y
        options = [Option(row.content, id=row.key) for row in shown]
        if not options:
            nothing = self._empty if self._shown_once else "reading …"
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

    def key_escape(self) -> None:
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
    return text[: width - 1] + "…" if len(text) > width else text.ljust(width)
