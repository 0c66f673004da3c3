"""The base classes of the four panes: a number, a title that shows the pane's state, and the folding to that title."""

from __future__ import annotations

from textual.containers import Vertical
from textual.widget import Widget

from magetui.tui.widgets.rows import Rows


class Pane(Vertical):
    """A titled pane. A folded pane shows only its title, so the title has the most important fact."""

    NUMBER = 0
    NAME = ""
    ABOUT = ""

    def on_mount(self) -> None:
        self.show_title("")

    def show_title(self, state: str) -> None:
        """Show `state`, a few words, in the title."""
        title = f"{self.NUMBER} {self.NAME}"
        self.border_title = f"{title} · {state}".replace("[", r"\[") if state else title

    def focus_content(self) -> None:
        """Give the pane's main widget the focus."""
        self.focus_target().focus()

    def focus_target(self) -> Widget:
        """Return the widget that takes the focus of the pane."""
        raise NotImplementedError

    @property
    def text(self) -> str:
        """The pane's content as plain text."""
        raise NotImplementedError


class RowsPane(Pane):
    """A pane that contains one list. The subclass yields the list in `compose`."""

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    def focus_target(self) -> Widget:
        return self.rows.lines

    @property
    def text(self) -> str:
        return self.rows.text
