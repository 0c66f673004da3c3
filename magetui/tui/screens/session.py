"""One session in full, and the question before its query is cancelled or the session is ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from magetui.text import formats
from magetui.text.consent import signal_consent, signal_losses, signal_question
from magetui.tui.screens.base import OverScreen, TextScreen
from magetui.tui.theme import STRONG, WARNING
from magetui.tui.widgets.consent import ConsentForm
from magetui.tui.widgets.session_detail import facts

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.model.plan import SignalAction
    from magetui.model.sessions import Session

# No letter is a key on a screen that asks.
SCROLL_KEYS = (
    Binding("down", "scroll('down')", "Down", show=False),
    Binding("up", "scroll('up')", "Up", show=False),
    Binding("pagedown", "scroll('page_down')", "Page down", show=False),
    Binding("pageup", "scroll('page_up')", "Page up", show=False),
)
LABELS: Mapping[SignalAction, str] = {"cancel": "Cancel query", "terminate": "End session"}


class SessionScreen(TextScreen):
    NAME = "Session"
    ABOUT = "One session at the moment when you opened it: its user and client, its locks on tables, its query."

    def __init__(self, session: Session) -> None:
        super().__init__(f"Session {session.pid}", Content("\n").join(facts(session)))


class ConsentScreen(OverScreen):
    """Ask whether to act on a session. Only a consent calls `consented`."""

    NAME = "Consent"
    ABOUT = (
        "The session whose query would be cancelled, or that would be ended, and what its user loses. If it has "
        "uncommitted work, or the database is a production database, type its pid and press enter. Otherwise enter on "
        "the button does it. Escape leaves the session alone. magetui acts only on this session, never on a later one "
        "with the same pid."
    )
    BINDINGS = [*SCROLL_KEYS]

    def __init__(self, session: Session, action: SignalAction, consented: Callable[[], None]) -> None:
        super().__init__()
        self._session = session
        self._action: SignalAction = action
        self._consented = consented

    def compose_body(self) -> ComposeResult:
        losses = "\n".join(map(formats.plain, signal_losses(self._session, self._action)))
        with VerticalScroll():
            yield Static(Content.styled(losses, WARNING), id="loss", markup=False)
            yield Static(Content("\n").join(facts(self._session)), markup=False)
        yield ConsentForm(LABELS[self._action], id="consent")

    def on_mount(self) -> None:
        question = signal_question(self._action, self._session)
        self.entitle((f" {question}", STRONG), f"   {self.magetui.database_label}")
        self.query_one(ConsentForm).ask(signal_consent(self._action, self._session, self.magetui.named))

    @on(ConsentForm.Given)
    def _given(self) -> None:
        self.dismiss(None)
        self._consented()
