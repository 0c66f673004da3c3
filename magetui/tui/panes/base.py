"""The base classes of the four panes: a number, a title that shows the pane's state, and the folding to that title."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message

from magetui.text import formats
from magetui.tui.shell import shell_of
from magetui.tui.theme import QUIET
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, Rows

PROBLEM = "problem:"


class Pane(Vertical):
    """A titled pane. A folded pane shows only its title, so the title has the most important fact."""

    NUMBER = 0
    NAME = ""
    ABOUT = ""

    class Clicked(Message):
        """The mouse was clicked on the pane or its title."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def on_click(self) -> None:
        self.post_message(self.Clicked(self.NUMBER))

    def on_mount(self) -> None:
        self.show_title("")

    def show_title(self, state: str) -> None:
        """Show `state`, a few words, in the title."""
        title = f"{self.NUMBER} {self.NAME}"
        self.border_title = f"{title} · {state}".replace("[", r"\[") if state else title

    def focus_content(self) -> None:
        """Give the pane's main widget the focus."""

    @on(Rows.CopyWanted)
    def _copy_pane(self, message: Rows.CopyWanted) -> None:
        """Copy more than the list, if the pane has more."""
        if message.complete:
            message.text = self.text

    @property
    def text(self) -> str:
        """The pane's content as plain text."""
        raise NotImplementedError


class RowsPane(Pane):
    """A pane that contains one list."""

    EMPTY = ""  # what the list shows if it has no rows

    def __init__(self, id: str, rows_id: str) -> None:
        super().__init__(id=id)
        self._rows_id = rows_id

    def compose(self) -> ComposeResult:
        yield Rows(id=self._rows_id, empty=self.EMPTY)

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    def focus_content(self) -> None:
        self.rows.focus_lines()

    @property
    def text(self) -> str:
        return self.rows.text

    def show_reading(self) -> None:
        """Forget the rows, because another database is being read."""
        self.show_title("reading …")
        self.rows.forget()

    def show_problem(self, message: str) -> None:
        self.show_title("not read")
        message = shell_of(self).advise(formats.one_line(message))
        self.rows.show(lambda width: [wrapped_row(f"{PROBLEM}read", message, hanging("", message, width, QUIET))])


def wrapped_row(key: str, text: str, lines: list[Content], copied: str = "") -> Row:
    """Return a row of several lines, since a list cuts each line at the right edge. Find searches `text`."""
    return Row(key, Content("\n").join(lines), text, copied or formats.plain(text))
