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
from typing import Literal, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from magetui.backends.backup import BackupJob, BackupOptions
from magetui.backends.scratch import Place, Scratch

CONNECT_TIMEOUT_SECONDS = 10
BATCH_PREFIX = "_alembic_tmp_"  # what Alembic's batch operations put before the name of a table's copy
READ_LOCK_TIMEOUT_MS = 500
READ_STATEMENT_TIMEOUT_MS = 5_000

ConnectCause = Literal[
    "name",
    "refused",
    "timeout",
    "tls",
    "password",
    "no-database",
    "too-many-connections",
    "driver-missing",
    "not-a-database",
    "not-readable",
    "bad-url",
    "secret",
    "pooler",
    "other",
]
StatementCause = Literal["lock-timeout", "statement-timeout", "cancelled", "lost", "failed"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a run may wait for a lock and how long one statement may take, in milliseconds; 0 is no limit.

    `silence_ms`: how long a server may answer nobody at all before the run takes the line for lost.
    """

    lock_ms: int = 10_000
    statement_ms: int = 0
    silence_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Pooler:
    """A connection pooler between us and the server.

    `keeps_sessions`: whether each client has a session of the server to itself; None where that could not be told.
    `server` is where the server itself listens, as it says, in words. `dropped` is the search_path that the URL wants
    and the session has not.
    """

    keeps_sessions: bool | None
    server: str
    dropped: str | None = None


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server says of itself to this session."""

    version: str
    database: str
    schema: str | None  # where an unqualified CREATE TABLE would go; None where no schema of search_path may be used
    user: str | None
    missing_schemas: tuple[str, ...] = ()
    read_only: str | None = None  # why a write would be refused, as a sentence; None where it would not
    closed_schemas: tuple[str, ...] = ()  # of search_path, which are there and which the role may not use
    may_create_schemas: bool = True
    may_create_tables: bool = True  # in `schema`
    address: str | None = None  # where the driver is connected: 'db1:5432', or a socket; None for a file
    tls: str | None = None  # the protocol's version; None without
    pooler: Pooler | None = None
    experimental: str | None = None  # that this kind of database is, as a sentence
    hidden: str | None = None  # what this role may not see of others, as a sentence


@dataclass(frozen=True, slots=True)
class VersionTable:
    """One version table found in the database: `rows` is None where `problem` says why it cannot be read."""

    schema: str | None
    name: str
    rows: tuple[str, ...] | None
    effective: bool  # the one that Alembic would use
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a run left behind: an invalid index, a table of a batch operation, an enum type that nothing uses."""

    kind: Literal["invalid-index", "leftover-table", "leftover-type"]
    schema: str | None
    name: str
    table: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table in a listing; `rows` is the server's estimate, `bytes` includes indexes; None where unknown."""

    schema: str | None
    name: str
    rows: int | None
    bytes: int | None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str  # as the server spells it: 'character varying(255)'
    nullable: bool
    default: str | None = None  # the expression's text


@dataclass(frozen=True, slots=True)
class Index:
    name: str
    columns: tuple[str, ...]  # column names, or the text of an expression
    unique: bool = False
    valid: bool = True
    definition: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    name: str | None
    columns: tuple[str, ...]
    referred_schema: str | None
    referred_table: str
    referred_columns: tuple[str, ...]
    on_delete: str | None = None  # 'CASCADE', 'SET NULL', …; None for the default


@dataclass(frozen=True, slots=True)
class Constraint:
    """A unique or check constraint; primary and foreign keys have fields of their own."""

    name: str | None
    kind: Literal["unique", "check", "exclude"]
    definition: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnumType:
    """An enum type with its values in their order."""

    schema: str | None
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableDetail:
    table: Table
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    indexes: tuple[Index, ...]
    foreign_keys: tuple[ForeignKey, ...]
    constraints: tuple[Constraint, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is counted of a table: all rows, those with something in `column`, or those with `value` there."""

    column: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """`rows` is the server's estimate where it is not `exact`, None where it has none; then `problem` says why."""

    rows: int | None
    exact: bool
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class LockWait:
    """What a session waits for: a relation's name (or another kind of lock, described) and the mode wanted."""

    relation: str | None
    mode: str | None


@dataclass(frozen=True, slots=True)
class HeldLock:
    relation: str
    mode: str


@dataclass(frozen=True, slots=True)
class Session:
    """One session of the database; times in milliseconds, None where there is none or it may not be seen.

    On SQLite it is a process that holds a lock on the file, with its command's name as `application`.
    """

    pid: int
    user: str | None
    application: str | None
    client: str | None  # an address, or None for a local socket
    state: str | None  # 'active', 'idle in transaction', …
    query: str | None
    transaction_ms: int | None
    query_ms: int | None
    waits_for: LockWait | None = None
    holds: tuple[HeldLock, ...] = ()
    blocked_by: tuple[int, ...] = ()
    queued_behind: tuple[int, ...] = ()  # those of `blocked_by` that only stand before it in the queue
    began: str | None = None  # when the session began, as the server writes it: with `pid`, who it is


@dataclass(frozen=True, slots=True)
class StatementProgress:
    """How far a statement has come, as the server counts it; `estimate` where it is our guess.

    `done` and `total` are in `unit`; `total` None where nobody knows it.
    """

    doing: str  # 'building index', 'rewriting table', …
    relation: str | None
    phase: str | None  # the server's own word for where it is
    done: int
    total: int | None
    unit: Literal["blocks", "rows", "bytes", "sessions"]
    estimate: bool = False


@dataclass(frozen=True, slots=True)
class MutexHolder:
    """Who keeps others from migrating: `session` where the server tells, `since` in ISO 8601 UTC."""

    pid: int | None
    session: Session | None = None
    since: str | None = None
    note: str | None = None  # what the holder wrote of itself, on SQLite

    def described(self) -> str:
        """The holder in one line: 'process 4711 (rollback), since 2026-01-01T00:00:00+00:00'."""
        who = f"process {self.pid}" if self.session is None else f"session {self.pid}"
        if self.pid is None:
            who = "somebody"
        what = self.note or (self.session.application if self.session else None)
        since = f", since {self.since}" if self.since else ""
        return f"{who} ({what}){since}" if what else f"{who}{since}"


@dataclass(frozen=True, slots=True)
class Failure:
    """What a driver's error means: a cause the program can act on, and the server's own words, redacted."""

    cause: ConnectCause | StatementCause
    message: str
    silent: bool = False  # nobody answered, not even to refuse
    advice: str | None = None  # what to do next, where more is known than the cause tells


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
