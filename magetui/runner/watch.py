"""The watcher: a thread of the child process that receives signals and observes the migration.

While a statement runs, the main thread is in the driver's C code, where no Python signal handler runs. So this thread
waits for signals on a wake-up descriptor, and cancels the statement from its own connection. The same wait is the pulse
at which it asks the server whether the migrating session waits for a lock, how far its statement has come, and so
whether the server answers at all. Without the privilege to see other sessions it reports less; without a second
connection it can still cancel.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from magetui.backends.base import Backend
from magetui.model.server import Timeouts
from magetui.model.sessions import StatementProgress
from magetui.protocol import events
from magetui.protocol.journal import Journal, milliseconds_since, now
from magetui.protocol.requests import PARTING
from magetui.runner.waits import Waits

PULSE_SECONDS = 0.2
PROGRESS_SECONDS = 1.0
IMPATIENT_SECONDS = 10.0  # how long a run that is to be cancelled waits for a silent server
CANCELLING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class RunCancelled(Exception):  # noqa: N818 - it says what happened, and is no error of the program
    """The operator cancelled the run. The main thread raises this when it next checks."""


@dataclass(frozen=True, slots=True)
class RunningStatement:
    number: int
    connection: Connection
    started: float  # time.monotonic()


class Progress:
    """The state that the run's two threads share: the running statement, and whether to stop."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.timed_out = threading.Event()
        self.abandoned = threading.Event()  # the server was silent for too long
        self.statement: RunningStatement | None = None
        self.connection: Connection | None = None  # the last connection that ran a statement
        self.waited_ms = 0  # on a backend that polls for its locks (SQLite)
        self.waiting = False

    def check(self) -> None:
        """Raise `RunCancelled` if the operator has cancelled the run."""
        if self.cancelled.is_set():
            raise RunCancelled


class Watcher:
    """The watcher of one run. If `line`, a pipe from the program that started the run, ends, the run is cancelled."""

    def __init__(
        self,
        backend: Backend,
        reader: Engine,
        journal: Journal,
        timeouts: Timeouts,
        progress: Progress,
        *,
        line: int | None = None,
    ) -> None:
        self._backend = backend
        self._reader = reader
        self._journal = journal
        self._timeouts = timeouts
        self._progress = progress
        self._line = line
        self._waits = Waits(backend, journal, timeouts)
        self._connection: Connection | None = None
        self._done = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._answered = time.monotonic()
        self._silent = False
        self._progress_reported: tuple[int, StatementProgress] | None = None
        self._progress_asked = 0.0

    def start(self) -> None:
        """Receive signals and start to watch. Must be called from the main thread."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in CANCELLING_SIGNALS:
            signal.signal(number, lambda _number, _frame: None)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. Signals are ignored from now on, because the outcome is decided."""
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
            descriptors = [self._wake_read] if self._line is None else [self._wake_read, self._line]
            readable, _, _ = select.select(descriptors, [], [], PULSE_SECONDS)
            received = os.read(self._wake_read, 64) if self._wake_read in readable else b""
            # A full disk or a broken connection must not end this thread: it tries again at the next pulse.
            with suppress(OSError, SQLAlchemyError):
                if self._line in readable:
                    self._read_line()
                if any(number in received for number in CANCELLING_SIGNALS):
                    self._request_cancel()
            with suppress(OSError, SQLAlchemyError):
                statement = self._progress.statement
                if statement is not None:
                    self._interrupt_if_due(statement)
                self._observe(statement)
            with suppress(OSError, SQLAlchemyError):
                self._abandon_if_due()
        self._drop_connection()

    def _read_line(self) -> None:
        """Cancel the run because the program that started it is gone, unless that program left it on purpose."""
        assert self._line is not None
        parted = os.read(self._line, 1) == PARTING
        self._line = None
        if not parted:
            self._journal.append(events.LineDropped(at=now()))
            self._request_cancel()

    def _request_cancel(self) -> None:
        if not self._progress.cancelled.is_set():
            self._progress.cancelled.set()
            self._journal.append(events.CancelRequested(at=now()))

    def _interrupt_if_due(self, statement: RunningStatement) -> None:
        """Cancel the statement, again at each pulse: a cancel does not affect a statement that starts just after it."""
        limit = self._timeouts.statement_ms
        elapsed_ms = milliseconds_since(statement.started)
        if limit and elapsed_ms > limit and not self._backend.server_side_timeouts:
            self._progress.timed_out.set()
        if self._progress.cancelled.is_set() or self._progress.timed_out.is_set():
            try:
                self._backend.interrupt(statement.connection, self._connected())
            except SQLAlchemyError as error:
                self._note_failure(error)  # and try again at the next pulse

    def _observe(self, statement: RunningStatement | None) -> None:
        session = self._session()
        if session is not None:
            connection = self._connected()
            if connection is None:
                return
            try:
                waits = self._backend.session_waits(connection, session)
                self._note_answer()
                if waits:
                    self._waits.waiting(connection, session)
                    return
                if statement is not None:
                    self._report_progress(connection, statement, session)
            except SQLAlchemyError as error:
                self._note_failure(error)  # and ask again at the next pulse
                return
        elif self._progress.waiting:
            connection = self._connected()
            if connection is not None:
                self._waits.waiting(connection, None, self._progress.waited_ms)
            return
        else:
            self._answered = time.monotonic()  # the server was not asked
        self._waits.over()

    def _session(self) -> int | None:
        """Return the migrating session, also between statements: a COMMIT is not logged as one, and may wait."""
        connection = self._progress.connection
        return None if connection is None or connection.closed else self._backend.session_id(connection)

    def _report_progress(self, connection: Connection, statement: RunningStatement, session: int) -> None:
        """Write the progress of a statement that runs for longer than a second."""
        moment = time.monotonic()
        if moment - max(self._progress_asked, statement.started) < PROGRESS_SECONDS:
            return
        self._progress_asked = moment
        progress = self._backend.progress(connection, session)
        if progress is not None and (statement.number, progress) != self._progress_reported:
            self._progress_reported = (statement.number, progress)
            self._journal.append(events.ProgressMade(at=now(), number=statement.number, progress=progress))

    # -- a server that does not answer

    def _note_answer(self) -> None:
        if self._silent:
            silent_ms = milliseconds_since(self._answered)
            self._journal.append(events.ServerAnswered(at=now(), silent_ms=silent_ms))
        self._answered, self._silent = time.monotonic(), False

    def _note_failure(self, error: BaseException) -> None:
        """Drop the connection after a failed query. If the server did not answer at all, write that it is silent."""
        self._drop_connection()
        if self._backend.failure(error).silent and not self._silent:
            self._silent = True
            since = now(seconds_ago=time.monotonic() - self._answered)
            limit_ms = self._timeouts.silence_ms
            self._journal.append(events.ServerFellSilent(at=now(), since=since, limit_ms=limit_ms))

    def _abandon_if_due(self) -> None:
        """Break the connection to a server that is silent for too long, which the driver takes for a busy one."""
        connection = self._progress.connection
        if not self._silent or connection is None:
            return
        silent = time.monotonic() - self._answered
        limit = self._timeouts.silence_ms / 1000
        if (limit and silent > limit) or (self._progress.cancelled.is_set() and silent > IMPATIENT_SECONDS):
            self._progress.abandoned.set()
            self._backend.abandon(connection)

    def _connected(self) -> Connection | None:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = self._reader.connect()
            except SQLAlchemyError as error:
                self._note_failure(error)  # report less: the server may be full, or gone
                return None
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()
