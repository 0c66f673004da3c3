"""The locks screen: who waits for whom, refreshed while it is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Footer, Static
from textual.worker import Worker, WorkerState

from magetui.tui.loading import load_engine
from magetui.tui.rows import Row, Rows
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import QUIET, STRONG, WARNING

if TYPE_CHECKING:
    from magetui.backends.base import Session

PULSE_SECONDS = 1.0


class LocksScreen(OverScreen):
    """The other sessions of the database as a tree."""

    NAME = "Locks"
    ABOUT = (
        "The other sessions of this database: each waiting one stands under the one it waits for, those in the way of "
        "most first. It is read again every second while you look."
    )

    class SessionsRead(Message):
        """The sessions were read, or could not be."""

        def __init__(self, sessions: tuple[Session, ...], problem: str | None) -> None:
            self.sessions = sessions
            self.problem = problem
            super().__init__()

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Rows(id="session-rows", empty="no other sessions")
        yield Footer(show_command_palette=False, compact=True)

    def __init__(self) -> None:
        super().__init__()
        self._awaited = False  # whether an answer, or the pulse after one, is still to come

    def on_mount(self) -> None:
        self.entitle((" Locks", STRONG), f"   {self.magetui.place}")
        self.query_one(Rows).focus_lines()

    @work(thread=True, group="sessions", exit_on_error=False)
    def _read(self) -> None:
        load_engine()
        from magetui.engine import locks
        from magetui.engine.errors import MagetuiError

        try:
            self.post_message(self.SessionsRead(locks.list_sessions(self.magetui.open_workspace()), None))
        except MagetuiError as error:
            self.post_message(self.SessionsRead((), error.message))

    def on_locks_screen_sessions_read(self, message: SessionsRead) -> None:
        if message.problem is not None:
            self.entitle((" Locks", STRONG), ("   not read: ", WARNING), message.problem)
        else:
            waiting = sum(bool(session.blocked_by) for session in message.sessions)
            self.entitle(
                (" Locks", STRONG),
                f"   {len(message.sessions)} sessions, {waiting} waiting",
                (f"   {self.magetui.place}", QUIET),
            )
            self.query_one(Rows).show(lambda _width: session_rows(message.sessions))
        self.set_timer(PULSE_SECONDS, self._pulse)

    def _pulse(self) -> None:
        self._awaited = False
        if self.is_current:
            self._ask()

    def on_screen_resume(self) -> None:
        self._ask()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:  # which the app tells; the next look may do better
            self.set_timer(PULSE_SECONDS, self._pulse)

    def _ask(self) -> None:
        """Read once: the next reading is asked for a pulse after its answer, so that a slow server gets only one."""
        if not self._awaited:
            self._awaited = True
            self._read()


def session_rows(sessions: tuple[Session, ...]) -> list[Row]:
    """The tree, a row a session: who it is, what it waits for or holds, what it runs."""
    from magetui import words
    from magetui.engine import locks

    rows = []
    for branch in locks.tree(sessions):
        session = branch.session
        joint = "   " * (branch.depth - 1) + "└ " if branch.depth else ""
        doing = ""
        if session.waits_for is not None:
            mode = words.mode(session.waits_for.mode)
            waits = f"{f'{mode} on ' if mode else ''}{words.plain(session.waits_for.relation or 'a lock')}"
            doing = f"  waits for {waits}, {words.duration(session.query_ms)}"
        elif session.holds:
            doing = "  holds " + words.plain(", ".join(dict.fromkeys(held.relation for held in session.holds)))
        blocks = f"  BLOCKS {branch.waiting}" if branch.waiting and not branch.depth else ""
        query = f"   {words.one_line(session.query, 300)}" if session.query else ""
        content = Content.assemble(joint, words.session_line(session), (blocks, WARNING), (doing, ""), (query, QUIET))
        rows.append(Row(str(session.pid), content, content.plain))
    return rows
