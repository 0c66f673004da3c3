"""The log of a run's statements, from SQLAlchemy's events: which statement runs, and whether anything was committed.

It listens on the `Engine` class, because a project's `env.py` creates its own engines. Connections of the run itself
are marked `magetui_reads` and are ignored. A statement may commit by itself, in autocommit or because a script executes
COMMIT; so after each statement the driver is asked whether a transaction is open.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine, ExceptionContext

from magetui.backends.base import Backend
from magetui.protocol import events
from magetui.protocol.journal import Journal, milliseconds_since, now
from magetui.runner.watch import Progress, RunningStatement

STATEMENT_TEXT_LIMIT = 20_000  # characters
ROLLBACK = re.compile(r"\s*(?:rollback|abort)(?:\s+(?:work|transaction|tran))?\s*;?\s*", re.IGNORECASE)
CATALOG_READS = ("pg_catalog.", "PRAGMA", "pragma", "sqlite_master", "sys.objects", "[INFORMATION_SCHEMA]")


@dataclass(eq=False)
class StatementLog:
    """Writes statements to the journal.

    `atomic`: the backend has prepared each connection for one transaction. `uncertain`: after some statement it was not
    known whether the transaction was still open.
    """

    backend: Backend
    journal: Journal
    progress: Progress
    version_table: str
    application: str
    note: Callable[[str], None]  # called with each statement that is no read of the catalog
    atomic: bool = True
    committed: bool = False
    uncertain: bool = False
    last_statement: str | None = None

    def __post_init__(self) -> None:
        self._number = 0
        self._uncommitted = 0
        self._committed_before: bool | None = None  # `committed` before a commit that may still fail
        self._sessions: set[int] = set()

    @property
    def reason_against_retry(self) -> str | None:
        if self.committed:
            return "part of it is already committed, as an autocommit_block does, and cannot be done twice"
        if self.uncertain:
            return "the server did not say whether the transaction was open, so it is not known what was committed"
        if not self.atomic:
            return "env.py opened its own kind of connection, so it is not known what was committed"
        return None

    def listen(self) -> None:
        """Log the statements of every engine of this process from now on."""
        event.listen(Engine, "before_cursor_execute", self._statement_started)
        event.listen(Engine, "after_cursor_execute", self._statement_ended)
        event.listen(Engine, "handle_error", self._statement_failed)
        event.listen(Engine, "commit", self._committing)
        event.listen(Engine, "rollback", self._rolling_back)

    def _statement_started(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if _is_own(connection):
            return
        self._committed_before = None
        self.progress.check()
        self._number += 1
        self._note_connection(connection)
        self.progress.statement = RunningStatement(self._number, connection, time.monotonic())
        if not _is_catalog_read(statement):
            self.note(statement)
            left_out = len(statement) - STATEMENT_TEXT_LIMIT
            cut = f"{statement[:STATEMENT_TEXT_LIMIT]} … {left_out:,} characters more"
            self.last_statement = cut if left_out > 0 else statement
            session = self.backend.session_id(connection)
            self.journal.append(
                events.StatementStarted(at=now(), number=self._number, sql=self.last_statement, session=session)
            )

    def _note_connection(self, connection: Connection) -> None:
        """Record a new session, and whether the backend has prepared the connection to be atomic and limited."""
        self.progress.connection = connection
        self.atomic = self.atomic and bool(connection.info.get("magetui"))
        session = self.backend.session_id(connection)
        if session is not None and session not in self._sessions:
            self._sessions.add(session)
            self.journal.append(events.SessionOpened(at=now(), session=session, application=self.application))

    def _statement_ended(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        running = self.progress.statement
        if running is None or _is_own(connection):
            return
        self.progress.statement = None
        if _is_catalog_read(statement):
            return
        reads_current = statement.startswith("SELECT") and self.version_table in statement
        if not reads_current:
            self._uncommitted += 1
            self._note_transaction(connection, statement)
        elapsed_ms = milliseconds_since(running.started)
        self.journal.append(events.StatementEnded(at=now(), number=running.number, elapsed_ms=elapsed_ms))

    def _note_transaction(self, connection: Connection, statement: str) -> None:
        """Note whether the statement has committed: then no transaction is open. A ROLLBACK ends one, too."""
        is_open = self.backend.in_transaction(connection)
        if is_open is False and ROLLBACK.fullmatch(statement):
            self._uncommitted = 0
            return
        self.committed = self.committed or is_open is False
        self.uncertain = self.uncertain or is_open is None

    def _statement_failed(self, context: ExceptionContext) -> None:
        """Note a failed statement or commit. An error without a connection is another connection's failed connect."""
        if context.connection is None or _is_own(context.connection):
            return
        self.progress.statement = None
        if self._committed_before is not None:
            self.committed, self._committed_before = self._committed_before, None

    def _committing(self, connection: Connection) -> None:
        if not _is_own(connection):
            self._committed_before = self.committed
            self.committed = self.committed or self._uncommitted > 0
            self._uncommitted = 0

    def _rolling_back(self, connection: Connection) -> None:
        if not _is_own(connection):
            self._uncommitted = 0
            self._committed_before = None


def _is_own(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("magetui_reads"))


def _is_catalog_read(statement: str) -> bool:
    start = statement[:2000].lstrip()
    return start.upper().startswith(("SELECT", "WITH", "PRAGMA")) and any(word in start for word in CATALOG_READS)
