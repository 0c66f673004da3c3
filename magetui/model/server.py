"""What a server says of itself, and what its errors mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
class Failure:
    """What a driver's error means: a cause the program can act on, and the server's own words, redacted."""

    cause: ConnectCause | StatementCause
    message: str
    silent: bool = False  # nobody answered, not even to refuse
    advice: str | None = None  # what to do next, where more is known than the cause tells
