"""One session in full, and the question before its query is cancelled or the session is ended."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from magetui.model.plan import SignalAction
from magetui.model.sessions import Session
from magetui.text.consent import QUESTION, signal_consent
from magetui.tui.screens.base import ScrolledScreen, TextScreen
from magetui.tui.theme import STRONG, WARNING
from magetui.tui.widgets.question import CHOICE
from magetui.tui.widgets.sessions import facts


class SessionScreen(TextScreen):
    NAME = "Session"
    ABOUT = "One session at the moment when you opened it: its user and client, every lock that it holds, its query."

    def __init__(self, session: Session) -> None:
        super().__init__(f"Session {session.pid}", Content("\n").join(facts(session)))


class ConsentScreen(ScrolledScreen):
    """Ask whether to act on a session. Only a yes calls `consented`."""

    NAME = "Consent"
    ABOUT = (
        "The session whose query would be cancelled, or that would be ended, and what its user loses. y does it. n, "
        "enter and escape leave the session alone. magetui acts only on this session, never on a later one with the "
        "same pid."
    )
    BINDINGS = [
        Binding("y", "consent", "Yes", tooltip="do it"),
        Binding("n,enter", "refuse", "No", tooltip="leave the session alone"),
    ]

    def __init__(self, session: Session, action: SignalAction, consented: Callable[[], None]) -> None:
        super().__init__()
        self._session = session
        self._action: SignalAction = action
        self._consented = consented

    def compose_body(self) -> ComposeResult:
        from magetui.engine.sessions import signals

        yield Static(
            Content.styled(signals.consequences(self._session, self._action), WARNING), id="loss", markup=False
        )
        with VerticalScroll():
            yield Static(Content("\n").join(facts(self._session)), markup=False)
        yield Static(f"{QUESTION} {CHOICE}", id="question", markup=False)

    def on_mount(self) -> None:
        question = signal_consent(self._action, self._session.pid, None).prompt
        self.entitle((f" {question}", STRONG), f"   {self.magetui.database_label}")

    def action_consent(self) -> None:
        self.dismiss(None)
        self._consented()
