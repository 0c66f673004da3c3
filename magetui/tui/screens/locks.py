"""The locks screen: who waits for whom, refreshed while it is looked at, and ending what is in the way.

Looking costs a server that is in trouble already, so the more a look took, the longer it is left alone afterwards; and
nobody looks while the screen is covered.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Footer, Static
from textual.worker import Worker, get_current_worker

from magetui.tui.loading import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.widgets.sessions import SessionRows

if TYPE_CHECKING:
    from magetui.engine.sessions.listing import Poll

AGAIN_SECONDS = 2.0  # after a look that failed
PULSE_SECONDS = 0.2  # how soon a thread notices that nobody looks any more


class LocksScreen(OverScreen):
    """The other sessions of the database as a tree."""

    NAME = "Locks"
    ABOUT = (
        "The other sessions of this database: each waiting one stands under the one it waits for, those in the way of "
        "most first. 'waits for' means that the one above holds what it needs; 'queues behind', that the one above "
        "only stands before it in the queue. Enter shows all of a session. c cancels its query, t ends it; both ask "
        "first. The list is read again every second while you look, more rarely where that is much work."
    )
    BINDINGS = [
        Binding("r", "again", "Read again", tooltip="read the sessions now"),
    ]

    class Looked(Message):
        """The sessions were read, or could not be."""

        def __init__(self, look: Poll | None, problem: str = "") -> None:
            self.look = look
            self.problem = problem
            super().__init__()

    def __init__(self) -> None:
        super().__init__()
        self._wake = threading.Event()
        self._looking: Worker[None] | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Static(id="unread", markup=False)
        yield SessionRows(id="session-rows", empty="no other sessions")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.entitle((" Locks", STRONG), f"   {self.magetui.place}")
        self.query_one("#unread").display = False
        self.query_one(SessionRows).focus_lines()

    # -- looking

    def on_screen_resume(self) -> None:
        self._wake = threading.Event()  # this worker's own: the one before may still be about to end
        self._looking = self._look(self._wake)

    def on_screen_suspend(self) -> None:
        self._stop_looking()

    def on_unmount(self) -> None:
        self._stop_looking()

    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._wake.set()

    @work(thread=True, exclusive=True, group="sessions", exit_on_error=False)
    def _look(self, wake: threading.Event) -> None:
        """Look until the screen is left or covered; what goes wrong is told, and tried again."""
        load_engine()
        from magetui.engine.errors import MagetuiError
        from magetui.engine.sessions import listing

        worker = get_current_worker()
        while not worker.is_cancelled:
            try:
                with closing(listing.poll_sessions(self.magetui.open_workspace())) as looks:
                    for look in looks:
                        if worker.is_cancelled:
                            return
                        self.post_message(self.Looked(look))
                        _leave_alone(worker, wake, look.rest)
                        if worker.is_cancelled:
                            return
            except MagetuiError as error:
                self.post_message(self.Looked(None, error.message))
                _leave_alone(worker, wake, AGAIN_SECONDS)

    def _tell_read(self, *, read: bool) -> None:
        """Show the sessions, or why they could not be read; none that were read before, which may be gone."""
        rows, unread = self.query_one(SessionRows), self.query_one("#unread")
        if read and not rows.display:
            self.call_after_refresh(rows.focus_lines)
        elif not read and rows.has_focus_within:
            self.set_focus(None)  # the keys of a list that is not seen are not to act
        rows.display, unread.display = read, not read

    def on_locks_screen_looked(self, message: Looked) -> None:
        from magetui.text import formats

        look = message.look
        if look is None:
            self.entitle((" Locks", STRONG), ("   not read", WARNING), (f"   {self.magetui.place}", QUIET))
            self.query_one("#unread", Static).update(
                f"{formats.plain(message.problem)}\nIt is tried again every {AGAIN_SECONDS:g} s."
            )
            self._tell_read(read=False)
            return
        self._tell_read(read=True)
        waiting = sum(bool(session.blocked_by) for session in look.sessions)
        seldom = f"   read every {look.rest:.0f} s" if look.rest >= 2 else ""
        self.entitle(
            (" Locks", STRONG),
            f"   {len(look.sessions)} {'session' if len(look.sessions) == 1 else 'sessions'}, {waiting} waiting",
            (f"{seldom}   {self.magetui.place}", QUIET),
        )
        self.query_one(SessionRows).show_sessions(look.sessions)

    @on(SessionRows.Signalled)
    def action_again(self) -> None:
        self._wake.set()


def _leave_alone(worker: Worker[None], wake: threading.Event, seconds: float) -> None:
    """Wait, or until somebody wants to know at once."""
    until = time.monotonic() + seconds
    while not worker.is_cancelled and (left := until - time.monotonic()) > 0:
        if wake.wait(min(left, PULSE_SECONDS)):
            wake.clear()
            return
