"""The watcher: a thread of the child that hears signals and sees what the migration waits for.

While a statement runs, the main thread sits in the driver's C code, where no Python signal handler runs. So signals
arrive through a wake-up descriptor that this thread waits on, and it cancels from a connection of its own. The same
wait is the pulse at which it asks the server, cheaply, whether the migrating session waits for a lock, and only if it
does, for whom. Without the privilege to see others it says less; without a second connection it still cancels.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from magetui.backends.base import Backend, LockWait, Session, Timeouts
from magetui.runner import events
from magetui.runner.journal import Journal, now

PULSE_SECONDS = 0.2
CANCELLING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class RunCancelled(Exception):  # noqa: N818 - it says what happened, and is no error of the program
    """The operator cancelled the run; raised where the run next asks."""


@dataclass(frozen=True, slots=True)
class RunningStatement:
    number: int
    connection: Connection
    started: float  # time.monotonic()


class Progress:
    """What the run's two threads know of each other: the statement that runs, and whether to stop."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.timed_out = threading.Event()
        self.statement: RunningStatement | None = None
        self.waited_ms = 0  # of a backend that waits in short tries
        self.waiting = False

    def check(self) -> None:
        """Raise `RunCancelled` where the operator has asked for it."""
        if self.cancelled.is_set():
            raise RunCancelled


class Watcher:
    """See the module. `start` it, run the migration, `stop` it."""

    def __init__(
        self, backend: Backend, reader: Engine, journal: Journal, timeouts: Timeouts, progress: Progress
    ) -> None:
        self._backend = backend
        self._reader = reader
        self._journal = journal
        self._timeouts = timeouts
        self._progress = progress
        self._connection: Connection | None = None
        self._done = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._wait_started: float | None = None
        self._since = ""
        self._told: tuple[object, ...] | None = None

    def start(self) -> None:
        """Listen for signals, then watch. Call it from the main thread."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in CANCELLING_SIGNALS:
            signal.signal(number, lambda _number, _frame: None)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching; signals are ignored from here on, since the outcome stands."""
        for number in CANCELLING_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        self._done.set()
        os.write(self._wake_write, b"\0")
        self._thread.join()
        signal.set_wakeup_fd(-1)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _watch(self) -> None:
        while not self._done.is_set():
            readable, _, _ = select.select([self._wake_read], [], [], PULSE_SECONDS)
            received = os.read(self._wake_read, 64) if readable else b""
            # A full disk, or a connection that ends just now, must not make it deaf: there is another pulse.
            with suppress(OSError, SQLAlchemyError):
                if any(number in received for number in CANCELLING_SIGNALS):
                    self._request_cancel()
            with suppress(OSError, SQLAlchemyError):
                statement = self._progress.statement
                if statement is not None:
                    self._interrupt_if_due(statement)
                self._look(statement)
        self._drop_connection()

    def _request_cancel(self) -> None:
        if not self._progress.cancelled.is_set():
            self._progress.cancelled.set()
            self._journal.append(events.CancelRequested(at=now()))

    def _interrupt_if_due(self, statement: RunningStatement) -> None:
        """Cancel the statement, again at each pulse: one that begins just after a cancel would not feel it."""
        limit = self._timeouts.statement_ms
        elapsed_ms = (time.monotonic() - statement.started) * 1000
        if limit and elapsed_ms > limit and not self._backend.server_side_timeouts:
            self._progress.timed_out.set()
        if self._progress.cancelled.is_set() or self._progress.timed_out.is_set():
            try:
                self._backend.interrupt(statement.connection, self._connected())
            except SQLAlchemyError:
                self._drop_connection()  # and try again at the next pulse

    def _look(self, statement: RunningStatement | None) -> None:
        if statement is not None and (session := self._backend.session_id(statement.connection)) is not None:
            connection = self._connected()
            if connection is None:
                return
            try:
                if self._backend.session_waits(connection, session):
                    self._tell_wait(self._backend.sessions(connection), session)
                    return
            except SQLAlchemyError:
                self._drop_connection()  # and look again at the next pulse
                return
        elif self._progress.waiting:
            connection = self._connected()
            if connection is not None:
                self._tell_wait(self._backend.sessions(connection), None)
            return
        self._tell_obtained()

    def _tell_wait(self, sessions: tuple[Session, ...], own: int | None) -> None:
        """Write who is in the way, if that is news."""
        by_pid = {session.pid: session for session in sessions}
        waits_for: LockWait | None
        blockers: tuple[Session, ...]
        behind: tuple[Session, ...]
        if own is None:
            waits_for, blockers, behind = LockWait("the database file", "write"), sessions, ()
        else:
            mine = by_pid.get(own)
            if mine is None or mine.waits_for is None:
                return  # the wait ended between the two looks
            waits_for = mine.waits_for
            blockers = tuple(_in_the_way(own, by_pid))
            in_the_way = {own, *(b.pid for b in blockers)}
            behind = tuple(s for s in sessions if s.pid not in in_the_way and in_the_way & set(s.blocked_by))
        if self._wait_started is None:
            self._wait_started = time.monotonic() - self._progress.waited_ms / 1000
            self._since = now()
        news = (waits_for, tuple(_timeless(b) for b in blockers), tuple(b.pid for b in behind))
        if news != self._told:
            self._told = news
            self._journal.append(
                events.LockAwaited(
                    at=now(),
                    since=self._since,
                    timeout_ms=self._timeouts.lock_ms,
                    waits_for=waits_for,
                    blockers=blockers,
                    waiting_behind=behind,
                )
            )

    def _tell_obtained(self) -> None:
        if self._wait_started is not None:
            waited_ms = int((time.monotonic() - self._wait_started) * 1000)
            self._journal.append(events.LockObtained(at=now(), waited_ms=waited_ms))
            self._wait_started, self._told = None, None

    def _connected(self) -> Connection | None:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = self._reader.connect()
            except SQLAlchemyError:
                return None  # it says less: the server may be full, or gone
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()


def _in_the_way(own: int, by_pid: dict[int, Session]) -> Iterable[Session]:
    """The sessions that `own` waits for, and those that they wait for, nearest first."""
    seen, frontier = {own}, [own]
    while frontier:
        session = by_pid.get(frontier.pop(0))
        for pid in session.blocked_by if session else ():
            if pid not in seen:
                seen.add(pid)
                frontier.append(pid)
                if pid in by_pid:
                    yield by_pid[pid]


def _timeless(session: Session) -> Session:
    """The session without what changes by itself while it sits there."""
    return replace(session, transaction_ms=None, query_ms=None)
