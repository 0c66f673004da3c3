# ruff: noqa: ARG002 - a default uses no argument
"""The protocol of a backend: everything that differs between kinds of databases.

All SQL of our own is behind this protocol, so the rest of the program is free of dialects. Values that a backend
returns are frozen dataclasses of `magetui.model`. The protocol needs SQLAlchemy alone, because the child process runs
it under the interpreters of other projects.

The protocol has three parts, `Connections`, `Catalog` and `Sessions`; each dialect's package has modules of the same
names. `Backend` joins the three and adds backups and scratch databases. A function with a body gives the answer of a
dialect that lacks the feature: no sessions, no enum types, no progress.

Unless a function says otherwise, it raises SQLAlchemy's `DBAPIError` if the server or the driver reports an error.
`Connections.failure` tells what such an error means.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from magetui.model.surroundings import Castable, Found, Surroundings

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

    from magetui.backends.backup import BackupJob, BackupOptions
    from magetui.backends.scratch import Scratch, ScratchRequest
    from magetui.model.schema import (
        Counted,
        EnumType,
        FirstRows,
        Leftover,
        Table,
        TableDetail,
        VersionTable,
        Wanted,
    )
    from magetui.model.schema_change import SchemaObject
    from magetui.model.server import Failure, ServerFacts, Timeouts
    from magetui.model.sessions import MutexHolder, Session, StatementProgress

CONNECT_TIMEOUT_SECONDS = 10
READ_LOCK_TIMEOUT_MS = 500
READ_STATEMENT_TIMEOUT_MS = 5_000


class Mutex(Protocol):
    """The lock that keeps two migrations of one database apart."""

    def try_acquire(self) -> bool:
        """Take the lock if it is free, without waiting. Returns whether the lock is now held."""

    def release(self) -> None:
        """Release the lock and close its connection or file."""


@dataclass(frozen=True, slots=True)
class WriteHooks:
    """Callbacks of a connection that migrates; each may raise an exception to refuse or to give up.

    `waited(elapsed_ms)` is called between the short tries of a backend that polls for its locks (SQLite). If it
    raises, the wait ends. `obtained()` is called when the wait is over. A backend whose server does the waiting never
    calls these two: the watcher asks that server instead. `pooled()` is called for a connection through a pooler
    before any setting is made on the connection. If it raises, the connection is refused.

    `takes_tables`: whether the run rebuilds or drops tables. SQLite then ignores foreign keys until the commit.
    """

    waited: Callable[[int], None] = field(default=lambda _elapsed_ms: None)
    obtained: Callable[[], None] = field(default=lambda: None)
    pooled: Callable[[], None] = field(default=lambda: None)
    takes_tables: bool = False


class Connections(Protocol):
    """Connections that read and connections that migrate, and what their errors mean."""

    name: str  # SQLAlchemy's name of the dialect
    server_side_timeouts: bool  # whether the server itself ends a statement that exceeds the statement timeout

    def reader(self, url: URL, application_name: str) -> Engine:
        """Return an engine whose connections cannot write, commit each statement, and give up soon.

        They wait for a lock for `READ_LOCK_TIMEOUT_MS`, and for a statement for `READ_STATEMENT_TIMEOUT_MS` if the
        dialect can limit statements. Raises `ImportError` if the driver is missing.
        """

    def writer(self, url: URL, application_name: str) -> Engine:
        """Return an engine for `prepare_writer`, without a pool. Raises `ImportError` if the driver is missing."""

    def prepare_writer(
        self, engine: Engine | type[Engine], timeouts: Timeouts, hooks: WriteHooks, application_name: str
    ) -> None:
        """Prepare every connection that `engine` opens from now on.

        Each connection gets the timeouts, the application name, and a transaction around DDL. `engine` may be
        SQLAlchemy's `Engine` class itself, for connections that a project's `env.py` opens.

        PostgreSQL: lock_timeout and statement_timeout (manual, 20.11.1). SQLite: BEGIN IMMEDIATE, polled until the lock
        timeout (sqlite.org/lang_transaction.html). SQL Server: SET LOCK_TIMEOUT (Transact-SQL reference).
        """

    def prepare_reader(self, engine: Engine | type[Engine], application_name: str) -> None:
        """Let no connection that `engine` opens from now on write, or wait long for a lock.

        `engine` is as for `prepare_writer`. Raises `NotImplementedError` if no connection can be made read-only.
        """

    def server(self, connection: Connection) -> ServerFacts:
        """Return the server's version, the database, the role, and why writes would be refused, if they would."""

    def password_used(self, connection: Connection) -> str | None:
        """Return the password that the driver logged in with, whatever its source; None without a password."""
        return None

    def session_id(self, connection: Connection) -> int | None:
        """Return the server's number for this connection's session; None if the dialect has no sessions."""
        return None

    def in_transaction(self, connection: Connection) -> bool | None:
        """Return whether the driver has an open transaction. Without one, every executed statement is committed.

        Returns None if that is not known: then nothing counts as committed.
        """

    def interrupt(self, running: Connection, watching: Connection | None) -> None:
        """Cancel the statement of `running`. Called from another thread. `watching`: a second connection, if any."""

    def abandon(self, connection: Connection) -> None:
        """Break the connection to a silent server, so that the driver notices. Called from another thread.

        Does nothing if the driver gives no access to its socket.
        """
        return

    def failure(self, error: BaseException) -> Failure:
        """Return the meaning of an error that a connection or statement of this backend raised."""


