"""The base classes of every screen over the main one: a title line, a footer, and escape to close."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Mount, Resize, ScreenResume, ScreenSuspend
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import Worker

from magetui.tui.engine_loader import load_engine
from magetui.tui.shell import TINY, Shell, is_tiny, shell_of
from magetui.tui.theme import OTHER_SHEETS, PRODUCTION, STRONG
from magetui.tui.verb_keys import VERB_KEYS, WAYS_OUT, action_of
from magetui.tui.widgets.key_bar import KeyBar
from magetui.tui.widgets.scroll import END_KEYS, LINE_KEYS, PAGE_KEYS
from magetui.verbs import verb

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.widget import Widget

    from magetui.config.targets import NamedTarget

FRESH_SECONDS = 0.5  # a screen that comes back to the front reads again if its facts are older


def with_production_mark(title: Content, named: NamedTarget | None) -> Content:
    """Return the title with the name of a production database in reverse video."""
    called = named.called if named is not None and named.production else ""
    at = title.plain.find(called) if called else -1
    return title.stylize(PRODUCTION, at, at + len(called)) if at >= 0 else title


class OverScreen(Screen[None]):
    """A full screen on top of the main one. A subclass yields what is between the title and the footer."""

    BINDINGS = [Binding("escape", "close", "Close"), Binding("q", "close", "Close", show=False)]
    NAME = ""
    ABOUT = ""
    TELLS_VERDICT = False  # whether the screen shows how the schema compares, so that no notice has to cover it
    CSS_PATH = [*OTHER_SHEETS]
    SCROLLED = "VerticalScroll"  # the selector of the widget that the scroll keys move
    WHILE_TINY: ClassVar[frozenset[str]] = frozenset({"close", "quit"})  # actions that need no room
    TOO_SMALL = (
        "Too small to show this screen: make it 50 by 12 or larger. Until then, esc closes the screen and no other key "
        "acts."
    )

    def __init__(self) -> None:
        super().__init__()
        load_engine()  # the screen shows the engine's answers; a key in the first second waits for the engine
        self._focused_before: Widget | None = None
        self._read_at = time.monotonic()
        self._was_covered = False

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield from self.compose_body()
        yield KeyBar(lambda: self.named_keys)

    @property
    def named_keys(self) -> tuple[str, ...]:
        """The ids of the bindings that the screen's text names. The base class shows none."""
        return ()

    def compose_body(self) -> ComposeResult:
        """Yield the widgets between the title and the footer."""
        raise NotImplementedError

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        self.magetui.show_unexpected_error(event)

    @property
    def magetui(self) -> Shell:
        """The app, typed as the shell."""
        return shell_of(self)

    def too_small(self) -> str:
        """Return what a terminal that is too small shows instead of the screen."""
        return self.TOO_SMALL

    def entitle(self, *parts: str | tuple[str, str]) -> None:
        title = with_production_mark(Content.assemble(*parts), self.magetui.named)
        self.query_one("#title", Static).update(title)

    def action_close(self) -> None:
        self.dismiss(None)

    async def action_verb(self, name: str) -> None:
        """Close this screen, and start a verb on the main screen."""
        self.magetui.show_main()
        await self.magetui.run_action(action_of(verb(name)))

    async def action_trust(self) -> None:
        """Close this screen, and ask on the main one whether the project is trusted."""
        self.magetui.show_main()
        await self.magetui.run_action("app.trust")

    async def action_elsewhere(self) -> None:
        """Close this screen, and ask on the main one for another database."""
        self.magetui.show_main()
        await self.magetui.run_action("app.connect")

    async def action_revisions(self) -> None:
        """Close this screen, and go to the revisions of the main one."""
        self.magetui.show_main()
        await self.magetui.run_action("screen.pane(2)")

    def action_scroll(self, direction: str) -> None:
        getattr(self.query_one(self.SCROLLED), f"scroll_{direction}")(animate=False)

    @on(Mount)
    def _clear_notices(self) -> None:
        self.app.clear_notifications()  # they are from another screen and would cover this one

    # -- coming back to the front

    def mark_read(self) -> None:
        """Note that the screen shows the present state."""
        self._read_at = time.monotonic()

    def read_again(self) -> None:
        """Read the facts of the screen again. The base class has none."""

    @on(ScreenSuspend)
    def _note_cover(self) -> None:
        self._was_covered = True

    @on(ScreenResume)
    def _come_back(self) -> None:
        if not self._was_covered or self.app.screen is not self:
            return
        self._was_covered = False
        self._bring_forms_into_view()
        if time.monotonic() - self._read_at > FRESH_SECONDS:
            self.read_again()

    def _bring_forms_into_view(self) -> None:
        from magetui.tui.widgets.consent import ConsentForm  # the main screen has none, and imports this module

        for form in self.query(ConsentForm):
            form.come_into_view()

    # -- a terminal that is too small

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
            child.disabled = tiny  # a disabled widget cannot have the focus, so nothing is typed into it
        if tiny:
            self.mount(Static(self.too_small(), classes="too-small", markup=False))
            return
        self.query(".too-small").remove()
        if self._focused_before in self.focus_chain:  # the widget may be gone
            self.set_focus(self._focused_before)
        self._bring_forms_into_view()

    def _show_too_small(self) -> None:
        """Show again what `too_small` says, because it has changed."""
        for notice in self.query(".too-small").results(Static):
            notice.update(self.too_small())


class ScrolledScreen(OverScreen):
    """A screen with a text to scroll."""

    BINDINGS = [*LINE_KEYS, *END_KEYS, *PAGE_KEYS, Binding("space", "scroll('page_down')", "Page down", show=False)]


class TextScreen(ScrolledScreen):
    NAME = "Text"
    ABOUT = "One text in full, for which the other screen has no room. The keys of the verbs work."
    BINDINGS = [*VERB_KEYS, *WAYS_OUT]

    def __init__(self, heading: str, text: Content) -> None:
        super().__init__()
        self._heading = heading
        self._text = text

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._text, id="text", markup=False)

    def on_mount(self) -> None:
        self.entitle((f" {self._heading}", STRONG))
