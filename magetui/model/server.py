"""Facts about a server and a session on it, and the meaning of its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ServerCause = Literal["refused", "timeout", "tls", "password", "no-database", "too-many-connections", "pooler"]
ConnectCause = Literal[
    ServerCause, "name", "driver-missing", "not-a-database", "not-readable", "bad-url", "secret", "other"
]
ErrorKind = Literal[
    "duplicates",
    "nulls",
    "orphans",
    "check",
    "too-long",
    "not-castable",
    "rights",
    "exists",
    "missing",
    "in-use",
    "disk",
    "read-only",
]
StatementCause = Literal["lock-timeout", "deadlock", "statement-timeout", "cancelled", "lost", "failed"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The limits of a run in milliseconds: for each wait for a lock, and for each statement. 0 is no limit.

    `silence_ms`: how long a server may answer no session at all before the run gives its connection up.
    """

    lock_ms: int = 10_000
    statement_ms: int = 0
    silence_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Pooler:
    """A connection pooler between this program and the server.

    `keeps_sessions`: whether each client has its own session on the server; None if that could not be found out.
    `server`: where the server itself listens, by its own account, in words. `dropped`: the search_path that the URL
    sets and the session does not have.
    """

    keeps_sessions: bool | None
    server: str
    dropped: str | None = None


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the server reports about itself and this session."""

    version: str
    database: str
    schema: str | None  # the default schema; None if the role may use no schema of search_path
    user: str | None
    missing_schemas: tuple[str, ...] = ()
    read_only: str | None = None  # why a write would be refused, as a sentence; None if it would not
    closed_schemas: tuple[str, ...] = ()  # of search_path, which exist but which the role may not use
    may_create_schemas: bool = True
    may_create_tables: bool = True  # in `schema`
    may_become: tuple[str, ...] = ()  # the owners of tables in `schema` whose role this role may take on
    address: str | None = None  # that the driver is connected to: 'db1:5432', or a socket; None for a file
    tls: str | None = None  # the version of the protocol; None without TLS
    pooler: Pooler | None = None
    experimental: str | None = None  # a sentence, if the support of this kind of database is experimental
    hidden: str | None = None  # which facts about other sessions this role may not see, as a sentence


@dataclass(frozen=True, slots=True)
class ErrorSubject:
    """The table, and its columns, that an error of the server is about; as far as the server names them."""

    schema: str | None = None
    table: str | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """The meaning of a driver's error: a cause that the program can act on, and the server's own message, redacted.

    `kind` and `subject` tell more about a statement that failed.
    """

    cause: ConnectCause | StatementCause
    message: str
    silent: bool = False  # there was no answer at all, not even a refusal
    advice: str | None = None  # what to do next, if more is known than the cause
    kind: ErrorKind | None = None
    subject: ErrorSubject | None = None


class RunStoppedError(Exception):
    """The backend stops a run, since the transaction is no longer what the run relies on. The message is a sentence."""
