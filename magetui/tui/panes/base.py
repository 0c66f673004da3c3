"""What the four panes have in common: a number, a title that tells their state, and folding to that title.

Three of the four are a list besides.
"""

from __future__ import annotations

from textual.containers import Vertical
from textual.widget import Widget

from magetui.tui.widgets.rows import Rows


class Pane(Vertical):
    """A titled pane. Folded, only its title is left, so the title says what matters."""

    NUMBER = 0
    NAME = ""
    ABOUT = ""

    def on_mount(self) -> None:
        self.tell_state("")

    def tell_state(self, state: str) -> None:
        """Show `state` in the title, in few words."""
        title = f"{self.NUMBER} {self.NAME}"
        self.border_title = f"{title} · {state}".replace("[", r"\[") if state else title

    def focus_content(self) -> None:
        """Give the pane's main widget the focus."""
        self.focus_target().focus()

    def focus_target(self) -> Widget:
        raise NotImplementedError

    @property
    def text(self) -> str:
        """What the pane shows, as plain text."""
        raise NotImplementedError


class RowsPane(Pane):
    """A pane that is one list, which it yields when it is composed."""

    @property
    def rows(self) -> Rows:
        return self.query_one(Rows)

    def focus_target(self) -> Widget:
        return self.rows.lines

    @property
    def text(self) -> str:
        return self.rows.text
