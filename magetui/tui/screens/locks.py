"""The locks screen: the wait queue as a tree, read again while the screen is in front, and keys that end a blocker.

Reading the sessions costs a server that is in trouble already. So the pause after a reading grows with the time that
the reading took, and nothing is read while another screen covers this one.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

from textual import on, work
from textual.binding import Binding
from textual.events import ScreenSuspend, Unmount
from textual.widgets import Static
from textual.worker import Worker, get_current_worker

from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.tui.engine_loader import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.widgets.sessions import SessionRows

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.engine.sessions.listing import Poll

AGAIN_SECONDS = 2.0  # the pause after a reading that failed
PULSE_SECONDS = 0.2  # how soon a worker notices that the screen was left


class LocksScreen(OverScreen):
    NAME = "Locks"
    ABOUT = (
        "The other sessions of this database. Each waiter is below its blocker, and the session that blocks most comes "
        "first. 'waits for': the session above holds the lock. 'queues behind': the session above waits for the lock "
        "too, but earlier. Enter shows every fact about a session. c cancels its query, t ends it; both ask first. The "
        "list is read again every second, or less often if reading takes long."
    )
    BINDINGS = [Binding("r", "again", "Read again", tooltip="read the sessions now")]

    def __init__(self) -> None:
        super().__init__()
        self._wake = threading.Event()
        self._looking: Worker[None] | None = None

    def compose_body(self) -> ComposeResult:
        yield Static(id="unread", markup=False)
        yield SessionRows(id="session-rows", empty="no other sessions")

    def on_mount(self) -> None:
        self.entitle((" Locks", STRONG), f"   {self.magetui.database_label}")
        self.query_one("#unread").display = False
        self.query_one(SessionRows).focus_lines()

    # -- reading

    def on_screen_resume(self) -> None:
        self._wake = threading.Event()  # a new event for each worker, since the last worker may not have ended yet
        self._looking = self._look(self._wake)

    @on(ScreenSuspend)
    @on(Unmount)
    def _stop_looking(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            self._wake.set()

    @work(thread=True, exclusive=True, group="sessions", exit_on_error=False)
    def _look(self, wake: threading.Event) -> None:
        """Read the sessions again and again until the screen is left or covered. Show a failure, and try again."""
        load_engine()
        from magetui.engine.sessions import listing

        worker = get_current_worker()
        while not worker.is_cancelled:
            try:
                with closing(listing.poll_sessions(self.magetui.open_workspace())) as looks:
                    for look in looks:
                        if worker.is_cancelled:
                            return
                        self.call_later(self._looked, look)
                        _pause(worker, wake, look.rest)
                        if worker.is_cancelled:
                            return
            except MagetuiError as error:
                self.call_later(self._failed, error.message)
                _pause(worker, wake, AGAIN_SECONDS)

    def _switch(self, *, to_rows: bool) -> None:
        """Show the sessions, or the reason why they could not be read. Old sessions are hidden, as they may be gone."""
        rows, unread = self.query_one(SessionRows), self.query_one("#unread")
        if to_rows and not rows.display:
            self.call_after_refresh(rows.focus_lines)
        elif not to_rows and rows.has_focus_within:
            self.set_focus(None)  # the keys of a hidden list must not act
        rows.display, unread.display = to_rows, not to_rows

    def _failed(self, problem: str) -> None:
        self.entitle((" Locks", STRONG), ("   not read", WARNING), (f"   {self.magetui.database_label}", QUIET))
        sentences = f"{formats.plain(self.magetui.advise(problem))}\nmagetui tries again every {AGAIN_SECONDS:g} s."
        self.query_one("#unread", Static).update(sentences)
        self._switch(to_rows=False)

    def _looked(self, look: Poll) -> None:
        self._switch(to_rows=True)
        waiting = sum(bool(session.blocked_by) for session in look.sessions)
        interval = f"   read every {look.rest:.0f} s" if look.rest >= 2 else ""
        self.entitle(
            (" Locks", STRONG),
            f"   {len(look.sessions)} {'session' if len(look.sessions) == 1 else 'sessions'}, {waiting} waiting",
            (f"{interval}   {self.magetui.database_label}", QUIET),
        )
        self.query_one(SessionRows).show_sessions(look.sessions)

    @on(SessionRows.Signalled)
    def action_again(self) -> None:
        self._wake.set()


def _pause(worker: Worker[None], wake: threading.Event, seconds: float) -> None:
    """Wait for `seconds`, or until the worker is cancelled or `wake` is set."""
    until = time.monotonic() + seconds
    while not worker.is_cancelled and (left := until - time.monotonic()) > 0:
        if wake.wait(min(left, PULSE_SECONDS)):
            wake.clear()
            return