class Catalog(Protocol):
    """Tables and the other objects of the schema, read in bulk: the number of queries is independent of the tables."""

    def version_tables(self, connection: Connection, name: str, schema: str | None) -> tuple[VersionTable, ...]:
        """Return every version table `name` of any schema, the effective table first, and those of other chains.

        `schema` is the schema that the project configures for the table; None means the default schema.
        """

    def version_schema(self, connection: Connection, name: str, schema: str | None) -> str | None:
        """Return the schema of the version table `name` that Alembic would use on a connection of other code.

        `schema` is what env.py configures; without it, the connection's search_path decides (PostgreSQL).
        """
        return schema

    def leftovers(self, connection: Connection) -> tuple[Leftover, ...]:
        """Return the objects that failed migrations left behind, in every schema of users, by kind, schema and name.

        PostgreSQL: a failed CREATE INDEX CONCURRENTLY leaves an invalid index (manual, CREATE INDEX). All: a failed
        batch operation of Alembic leaves a table with `BATCH_PREFIX`.
        """

    def not_owned(self, connection: Connection) -> tuple[Table, ...]:
        """Return the tables of the default schema that the role cannot alter, by name."""
        return ()

    def withheld(self, connection: Connection, name: str, schema: str | None) -> tuple[Table, ...]:
        """Return the tables of the default schema on which the owner of the version table has no right, by name."""
        return ()

    def tables(self, connection: Connection, schema: str | None = None) -> tuple[Table, ...]:
        """Return every user table, or the tables of one schema, by schema and name. `Table` explains the sizes."""

    def table_details(
        self, connection: Connection, schema: str | None = None, name: str | None = None
    ) -> tuple[TableDetail, ...]:
        """Return the details of all tables, or of the tables with this schema and name, by schema and name."""

    def enum_types(self, connection: Connection) -> tuple[EnumType, ...]:
        """Return the enum types of users' schemas, by schema and name; () if the dialect has no enum types."""
        return ()

    def definitions(self, connection: Connection) -> tuple[str, ...]:
        """Return SQL that creates an empty copy of the schema, if a migration's SQL depends on it (SQLite), or ()."""
        return ()

    def schema_objects(self, connection: Connection) -> tuple[SchemaObject, ...]:
        """Return the objects of all users' schemas, so that the schemas of two moments can be compared."""
        from magetui.backends.schema_objects import objects_of

        return tuple(objects_of(self.table_details(connection)))

    def count(
        self, connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int
    ) -> tuple[Counted, ...]:
        """Count rows in one scan of the table within `limit_ms` milliseconds, or else estimate their numbers.

        Returns one result for each item of `wanted`, in the same order. A limit of 0 means: only estimate. A table
        that another session has locked is not waited for.
        """

    def surroundings(self, connection: Connection) -> Surroundings:
        """Return what surrounds the tables of all users' schemas."""
        return Surroundings()

    def find(self, connection: Connection, sql: str, limit_ms: int) -> Found:
        """Return the first rows of a query and how many there are, within `limit_ms` milliseconds.

        `sql` names each table with its schema, and calls the server's own functions alone. No locked table is waited
        for.
        """
        return Found(problem="rows are not looked at on this kind of database")

    def first_rows(self, connection: Connection, table: Table) -> FirstRows:
        """Return the first `FIRST_ROWS` rows of a table. The server cuts each value, so that no long value is sent.

        Nothing but the server's own functions is called, and no locked table is waited for.
        """
        from magetui.model.schema import FirstRows

        return FirstRows(problem="rows are not read on this kind of database")

    def castable(self, connection: Connection, old: str, new: str) -> Castable | None:
        """Return how the server turns values of one built-in type into another; None if it is not known."""
        return None


