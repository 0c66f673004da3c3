"""Sessions of a database: what they hold, what they wait for, and how far a statement is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
