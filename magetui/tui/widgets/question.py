"""The question above the buttons of a change. It says what the next key does, since the focus is hard to see."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Static

from magetui.tui.theme import STRONG

CHOICE = "The default is no.   y yes   n no"


class Question(Static):
    """The question; while the screen's button `#yes` has the focus, what enter does."""

    def __init__(self) -> None:
        super().__init__(id="question", markup=False)
        self._asked = Content("")

    def on_mount(self) -> None:
        self.watch(self.screen, "focused", self._focus_moved)

    def ask(self, question: str, style: str = "") -> None:
        """Show `question`, a sentence. An empty text removes the last question."""
        self._asked = Content.styled(question, style) if style else Content(question)
        self._focus_moved(self.screen.focused)

    def _focus_moved(self, focused: Widget | None) -> None:
        if isinstance(focused, Button) and focused.id == "yes" and not focused.disabled:
            self.update(Content.styled(f"{focused.label}: press enter to do it, n not to.", STRONG))
        else:
            self.update(self._asked)
