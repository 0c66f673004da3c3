"""One session in full: to be looked at, and to be asked about before it is cancelled or ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Static

from magetui.text.consent import QUESTION, signal_consent
from magetui.tui.screens.details import ScrolledScreen
from magetui.tui.theme import STRONG, WARNING
from magetui.tui.widgets.question import CHOICE
from magetui.tui.widgets.sessions import facts

if TYPE_CHECKING:
    from magetui.model.plan import SignalAction
    from magetui.model.sessions import Session


class SessionScreen(ScrolledScreen):
    """Everything that is known of a session."""

    NAME = "Session"
    ABOUT = "One session of the database as it was when you opened it: who it is, all locks that it holds, its query."

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with VerticalScroll():
            yield Static(Content("\n").join(facts(self._session)), markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.entitle((f" Session {self._session.pid}", STRONG))


class ConsentScreen(ScrolledScreen):
    """Asks whether to act on a session; `consented` is called for a yes, and for nothing else."""

    NAME = "Consent"
    ABOUT = (
        "Which session is about to be cancelled or ended, and what that costs whoever uses it. y does it. Anything "
        "else leaves the session alone: n, enter, escape. It is done only to this very session, not to another one "
        "that has been given its number in the meantime."
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

    def compose(self) -> ComposeResult:
        from magetui.engine.sessions import signals

        yield Static(id="title", markup=False)
        yield Static(
            Content.styled(signals.consequences(self._session, self._action), WARNING), id="loss", markup=False
        )
        with VerticalScroll():
            yield Static(Content("\n").join(facts(self._session)), markup=False)
        yield Static(f"{QUESTION} {CHOICE}", id="question", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        question = signal_consent(self._action, self._session.pid, None).prompt
        self.entitle((f" {question}", STRONG), f"   {self.magetui.place}")

    def action_refuse(self) -> None:
        self.action_close()

    def action_consent(self) -> None:
        self.dismiss(None)
        self._consented()
