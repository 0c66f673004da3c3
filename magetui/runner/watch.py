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
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from sqlalchemy.engine import Connection, Engine
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
INTERRUPTING_SIGNAL = signal.SIGURG  # nobody handles it, and without a handler it is ignored
SCRIPT_SECONDS = 1.0  # how long a cancelled script may go on before it is interrupted, and interrupted again
# While these work, an exception from outside could leave a transaction half ended.
LIBRARIES = frozenset({"sqlalchemy", "alembic", "magetui", "psycopg2", "psycopg", "asyncpg", "pymssql", "mssql_python"})


class RunCancelled(BaseException):
    """The operator cancelled the run. The main thread raises this when it next checks.

    It is a `BaseException`, so that a script's `except Exception` does not catch it.
    """


@dataclass(frozen=True, slots=True)
class RunningStatement:
    number: int
    connection: Connection
    started: float  # time.monotonic()


class Progress:
    """The state that the run's two threads share: the running statement, and whether to stop."""

    def __init__(self, scripts: frozenset[str] = frozenset()) -> None:
        """Create the state of a run. `scripts` are the files of its scripts and its env.py."""
        self._scripts = scripts
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

    def is_in_script(self, frame: FrameType | None) -> bool:
        """Return whether Python code of a script is at work, which may go on for ever, and no library of databases."""
        while frame is not None:
            if frame.f_code.co_filename in self._scripts:
                return True
            if str(frame.f_globals.get("__name__")).partition(".")[0] in LIBRARIES:
                return False
            frame = frame.f_back
        return False


