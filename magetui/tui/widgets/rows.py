"""A list of rows with a search, plain-letter keys, and a cursor that stays on its row when the rows change."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len, set_cell_size
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.style import Style
from textual.timer import Timer
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from magetui.tui.widgets.fields import FindField

SCROLLBAR = 2
FEW = 1_000  # with more rows, a search starts only when the operator pauses, for so many seconds
FIND_PAUSE = 0.15
TEXT_WIDTHS = (120, 160, 200, 300, 500)  # tried in turn when rows are copied, until no row is cut
UNCUT = 5_000
FOUND = "bold underline"  # which is seen in the row at the cursor, too


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `key` stays the same when the content changes; find searches `search`, and `y` copies `copied`.

    The part `of` another row is shown only together with that row. A heading has no cursor, and is never found.
    """

    key: str
    content: Content
    search: str
    copied: str = ""  # without it, the key is copied
    of: str = ""
    is_heading: bool = False


class Lines(OptionList):
    """The option list, with the keys of less and vi."""

    BINDINGS = [
        Binding("j,down", "cursor_down", "Down", show=False),
        Binding("k,up", "cursor_up", "Up", show=False),
        Binding("g,home", "first", "First", show=False),
        Binding("G,end", "last", "Last", show=False),
        Binding("ctrl+d", "page_down", "Page down", show=False),
        Binding("ctrl+u", "page_up", "Page up", show=False),
    ]

    def get_visual_style(self, *component_classes: str, partial: bool = False) -> Style:
        """Show the cursor in reverse video. Textual (8.2.8) drops `reverse` from a component's style."""
        style = super().get_visual_style(*component_classes, partial=partial)
        shown = self.has_focus or not self.can_focus
        if "option-list--option-highlighted" in component_classes and shown:
            return replace(style, reverse=True)
        return style

    class Resized(Message):
        """The number of columns has changed."""

    def on_resize(self, _event: Resize) -> None:
        self.post_message(self.Resized())


