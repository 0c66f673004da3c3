"""What SQLAlchemy tells while Alembic works: which statement runs, and whether anything was committed.

It listens on the `Engine` class, since a project's `env.py` makes engines of its own; connections that are our own,
marked `magetui_reads`, do not count. Whether something is committed by itself (in autocommit, or because a script
said COMMIT) is asked of the driver after each statement, not guessed.
"""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, event

from magetui.backends.base import Backend
from magetui.protocol import events
from magetui.protocol.journal import Journal, now
from magetui.runner.watch import Progress, RunningStatement

STATEMENT_TEXT_LIMIT = 20_000
CATALOG_READS = ("pg_catalog.", "PRAGMA", "pragma", "sqlite_master", "sys.objects", "[INFORMATION_SCHEMA]")


class StatementLog:
    """Writes statements to the journal, and knows whether the run has committed anything (`committed`).

    `atomic` is false once a connection was used that the backend could not prepare.
    """

    def __init__(
        self, backend: Backend, journal: Journal, progress: Progress, version_table: str, application: str
    ) -> None:
        self._backend = backend
        self._journal = journal
        self._progress = progress
        self._version_table = version_table
        self._number = 0
        self._uncommitted = 0
        self._commit_began: bool | None = None  # while one is not known to have succeeded: what `committed` was
        self._application = application
        self._sessions: set[int] = set()
        self.atomic = True
        self.committed = False
        self.last_statement: str | None = None

    def listen(self) -> None:
        """Hear what every engine of this process does from now on."""
        listeners = (
            ("before_cursor_execute", self._statement_began),
            ("after_cursor_execute", self._statement_ended),
            ("handle_error", self._statement_failed),
            ("commit", self._committing),
            ("rollback", self._rolling_back),
        )
        for name, listener in listeners:
            event.listen(Engine, name, listener)

    def _statement_began(
        self, connection: Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
    ) -> None:
        if _is_ours(connection):
            return
        self._commit_began = None
        self._progress.check()
        self._number += 1
        self._meet(connection)
        self._progress.statement = RunningStatement(self._number, connection, time.monotonic())
        if not _is_catalog_read(statement):
            self.last_statement = _cut(statement)
            session = self._backend.session_id(connection)
            self._journal.append(
                events.StatementStarted(at=now(), number=self._number, sql=self.last_statement, session=session)
            )

    def _meet(self, connection: Connection) -> None:
        """Put a connection on record, and whether it was made to keep our limits and to be atomic."""
        self._progress.connection = connection
        self.atomic = self.atomic and bool(connection.info.get("magetui"))
        session = self._backend.session_id(connection)
        if session is not None and session not in self._sessions:
            self._sessions.add(session)
            self._journal.append(events.SessionOpened(at=now(), session=session, application=self._application))

    def _statement_ended(
        self, connection: Connection, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool
    ) -> None:
        running = self._progress.statement
        if running is None or _is_ours(connection):
            return
        self._progress.statement = None
        if _is_catalog_read(statement):
            return
        reads_current = statement.startswith("SELECT") and self._version_table in statement
        if not reads_current:
            self._uncommitted += 1
            if not self._backend.in_transaction(connection):
                self.committed = True
        elapsed_ms = int((time.monotonic() - running.started) * 1000)
        self._journal.append(events.StatementEnded(at=now(), number=running.number, elapsed_ms=elapsed_ms))

    def _statement_failed(self, context: ExceptionContext) -> None:
        """A statement failed, or the commit did that was told of just before it.

        Without a connection, it is one that could not be made, by the watcher from a silent server say: the statement
        of the migration goes on.
        """
        if context.connection is None or _is_ours(context.connection):
            return
        self._progress.statement = None
        if self._commit_began is not None:
            self.committed, self._commit_began = self._commit_began, None

    def _committing(self, connection: Connection) -> None:
        if not _is_ours(connection):
            self._commit_began = self.committed
            self.committed = self.committed or self._uncommitted > 0
            self._uncommitted = 0

    def _rolling_back(self, connection: Connection) -> None:
        if not _is_ours(connection):
            self._uncommitted = 0
            self._commit_began = None


def _is_ours(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("magetui_reads"))


def _is_catalog_read(statement: str) -> bool:
    start = statement[:2000].lstrip()
    return start.upper().startswith(("SELECT", "WITH", "PRAGMA")) and any(word in start for word in CATALOG_READS)


def _cut(statement: str) -> str:
    left_out = len(statement) - STATEMENT_TEXT_LIMIT
    return statement if left_out <= 0 else f"{statement[:STATEMENT_TEXT_LIMIT]} … {left_out:,} characters more"