@dataclass(eq=False)
class Watcher:
    """The watcher of one run. `line`: a pipe from the program that started it, whose end cancels the run; or None."""

    backend: Backend
    reader: Engine
    journal: Journal
    timeouts: Timeouts
    progress: Progress
    line: int | None
    wanted: Path | None = None  # the file that asks the run to stop

    def __post_init__(self) -> None:
        self._waits = Waits(self.backend, self.journal, self.timeouts)
        self._connection: Connection | None = None
        self._done = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._answered = time.monotonic()
        self._silent = False
        self._progress_reported: tuple[int, StatementProgress] | None = None
        self._progress_asked = 0.0
        self._main = threading.main_thread().ident
        self._interrupted = 0.0  # when the script was interrupted last, or the run was cancelled

    def start(self) -> None:
        """Receive signals and start to watch. Must be called from the main thread."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in CANCELLING_SIGNALS:
            signal.signal(number, lambda _number, _frame: None)
            # Otherwise the signal breaks a read of Microsoft's driver, which takes EINTR for a lost connection.
            signal.siginterrupt(number, False)
        signal.signal(INTERRUPTING_SIGNAL, self._raise_in_script)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. Signals are ignored from now on, because the outcome is decided."""
        for number in (*CANCELLING_SIGNALS, INTERRUPTING_SIGNAL):
            signal.signal(number, signal.SIG_IGN)
        self._done.set()
        os.write(self._wake_write, b"\0")
        self._thread.join()
        signal.set_wakeup_fd(-1)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _watch(self) -> None:
        while not self._done.is_set():
            descriptors = [self._wake_read] if self.line is None else [self._wake_read, self.line]
            readable, _, _ = select.select(descriptors, [], [], PULSE_SECONDS)
            received = os.read(self._wake_read, 64) if self._wake_read in readable else b""
            # A full disk or a broken connection must not end this thread: it tries again at the next pulse.
            with suppress(OSError, SQLAlchemyError):
                if self.line in readable:
                    self._read_line()
                is_wanted = self.wanted is not None and self.wanted.exists()
                if is_wanted or any(number in received for number in CANCELLING_SIGNALS):
                    self._request_cancel()
            with suppress(OSError, SQLAlchemyError):
                statement = self.progress.statement
                if statement is not None:
                    self._interrupt_if_due(statement)
                elif self.progress.cancelled.is_set():
                    self._interrupt_script()
                self._observe(statement)
            with suppress(OSError, SQLAlchemyError):
                self._abandon_if_due()
        self._drop_connection()

    def _read_line(self) -> None:
        """Cancel the run because the program that started it is gone, unless that program left it on purpose."""
        assert self.line is not None
        parted = os.read(self.line, 1) == PARTING
        self.line = None
        if not parted:
            self.journal.append(events.LineDropped(at=now()))
            self._request_cancel()

    def _request_cancel(self) -> None:
        if not self.progress.cancelled.is_set():
            self._interrupted = time.monotonic()
            self.progress.cancelled.set()
            self.journal.append(events.CancelRequested(at=now()))

    def _interrupt_script(self) -> None:
        """Interrupt a script whose Python code runs on, or sleeps, although the run is cancelled. See the handler."""
        moment = time.monotonic()
        if moment - self._interrupted < SCRIPT_SECONDS or self._main is None:
            return
        if self.progress.is_in_script(sys._current_frames().get(self._main)):
            self._interrupted = moment
            signal.pthread_kill(self._main, INTERRUPTING_SIGNAL)

    def _raise_in_script(self, _number: int, frame: FrameType | None) -> None:
        """Handle the signal in the main thread: raise where it is now, if that is still in a script."""
        if self.progress.statement is None and self.progress.is_in_script(frame):
            self.progress.check()

    def _interrupt_if_due(self, statement: RunningStatement) -> None:
        """Cancel the statement, again at each pulse: a cancel does not affect a statement that starts just after it."""
        limit = self.timeouts.statement_ms
        elapsed_ms = milliseconds_since(statement.started)
        if limit and elapsed_ms > limit and not self.backend.server_side_timeouts:
            self.progress.timed_out.set()
        if self.progress.cancelled.is_set() or self.progress.timed_out.is_set():
            try:
                self.backend.interrupt(statement.connection, self._connected())
            except SQLAlchemyError as error:
                self._note_failure(error)  # and try again at the next pulse

    def _observe(self, statement: RunningStatement | None) -> None:
        migrating = self.progress.connection
        # Also between statements: a COMMIT is not logged as one, and may wait.
        session = None if migrating is None or migrating.closed else self.backend.session_id(migrating)
        if session is not None:
            connection = self._connected()
            if connection is None:
                return
            try:
                waits = self.backend.session_waits(connection, session)
                self._note_answer()
                if waits:
                    self._waits.waiting(connection, session)
                    return
                if statement is not None:
                    self._report_progress(connection, statement, session)
            except SQLAlchemyError as error:
                self._note_failure(error)  # and ask again at the next pulse
                return
        elif self.progress.waiting:
            if (connection := self._connected()) is not None:
                self._waits.waiting(connection, None, self.progress.waited_ms)
            return
        else:
            self._answered = time.monotonic()  # the server was not asked
        self._waits.over()

    def _report_progress(self, connection: Connection, statement: RunningStatement, session: int) -> None:
        """Write the progress of a statement that runs for longer than a second."""
        moment = time.monotonic()
        if moment - max(self._progress_asked, statement.started) < PROGRESS_SECONDS:
            return
        self._progress_asked = moment
        progress = self.backend.progress(connection, session)
        if progress is not None and (statement.number, progress) != self._progress_reported:
            self._progress_reported = (statement.number, progress)
            self.journal.append(events.ProgressMade(at=now(), number=statement.number, progress=progress))

    # -- a server that does not answer

    def _note_answer(self) -> None:
        if self._silent:
            silent_ms = milliseconds_since(self._answered)
            self.journal.append(events.ServerAnswered(at=now(), silent_ms=silent_ms))
        self._answered, self._silent = time.monotonic(), False

    def _note_failure(self, error: BaseException) -> None:
        """Drop the connection after a failed query. If the server did not answer at all, write that it is silent."""
        self._drop_connection()
        if self.backend.failure(error).silent and not self._silent:
            self._silent = True
            since = now(seconds_ago=time.monotonic() - self._answered)
            limit_ms = self.timeouts.silence_ms
            self.journal.append(events.ServerFellSilent(at=now(), since=since, limit_ms=limit_ms))

    def _abandon_if_due(self) -> None:
        """Break the connection to a server that is silent for too long, which the driver takes for a busy one."""
        connection = self.progress.connection
        if not self._silent or connection is None:
            return
        silent = time.monotonic() - self._answered
        limit = self.timeouts.silence_ms / 1000
        if (limit and silent > limit) or (self.progress.cancelled.is_set() and silent > IMPATIENT_SECONDS):
            self.progress.abandoned.set()
            self.backend.abandon(connection)

    def _connected(self) -> Connection | None:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = self.reader.connect()
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
