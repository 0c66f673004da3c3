"""The locks screen: the wait queue as a tree, the selected session in full, and keys that end a blocker.

The sessions are read again while the screen is in front.

Reading the sessions costs a server that is in trouble already. So the pause after a reading grows with the time that
the reading took, and nothing is read while another screen covers this one.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import on, work
from textual.binding import Binding
from textual.content import Content
from textual.events import Resize, ScreenSuspend, Unmount
from textual.widgets import Static
from textual.worker import Worker, get_current_worker

from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.tui.engine_loader import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.verb_keys import WAYS_OUT
from magetui.tui.widgets.bars import sparkline
from magetui.tui.widgets.rows import Rows
from magetui.tui.widgets.session_columns import WAITING, key_of, short_age, state_of
from magetui.tui.widgets.session_detail import detail_lines
from magetui.tui.widgets.sessions import SessionRows
from magetui.tui.widgets.stable_text import StableText

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.engine.sessions.listing import Poll
    from magetui.engine.sessions.tree import RootOrder
    from magetui.model.sessions import Session

AGAIN_SECONDS = 2.0  # the pause after a reading that failed
PULSE_SECONDS = 0.2  # how soon a worker notices that the screen was left
READINGS = 20  # of which the title shows how many sessions waited
READINGS_NARROW = 8
WIDE = 100  # columns from which the title shows all readings
LEAST_HEIGHT = 16  # rows; with fewer, the list has them all
ORDERS: dict[RootOrder, str] = {"blocks": "blocks", "transaction": "txn", "pid": "pid"}  # and their names in the title


class LocksScreen(OverScreen):
    NAME = "Locks"
    ABOUT = (
        "The other sessions of this database. Each waiter is below its blocker, in the order in which the server "
        "serves them. TXN is the age of the transaction, WAIT the time of the wait, BLOCKS the number of sessions that "
        "wait behind a session, LOCK what it waits for, or else holds. '(queued)': the session above waits for the "
        "lock too, but earlier. SINCE, on a narrow screen, is WAIT or else TXN. The bars at the end of the title "
        "show how many sessions waited at the last readings. Enter shows every fact about a session. C cancels its "
        "query, K ends it; both ask first. The list is read again every second, or less often if reading takes long."
    )
    BINDINGS = [
        Binding("o", "sort", "Sort", tooltip="sort the blockers by sessions blocked, age of the transaction, or pid"),
        Binding("r", "again", "Read again", tooltip="read the sessions now"),
        *WAYS_OUT,
    ]

    def __init__(self, prefer: Collection[int] = ()) -> None:
        super().__init__()
        self._prefer = frozenset(prefer)  # the sessions that a plan or a run waits for: the cursor starts on one
        self._wake = threading.Event()
        self._looking: Worker[None] | None = None
        self._order: RootOrder = "blocks"
        self._detail_title = ""
        self._look_shown: Poll | None = None
        self._waiting: deque[int] = deque(maxlen=READINGS)  # sessions that waited, by reading

    def compose_body(self) -> ComposeResult:
        yield Static(id="unread", markup=False)
        yield SessionRows(id="session-rows", empty="no other sessions")
        yield StableText(id="session-detail")

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
        self._show_detail()

    def _failed(self, problem: str) -> None:
        self.entitle((" Locks", STRONG), ("   not read", WARNING), (f"   {self.magetui.database_label}", QUIET))
        sentences = f"{formats.plain(self.magetui.advise(problem))}\nmagetui tries again every {AGAIN_SECONDS:g} s."
        self.query_one("#unread", Static).update(sentences)
        self._switch(to_rows=False)

    def _looked(self, look: Poll) -> None:
        self._look_shown = look
        self._waiting.append(sum(state_of(session) == WAITING for session in look.sessions))
        self._switch(to_rows=True)
        self._show()
        wanted = next((session for session in look.sessions if session.pid in self._prefer), None)
        if wanted is not None:
            self._prefer = frozenset()
            self.query_one(SessionRows).select(key_of(wanted))

    # -- showing

    def _show(self) -> None:
        if self._look_shown is None:
            return
        rows = self.query_one(SessionRows)
        rows.show_sessions(self._look_shown.sessions, order=self._order)
        self._show_title()
        self._show_detail()

    def _show_title(self) -> None:
        """Show the numbers, and the database and the history of waiting sessions if there is room."""
        look, named, width = self._look_shown, self.magetui.named, self.size.width
        if look is None:
            return
        label = f"  {formats.plain(self.magetui.database_label)}"
        is_production = named is not None and named.production
        numbers = title_numbers(look.sessions, self.query_one(SessionRows).root_blockers)
        order = f"  sort: {ORDERS[self._order]}" if look.sessions else ""
        text = f"{label if is_production else ''}{numbers}{order}"
        history = "  " + sparkline(list(self._waiting), READINGS_NARROW) if any(self._waiting) else ""
        if width >= WIDE and history:
            history = "  waiting " + sparkline(list(self._waiting), READINGS)
        every = f"  every {look.rest:.0f} s" if look.rest >= 2 else ""
        room = width - len(f" Locks{text}")
        history = _if_fits(history, room)
        every = _if_fits(every, room - len(history))
        label = _if_fits("" if is_production else label, room - len(history) - len(every))
        self.entitle((" Locks", STRONG), text, (every + label, QUIET), (history, WARNING))

    @on(Rows.Moved)
    def _show_detail(self) -> None:
        """Show the session at the cursor below the list."""
        detail, rows = self.query_one("#session-detail", StableText), self.query_one(SessionRows)
        branch = rows.chosen_branch
        if branch is None or self._look_shown is None or self.size.height < LEAST_HEIGHT:
            detail.show(Content(""))
            return
        title = formats.one_line(f"{branch.session.pid} {branch.session.application or ''}".strip())
        if title != self._detail_title:
            self._detail_title = title
            detail.border_title = Content(title)  # an application's name is no markup
        detail.display = True  # it has a size from the next layout on
        width, height = detail.content_size
        detail.show(Content("\n").join(detail_lines(branch, self._look_shown.sessions, width or 76, height or 8)))

    @on(Resize)
    def _resized(self) -> None:
        self.call_after_refresh(self._show_title)
        self.call_after_refresh(self._show_detail)

    def action_sort(self) -> None:
        orders = list(ORDERS)
        self._order = orders[(orders.index(self._order) + 1) % len(orders)]
        self._show()

    @on(SessionRows.Signalled)
    def action_again(self) -> None:
        self._wake.set()


def title_numbers(sessions: Sequence[Session], roots: int) -> str:
    """Return '  13 sessions  9 waiting  3 blocking  longest 2 min', with the longest wait if there is a wait."""
    from magetui.engine.sessions.queue import waited_ms

    waiting = [session for session in sessions if state_of(session) == WAITING]
    longest = max((waited_ms(session) or 0 for session in waiting), default=0)
    parts = [formats.number(len(sessions), "session"), f"{len(waiting)} waiting", f"{roots} blocking"]
    return "".join(f"  {part}" for part in [*parts, *([f"longest {short_age(longest)}"] if waiting else [])])


def _if_fits(text: str, room: int) -> str:
    return text if cell_len(text) <= room else ""


def _pause(worker: Worker[None], wake: threading.Event, seconds: float) -> None:
    """Wait for `seconds`, or until the worker is cancelled or `wake` is set."""
    until = time.monotonic() + seconds
    while not worker.is_cancelled and (left := until - time.monotonic()) > 0:
        if wake.wait(min(left, PULSE_SECONDS)):
            wake.clear()
            return
