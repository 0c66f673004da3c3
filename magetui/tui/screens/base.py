"""What every screen over the main one has in common: a title line, a footer, escape to leave.

On a terminal that is too small to show what is asked, nothing can be answered: keys rest until it is larger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.events import Mount, Resize, ScreenResume
from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from magetui.tui.loading import load_engine
from magetui.tui.shell import shell_of
from magetui.tui.theme import PRODUCTION

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget
    from magetui.tui.shell import Shell

TINY = "tiny"  # the class of a screen that has too little room
TOO_NARROW, TOO_SHORT = 50, 12


def is_tiny(size: Size) -> bool:
    """Whether there is too little room to see what a key would do."""
    return size.width < TOO_NARROW or size.height < TOO_SHORT


def rests(screen: Screen[Any], action: str) -> bool:
    """Whether an action is not to be done now, since its screen has no room to show what it is about."""
    return screen.has_class(TINY) and action.partition("(")[0] not in getattr(screen, "WHILE_TINY", ())


def emphasised(title: Content, named: NamedTarget | None) -> Content:
    """A title in which the mark of a production database is seen."""
    called = named.called if named is not None and named.production else ""
    at = title.plain.find(called) if called else -1
    return title.stylize(PRODUCTION, at, at + len(called)) if at >= 0 else title


class OverScreen(Screen[None]):
    """A full screen on top of the main one."""

    BINDINGS = [Binding("escape", "close", "Close"), Binding("q", "close", "Close", show=False)]
    NAME = ""
    ABOUT = ""
    WHILE_TINY: ClassVar[frozenset[str]] = frozenset({"close", "quit"})  # the actions that go on
    TOO_SMALL = "Too small to show this: make it 50 by 12 or larger. Until then, esc goes back and no other key acts."

    def __init__(self) -> None:
        super().__init__()
        load_engine()  # what it shows is the engine's; a key of the first second waits for that
        self._focused_before: Widget | None = None

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        self.magetui.tell_unforeseen(event)

    @property
    def magetui(self) -> Shell:
        """The app, by its own type."""
        return shell_of(self)

    def action_close(self) -> None:
        self.dismiss(None)

    @on(Mount)
    def _clear_notices(self) -> None:
        self.app.clear_notifications()  # they were of another screen, and would cover this one

    # -- too little room

    @on(Resize)
    @on(ScreenResume)  # the size may have changed while another screen was in front
    def _fit(self) -> None:
        tiny = is_tiny(self.app.size)
        if tiny == self.has_class(TINY):
            return
        self.set_class(tiny, TINY)
        if tiny:
            self._focused_before = self.focused
            self.set_focus(None)
        for child in self.children:
            child.disabled = tiny  # so that it cannot have the focus, and nothing is typed into it
        if tiny:
            self.mount(Static(self.TOO_SMALL, classes="too-small", markup=False))
            return
        self.query(".too-small").remove()
        if self._focused_before in self.focus_chain:  # it may have been taken away meanwhile
            self.set_focus(self._focused_before)

    def entitle(self, *parts: str | tuple[str, str]) -> None:
        """Set the title line."""
        self.query_one("#title", Static).update(emphasised(Content.assemble(*parts), self.magetui.named))
