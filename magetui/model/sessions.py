"""Sessions of a database: the locks they hold and wait for, and the progress of a statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from magetui.model.lock_modes import LockMode, lock_mode

PROCESS_STATES = frozenset({"open", "reading", "writing"})
PREPARED = 0  # the pid that pg_blocking_pids() gives a prepared transaction (PostgreSQL manual, 9.26)
READER = "magetui"  # the application name of the connections that only read
PASSING_MS = 60_000


@dataclass(frozen=True, slots=True)
class LockWait:
    """A lock that a session waits for: the relation, or a description of another kind of lock, and the lock mode."""

    relation: str | None
    mode: str | None


@dataclass(frozen=True, slots=True)
class HeldLock:
    relation: str
    mode: str


@dataclass(frozen=True, slots=True)
class Session:
    """One session of the database. Times are milliseconds; None if there is none or the role may not see it.

    On SQLite, a session is a process that holds a lock on the file, and `application` is the name of its command.
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
    queued_behind: tuple[int, ...] = ()  # the part of `blocked_by` that only waits in front of this session
    began: str | None = None  # its start as the server writes it; identifies the session together with `pid`
    waited_ms: int | None = None  # for the lock; None if the server does not tell (PostgreSQL before 14)
    has_mutex: bool = False  # it holds the migration mutex
    has_written: bool | None = None  # whether its transaction has written anything; None if that is not known

    @property
    def is_background(self) -> bool:
        """Return True for a process of the server itself: every client has a role. 0 is a prepared transaction."""
        return self.user is None and self.pid != 0

    @property
    def named(self) -> str:
        """Return the session at the start of a sentence: 'Session 4711 (mage-server)'."""
        return f"Session {self.pid}" + (f" ({self.application})" if self.application else "")

    @property
    def doing(self) -> str:
        """Return the state in a sentence: 'idle in a transaction' for 'idle in transaction'."""
        return (self.state or "").replace("idle in transaction", "idle in a transaction")

    @property
    def is_passing_reader(self) -> bool:
        """Return whether this is a reader of magetui that will soon be gone: it is younger than a minute."""
        return self.application == READER and self.transaction_ms is not None and self.transaction_ms < PASSING_MS

    @property
    def is_process(self) -> bool:
        """Return True for a process of this machine that has a SQLite database open. No server can end it."""
        return self.state in PROCESS_STATES


@dataclass(frozen=True, slots=True)
class StatementProgress:
    """The progress of a statement, as the server counts it. If `estimate`, it is this program's estimate.

    `done` and `total` are in `unit`; `total` is None if it is not known.
    """

    doing: str  # 'building index', 'rewriting table', …
    relation: str | None
    phase: str | None  # the phase in the server's own words
    done: int
    total: int | None
    unit: Literal["blocks", "rows", "bytes", "sessions"]
    estimate: bool = False


@dataclass(frozen=True, slots=True)
class MutexHolder:
    """The holder of the migration mutex: its `session`, if the server shows it, and `since` when (ISO 8601, UTC)."""

    pid: int | None
    session: Session | None = None
    since: str | None = None
    note: str | None = None  # SQLite: what the holder wrote into the lock file

    def found_in(self, sessions: Iterable[Session]) -> MutexHolder:
        """Return the holder with its session, if that is one of `sessions`."""
        return replace(self, session=next((session for session in sessions if session.pid == self.pid), None))

    def waited_for(self, limit_seconds: float) -> str:
        """Return that the holder kept the lock, and what it is doing, as a sentence for the run that gave up."""
        session, doing = self.session, ""
        if self.pid is None:
            who = "Somebody else"
        elif session is None:
            who = f"Process {self.pid}" + (f" ({self.note})" if self.note else "")
        else:
            who = session.named
        # The session that holds the lock for a run of magetui idles while another one works.
        if session is not None and session.state and not (session.application or "").startswith(f"{READER} run "):
            doing = f"; it is {session.doing}"
        return f"{who} holds the migration lock and did not release it within {limit_seconds:g} s{doing}."

    def described(self) -> str:
        """Return the holder in one line: 'process 4711 (rollback), since 2026-01-01T00:00:00+00:00'."""
        who = f"process {self.pid}" if self.session is None else f"session {self.pid}"
        if self.pid is None:
            who = "somebody"
        what = self.note or (self.session.application if self.session else None)
        since = f", since {self.since}" if self.since else ""
        return f"{who} ({what}){since}" if what else f"{who}{since}"


def is_migrator(session: Session, version_table: str) -> bool:
    """Return whether the session changes the schema or the version table, in a transaction that has read the latter.

    A migration of Alembic reads the version table first, and writes to it after each step. Until then, its steps hold
    strong locks on other tables. magetui's own sessions are left out: those of a run hold the mutex.
    """
    if (session.application or "").startswith("magetui"):
        return False
    modes = [(held.relation.rpartition(".")[2], lock_mode(held.mode)) for held in session.holds]
    on_version_table = [mode for name, mode in modes if name == version_table and mode is not None]
    strongest = max((mode.strength for _, mode in modes if mode is not None), default=0)
    writes = any(mode.strength >= LockMode.ROW_EXCLUSIVE.strength for mode in on_version_table)
    return writes or (bool(on_version_table) and strongest >= LockMode.SHARE_UPDATE_EXCLUSIVE.strength)
