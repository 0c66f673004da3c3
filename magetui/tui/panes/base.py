"""What the four panes have in common: a number, a title that tells their state, and folding to that title."""

from __future__ import annotations

from textual.containers import Vertical
from textual.widget import Widget


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
