"""The waits of a run, written to its journal: at once when a wait starts, again when the sessions in it change.

Asking whether the run waits costs the server almost nothing. The list of the blockers costs more, the more sessions
there are, so it is read less often, the longer the read took.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy.engine import Connection

from magetui.backends.base import Backend
from magetui.backends.polling import SessionPoller
from magetui.model.server import Timeouts
from magetui.model.sessions import LockWait, Session
from magetui.protocol import events
from magetui.protocol.journal import Journal, milliseconds_since, now

MOST_LISTED = 40  # blockers, and waiters, in one event


class Waits:
    """The waits of one run. The watcher calls `waiting` at each pulse that the run waits, and `over` at each other."""

    def __init__(self, backend: Backend, journal: Journal, timeouts: Timeouts) -> None:
        self._journal = journal
        self._timeouts = timeouts
        self._began: float | None = None  # time.monotonic()
        self._since = ""
        self._next_look = 0.0
        self._poller = SessionPoller(backend)
        self._reported: tuple[object, ...] | None = None

    def waiting(self, connection: Connection, own: int | None, waited_ms: int = 0) -> None:
        """Write who blocks `own`, the migrating session (None on SQLite), if it is time to read and there is news."""
        began = time.monotonic()
        if self._began is None:
            self._began, self._since, self._next_look = began - waited_ms / 1000, now(), began
        if began < self._next_look:
            return
        sessions, rest = self._poller.poll(connection)
        self._next_look = time.monotonic() + rest
        if own is None:
            self._report(LockWait("the database file", "write lock"), sessions, (), None)
            return
        by_pid = {session.pid: session for session in sessions}
        session = by_pid.get(own)
        if session is None or session.waits_for is None:
            return  # the wait ended before the sessions were read
        blockers = tuple(blockers_of(own, by_pid))
        waiters = waiters_behind(own, {blocker.pid for blocker in blockers}, sessions)
        self._report(session.waits_for, blockers, waiters, session)

    def over(self) -> None:
        """Write that the run got its lock, if it was waiting."""
        if self._began is not None:
            waited_ms = milliseconds_since(self._began)
            self._journal.append(events.LockObtained(at=now(), waited_ms=waited_ms))
            self._began, self._reported = None, None

    def _report(
        self, waits_for: LockWait, blockers: tuple[Session, ...], waiters: tuple[Session, ...], own: Session | None
    ) -> None:
        pid = None if own is None else own.pid
        pids = {pid, *(session.pid for session in (*blockers[:MOST_LISTED], *waiters[:MOST_LISTED]))}
        listed = [tuple(_among(s, pids) for s in sessions[:MOST_LISTED]) for sessions in (blockers, waiters)]
        first_blockers, first_waiters = listed
        listed_own = None if own is None else _among(own, pids)
        blocked_by, queued_behind = (listed_own.blocked_by, listed_own.queued_behind) if listed_own else ((), ())
        event = events.LockAwaited(
            at=now(),
            since=self._since,
            timeout_ms=self._timeouts.lock_ms,
            waits_for=waits_for,
            blockers=first_blockers,
            waiting_behind=first_waiters,
            more_behind=len(waiters) - len(first_waiters),
            session=pid,
            blocked_by=blocked_by,
            queued_behind=queued_behind,
        )
        # Without the times, which change while nothing happens.
        timeless = (tuple(replace(s, transaction_ms=None, query_ms=None) for s in first) for first in listed)
        news = (replace(event, at="", blockers=(), waiting_behind=()), *timeless)
        if news != self._reported:
            self._reported = news
            self._journal.append(event)


def blockers_of(own: int, by_pid: dict[int, Session]) -> Iterable[Session]:
    """Yield the blockers of the session `own`, and their blockers, nearest first."""
    seen, frontier = {own}, [own]
    while frontier:
        session = by_pid.get(frontier.pop(0))
        for pid in session.blocked_by if session else ():
            if pid not in seen:
                seen.add(pid)
                frontier.append(pid)
                if pid in by_pid:
                    yield by_pid[pid]


def waiters_behind(own: int, blockers: set[int], sessions: tuple[Session, ...]) -> tuple[Session, ...]:
    """Return the sessions that wait for the session `own`, and those that wait for them."""
    pids = {own}
    grew = True
    while grew:
        more = {
            session.pid for session in sessions if session.pid not in pids | blockers and pids & {*session.blocked_by}
        }
        grew = bool(more)
        pids |= more
    return tuple(session for session in sessions if session.pid in pids - {own})


def _among(session: Session, pids: set[int | None]) -> Session:
    """Return the session with only those of its blockers that are listed: each of hundreds may name all the others."""
    return replace(
        session,
        blocked_by=tuple(pid for pid in session.blocked_by if pid in pids),
        queued_behind=tuple(pid for pid in session.queued_behind if pid in pids),
    )
