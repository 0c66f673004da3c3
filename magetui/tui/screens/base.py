"""What every screen over the main one has in common: a title line, a footer, escape to leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import Worker

from magetui.tui.loading import load_engine
from magetui.tui.theme import PRODUCTION

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget
    from magetui.tui.app import MagetuiApp


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

    def __init__(self) -> None:
        super().__init__()
        load_engine()  # what it shows is the engine's; a key of the first second waits for that

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        self.magetui.tell_unforeseen(event)

    @property
    def magetui(self) -> MagetuiApp:
        """The app, by its own type."""
        return cast("MagetuiApp", self.app)

    def action_close(self) -> None:
        self.dismiss(None)

    def entitle(self, *parts: str | tuple[str, str]) -> None:
        """Set the title line."""
        self.query_one("#title", Static).update(emphasised(Content.assemble(*parts), self.magetui.named))
