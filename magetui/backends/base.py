"""The protocol that keeps every other floor free of SQL.

A backend answers for one kind of database: how to open a connection that cannot write or wait, how to open one
that migrates under timeouts, what the server says of itself, its tables, its sessions, and what an error of its
driver means. Everything that comes out is a frozen dataclass; connections go in and never come out of the
engine's floor. The module needs SQLAlchemy alone, because the child process runs it under foreign interpreters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from magetui.backends.backup import BackupJob, BackupOptions
from magetui.backends.scratch import Place, Scratch
from magetui.model.schema import Counted, EnumType, Leftover, Table, TableDetail, VersionTable, Wanted
from magetui.model.server import Failure, ServerFacts, Timeouts
from magetui.model.sessions import MutexHolder, Session, StatementProgress

CONNECT_TIMEOUT_SECONDS = 10
READ_LOCK_TIMEOUT_MS = 500
READ_STATEMENT_TIMEOUT_MS = 5_000


class Mutex(Protocol):
    """The lock that keeps two migrations of one database apart."""

    def try_acquire(self) -> bool:
        """Take it if it is free, without waiting."""

    def release(self) -> None:
        """Give it back and close what it used."""


@dataclass(frozen=True, slots=True)
class WriteHooks:
    """How a migrating connection reports that it waits, and asks whether to give up.

    `waited(elapsed_ms)` is called between the short tries of a backend that polls for its locks (SQLite); what it
    raises ends the wait; `obtained()` says that it is over. A backend
    whose server waits never calls it: the watcher looks there. `pooled()` is called for a connection that goes through
    a pooler, before anything is set on it; what it raises refuses it.
    """

    waited: Callable[[int], None] = field(default=lambda _elapsed_ms: None)
    obtained: Callable[[], None] = field(default=lambda: None)
    pooled: Callable[[], None] = field(default=lambda: None)


class Backend(Protocol):
    """All that differs between one kind of database and another."""

    name: str
    backup_suffix: str  # of a backup's file
    server_side_timeouts: bool  # whether the server ends a statement that takes too long

    def reader(self, url: URL, application_name: str) -> Engine:
        """An engine whose connections cannot write, autocommit, and give up quickly on locks and statements."""

    def writer(self, url: URL, application_name: str) -> Engine:
        """An engine for changes, without a pool; see `prepare_writer`."""

    def prepare_writer(
        self, engine: Engine | type[Engine], timeouts: Timeouts, hooks: WriteHooks, application_name: str
    ) -> None:
        """Put timeouts, a name, and a transaction around DDL, on every connection that `engine` opens from now on.

        `engine` may be SQLAlchemy's `Engine` class itself, for connections that a project's `env.py` opens.
        """

    def server(self, connection: Connection) -> ServerFacts: ...

    def password_used(self, connection: Connection) -> str | None:
        """The password that the driver logged in with, wherever it found it; None where there was none."""

    def version_tables(self, connection: Connection, name: str, schema: str | None) -> tuple[VersionTable, ...]:
        """Every version table of that name in any schema, the effective one first."""

    def leftovers(self, connection: Connection) -> tuple[Leftover, ...]: ...

    def not_owned(self, connection: Connection) -> tuple[Table, ...]:
        """Tables of the current schema that the role could not alter."""

    def tables(self, connection: Connection, schema: str | None = None) -> tuple[Table, ...]:
        """Every user's table (of one schema, if named) in a fixed number of catalog queries, by schema and name."""

    def table_details(
        self, connection: Connection, schema: str | None = None, name: str | None = None
    ) -> tuple[TableDetail, ...]:
        """Details of all tables, or those of one name, in a fixed number of catalog queries."""

    def enum_types(self, connection: Connection) -> tuple[EnumType, ...]:
        """The enum types of users' schemas, by schema and name; none where the dialect has no such types."""

    def definitions(self, connection: Connection) -> tuple[str, ...]:
        """The SQL that makes the schema anew, empty, for a dialect whose changes hang on it; else nothing."""

    def count(
        self, connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int
    ) -> tuple[Counted, ...]:
        """Count rows of a table in one reading of it, within `limit_ms` (0: do not begin), or else estimate them.

        What is locked away by somebody is not waited for.
        """

    def sessions(self, connection: Connection) -> tuple[Session, ...]:
        """The other sessions of this database, with what they hold and wait for."""

    def session_waits(self, connection: Connection, pid: int) -> bool:
        """Whether the session waits for a lock: cheap enough to ask several times a second."""

    def session_exists(self, connection: Connection, pid: int, application_name: str) -> bool:
        """Whether the session is still there, under that name (a number alone may have been given to another)."""

    def progress(self, connection: Connection, pid: int) -> StatementProgress | None:
        """How far the statement of session `pid` has come; None where the server does not tell."""

    def cancel(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        """Cancel what the session `pid`, which began then, is running; False where there is no such session."""

    def terminate(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        """End the session `pid`, which began then; False where there is no such session.

        Raises SQLAlchemy's errors, or `PermissionError` with a sentence, where the role may not.
        """

    def session_id(self, connection: Connection) -> int | None:
        """The server's number of this connection; None where it has none."""

    def interrupt(self, running: Connection, watching: Connection | None) -> None:
        """From another thread: cancel the statement that `running` is executing."""

    def abandon(self, connection: Connection) -> None:
        """From another thread: break the line to a server that does not answer, so that its driver notices."""

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:
        """The lock `key` of the database at `url`, not yet taken; `note` says to others who holds it."""

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:
        """Whether `connection`, which somebody else opened, is to the very database of `url`, where `mutex` is held."""

    def in_transaction(self, connection: Connection) -> bool:
        """Whether a transaction is open, as the driver sees it: without one, what was executed is committed."""

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:
        """Who holds the lock `key` now; None where it is free."""

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:
        """The backup of the whole database, prepared. Raises `BackupFailedError` where it cannot be made."""

    def scratch(self, url: URL, place: Place) -> AbstractContextManager[Scratch]:
        """A scratch place for a replay, lent by the server of `url`. Raises `ScratchUnavailableError`."""

    def outreach(self, sql: str, schemas: Collection[str]) -> str | None:
        """What `sql` would reach outside of a scratch place, of `schemas` or else; None where it reaches nothing."""

    def failure(self, error: BaseException) -> Failure:
        """What an error means that a connection or statement of this backend raised."""
