"""Cancel a query or end a session from the screen: check that it is allowed, ask for consent, act, show the result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from magetui.engine.errors import MagetuiError
from magetui.tui.screens.session import ConsentScreen
from magetui.tui.theme import CRITICAL, WARNING
from magetui.tui.widgets.sessions import SessionRows

if TYPE_CHECKING:
    from magetui.model.plan import SignalAction
    from magetui.model.sessions import Session
    from magetui.tui.shell import Shell


def ask_to_signal(app: Shell, session: Session, action: SignalAction, rows: SessionRows) -> None:
    """Refuse with a sentence, or ask for consent and act. `rows` gets a message when the effect was read back."""
    _work(app, action, lambda: _check(app, session, action, rows))


def _work(app: Shell, name: str, work: Callable[[], None]) -> None:
    """Run the work in a worker of the app, since the operator may leave the screen before the work is done."""
    app.run_worker(work, name=name, group="signal", thread=True, exit_on_error=False)


def _check(app: Shell, session: Session, action: SignalAction, rows: SessionRows) -> None:
    """Refuse, or ask for consent. Runs in a worker, since a secret store may have to name the database."""
    from magetui.engine.sessions import signals

    try:
        refusal = signals.objection(app.open_workspace(), session, action)
    except MagetuiError as error:
        refusal = error.message

    def ask() -> None:
        if refusal is not None:
            app.notify(refusal, severity="warning", markup=False)
        elif rows.is_attached and rows.screen is app.screen:  # the operator is still here and was not asked yet
            consented = partial(_work, app, action, lambda: _signal(app, session, action, rows))
            app.push_screen(ConsentScreen(session, action, consented))

    app.call_from_thread(ask)


def _signal(app: Shell, session: Session, action: SignalAction, rows: SessionRows) -> None:
    from magetui.engine.sessions import signals

    try:
        signalled = signals.signal_session(app.open_workspace(), session, action)
        settled, message = signalled.settled, signalled.message
    except MagetuiError as error:
        settled, message = False, error.message

    def show() -> None:
        app.note(
            "end" if action == "terminate" else action,
            message,
            style="" if settled else CRITICAL if settled is False else WARNING,
        )
        app.notify(message, severity="information" if settled else "warning", markup=False)
        rows.post_message(SessionRows.Signalled())

    app.call_from_thread(show)