class Sessions(Protocol):
    """Other users of the database, the locks between them, and the migration mutex."""

    def sessions(self, connection: Connection) -> tuple[Session, ...]:
        """Return the other sessions of this database, by pid, with the locks that they hold and wait for.

        Sessions of other databases are included if they block a session of this database. Times are in milliseconds.
        """

    def lock_names(self, connection: Connection, table: Table) -> frozenset[str] | None:
        """Return the names that `sessions` uses for the locks on a table. None: each lock is on the complete database.

        A name without a schema may also be another schema's table, if the dialect does not say which one it is.
        """
        return frozenset((table.name, f"{table.schema}.{table.name}"))

    def session_waits(self, connection: Connection, pid: int) -> bool:
        """Return whether the session waits for a lock. Cheap enough to ask several times a second."""
        return False

    def session_exists(self, connection: Connection, pid: int, application_name: str) -> bool:
        """Return whether the session exists under that name; the server may have reused the number alone."""
        return False

    def progress(self, connection: Connection, pid: int) -> StatementProgress | None:
        """Return the progress of the session's statement, or None. Only PostgreSQL reports it (Progress Reporting)."""
        return None

    def cancel(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        """Cancel the statement that a session executes. Returns False if there is no such session.

        `began` is the session's start as in `Session.began`. It identifies the session together with `pid`. Only
        PostgreSQL can cancel (pg_cancel_backend in the manual's Server Signaling Functions); others return False.
        """
        return False

    def terminate(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        """End a session. Returns False if there is no such session; for `began`, see `cancel`.

        PostgreSQL: pg_terminate_backend. SQL Server: KILL. SQLite: a process is never ended, so the result is False.
        Raises SQLAlchemy's errors, or `PermissionError` with a sentence, if the role has no permission.
        """
        return False

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:
        """Return the mutex `key` of the database at `url`, not yet acquired; `note` tells others who holds it.

        PostgreSQL: an advisory lock (manual, 13.3.5). SQLite: flock(2) on a file beside the database. SQL Server:
        sp_getapplock.
        """

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:
        """Return whether `connection`, opened by other code, is to the database of `url`, where `mutex` is held."""

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:
        """Return the current holder of the mutex `key`, without its session; None if the mutex is free."""


class Backend(Connections, Catalog, Sessions, Protocol):
    """One kind of database."""

    backup_suffix: str  # the file name suffix of backups

    def other_backup(self, database: str) -> str | None:
        """Return how to make a backup of `database` without this program, which makes none; None if `backup` does."""
        return None

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:
        """Prepare a backup of the complete database. Raises `BackupFailedError` if no backup is possible."""

    def scratch(self, url: URL, request: ScratchRequest) -> AbstractContextManager[Scratch]:
        """Open a scratch database for a replay on the server of `url`. Raises `ScratchUnavailableError`."""

    def outreach(self, sql: str, schemas: Collection[str]) -> str | None:
        """Return what `sql` reaches outside of a scratch database, or None. `schemas`: all schemas of the database."""
        return None