class Rows(Vertical):
    """The list and its search. Posts `Rows.Opened` on enter."""

    BINDINGS = [
        Binding("slash", "filter", "Find", show=False, key_display="/", tooltip="show only rows with this text"),
        Binding("escape", "clear_filter", "Clear find"),
        Binding("y", "copy_item", "Copy", show=False, tooltip="copy the selected item (OSC 52)", id="copy"),
        Binding("Y", "copy_list", "Copy all", show=False, tooltip="copy the complete pane (OSC 52)", id="copy-all"),
    ]

    @dataclass
    class Opened(Message):
        """Enter was pressed on a row."""

        rows: Rows
        key: str

        @property
        def control(self) -> Rows:
            return self.rows

    @dataclass
    class Moved(Message):
        """The cursor is on another row, or the row at the cursor has changed."""

        rows: Rows

        @property
        def control(self) -> Rows:
            return self.rows

    @dataclass
    class FindStarted(Message):
        """The operator started to search the list."""

        rows: Rows

        @property
        def control(self) -> Rows:
            return self.rows

    @dataclass
    class CopyWanted(Message):
        """The operator wants to copy `text`: the selected item, or the `complete` list with what belongs to it."""

        text: str
        complete: bool

    def __init__(self, *, id: str | None = None, empty: str = "") -> None:
        super().__init__(id=id)
        self._build: Callable[[int], Sequence[Row]] = lambda _width: ()
        self._heading: Callable[[int], str] | None = None
        self._rows: Sequence[Row] = ()
        self._width = 0
        self._empty = empty
        self._shown_once = False
        self._filter = ""
        self._find_timer: Timer | None = None
        self._note = ""  # beside the number of matches

    def compose(self) -> ComposeResult:
        heading = Static(classes="heading", markup=False)
        heading.display = False
        yield heading
        yield Lines(markup=False)

    @property
    def lines(self) -> Lines:
        return self.query_one(Lines)

    @property
    def selected(self) -> str | None:
        """The key of the row at the cursor."""
        option = self.lines.highlighted_option
        return option.id if option is not None else None

    @property
    def lines_needed(self) -> int:
        """The lines that all rows need."""
        return sum(row.content.plain.count("\n") + 1 for row in self._rows)

    @property
    def sought(self) -> str:
        """The text that the operator searches for, in lower case; '' without a search."""
        return self._filter.lower()

    @property
    def is_finding(self) -> bool:
        """Return whether the search field is open."""
        return bool(self.query(Input))

    @property
    def text(self) -> str:
        """The matching rows as plain text, not cut, for the clipboard and for files."""

        def lines(width: int) -> list[str]:
            plain = [row.content.plain.rstrip() for row in self._matching(self._build(width))]
            return [re.sub("─{2,}", "──", text) for text in plain]  # a rule is as wide as the list

        def without_gaps(lines: list[str]) -> list[str]:
            return [re.sub(r"(?<=\S) {2,}", "  ", line) for line in lines]

        uncut = without_gaps(lines(UNCUT))
        aligned = (candidate for candidate in map(lines, TEXT_WIDTHS) if without_gaps(candidate) == uncut)
        return "\n".join(next(aligned, uncut))

    def show(self, build: Callable[[int], Sequence[Row]], heading: Callable[[int], str] | None = None) -> None:
        """Show the rows that `build` returns for a width in columns, below the names of the columns.

        The cursor stays on its key.
        """
        self._build, self._heading = build, heading
        self._shown_once = True
        self._rebuild()

    def forget(self) -> None:
        """Remove every row and show that the rows are being read."""
        self._build, self._heading = lambda _width: (), None
        self._shown_once = False
        self._rebuild()

    def select(self, key: str) -> None:
        """Move the cursor to a row, if the row is shown."""
        index = next((i for i, row in enumerate(self._shown()) if row.key == key), None)
        if index is not None:
            self.lines.highlighted = index

    def focus_lines(self) -> None:
        self.lines.focus()

    def _rebuild(self) -> None:
        self._width = max(0, self.lines.size.width - SCROLLBAR)
        self._rows = self._build(self._width)
        self._show_heading(self._heading(self._width) if self._heading is not None and self._rows else "")
        self._fill()

    def _show_heading(self, text: str) -> None:
        heading = self.query_one(".heading", Static)
        if text != heading.content:  # a list of sessions is shown again each second
            heading.display = bool(text)
            heading.update(text)

    def _shown(self) -> Sequence[Row]:
        shown = self._matching(self._rows)
        if not self.sought:
            return shown
        found = re.compile(re.escape(self.sought), re.IGNORECASE)
        return [replace(row, content=row.content.highlight_regex(found, style=FOUND)) for row in shown]

    def _matching(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return the rows that have the text, and the rows that those are parts of."""
        text = self.sought
        if not text:
            return rows
        matching = [row for row in rows if text in row.search.lower() and not row.is_heading]
        keys = {row.key for row in matching} | {row.of for row in matching}
        return [row for row in rows if row.key in keys]

    def _show_count(self, shown: Sequence[Row]) -> None:
        """Show how many items match beside the search field. A row that is a part of another one is no item."""
        matching, items = ([row for row in rows if not (row.of or row.is_heading)] for rows in (shown, self._rows))
        for count in self.query(".count").results(Static):
            count.update(f"{self._note}{len(matching):,} of {len(items):,}" if self.sought else self._note)

    def note_search(self, note: str) -> None:
        """Show `note` beside the number of matches: what is still being read."""
        self._note = note
        self._show_count(self._shown())

    def _fill(self) -> None:
        lines, shown, key = self.lines, self._shown(), self.selected
        index = lines.highlighted or 0
        scroll = lines.scroll_y
        self._show_count(shown)
        options = [Option(row.content, id=row.key, disabled=row.is_heading) for row in shown]
        if not options:
            text = self._empty if self._shown_once else "reading …"
            if self._rows:
                text = f"nothing matches '{self._filter}'; esc clears"
            options = [Option(Content.styled(text, "dim"), disabled=True)]
        lines.set_options(options)
        if shown:
            same = next((i for i, row in enumerate(shown) if row.key == key), None)
            lines.highlighted = _nearest(shown, index) if same is None else same
            lines.scroll_to(y=scroll, animate=False)

    @on(Lines.Resized)
    def _resized(self, event: Lines.Resized) -> None:
        event.stop()
        if max(0, self.lines.size.width - SCROLLBAR) != self._width:
            self._rebuild()
        self.lines.scroll_to_highlight()  # the cursor may be below the last visible line now

    # -- find

    async def action_filter(self) -> None:
        """Focus the search field. It is created on first use, since most lists are never searched."""
        if not self.query(Input):
            line = Horizontal(FindField(self._filter, placeholder="find"), Static(classes="count", markup=False))
            await self.mount(line.add_class("find"))
            self.post_message(self.FindStarted(self))
        self.screen.set_focus(self.query_one(Input))

    @on(Input.Changed)
    def _filtered(self, event: Input.Changed) -> None:
        event.stop()
        self._filter = event.value
        if self._find_timer is not None:
            self._find_timer.stop()
        if len(self._rows) <= FEW:
            self._rebuild()  # the builder may show parts of rows that it shows only while they are sought
        else:
            self._find_timer = self.set_timer(FIND_PAUSE, self._rebuild)

    @on(Input.Submitted)
    def _accepted(self, event: Input.Submitted) -> None:
        event.stop()
        self.lines.focus()
        if not event.value:
            self.query(".find").remove()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let escape end the search, and otherwise close the screen. On a screen that copies its text, y does that."""
        if action in ("copy_item", "copy_list"):
            return not hasattr(self.screen, "action_copy")
        return bool(self.query(Input)) if action == "clear_filter" else super().check_action(action, parameters)

    def action_clear_filter(self) -> None:
        self._filter = ""
        self.lines.focus()
        self.query(".find").remove()
        self._rebuild()

    # -- copying

    def action_copy_item(self) -> None:
        row = next((row for row in self._rows if row.key == self.selected), None)
        if row is not None:
            self.post_message(self.CopyWanted(row.copied or row.key, complete=False))

    def action_copy_list(self) -> None:
        self.post_message(self.CopyWanted(self.text, complete=True))

    # -- messages to the parent

    @on(OptionList.OptionHighlighted)
    def _cursor_moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.post_message(self.Moved(self))

    @on(OptionList.OptionSelected)
    def _opened(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_id is not None:
            self.post_message(self.Opened(self, event.option_id))


def fitted(text: str, width: int) -> str:
    """Return `text` in exactly `width` columns, cut with an ellipsis or padded with spaces."""
    if width <= 0:
        return ""
    return set_cell_size(text, width - 1) + "…" if cell_len(text) > width else set_cell_size(text, width)


def _nearest(rows: Sequence[Row], index: int) -> int:
    """Return the index of the row at `index` or after it, or else before it, that is no heading."""
    allowed = [number for number, row in enumerate(rows) if not row.is_heading] or [0]
    return next((number for number in allowed if number >= index), allowed[-1])


def end_of(text: str, width: int) -> str:
    """Return `text` in at most `width` columns. If it is longer, its end is shown: of a path, the file's name."""
    if cell_len(text) <= width:
        return text
    start = next((at for at in range(len(text)) if cell_len(text[at:]) < width), len(text))
    return f"…{text[start:]}" if width > 0 else ""
