"""What a run waits for, told to its journal: at once when a wait begins, again when the sessions in it change.

Whether the run waits is asked of the server several times a second, which costs it next to nothing. For whom it waits
costs more, the more sessions there are, so that is asked at once and then the more rarely, the longer it took.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from sqlalchemy import Connection

from magetui.backends.base import Backend
from magetui.backends.polling import Looks
from magetui.model.server import Timeouts
from magetui.model.sessions import LockWait, Session
from magetui.protocol import events
from magetui.protocol.journal import Journal, now

MOST_TOLD = 40  # sessions of a kind in one event


class Waits:
    """Of one run: `waiting` at each look that finds it so, `over` at each that does not."""

    def __init__(self, backend: Backend, journal: Journal, timeouts: Timeouts) -> None:
        self._journal = journal
        self._timeouts = timeouts
        self._began: float | None = None  # time.monotonic()
        self._since = ""
        self._next_look = 0.0
        self._looks = Looks(backend)
        self._told: tuple[object, ...] | None = None

    def waiting(self, connection: Connection, own: int | None, waited_ms: int = 0) -> None:
        """Write who is in the way, if it is time to look and there is news. `own`: None where there are no sessions.

        `waited_ms` is how long the wait has lasted already.
        """
        began = time.monotonic()
        if self._began is None:
            self._began, self._since, self._next_look = began - waited_ms / 1000, now(), began
        if began < self._next_look:
            return
        sessions, rest = self._looks.look(connection)
        self._next_look = time.monotonic() + rest
        if own is None:
            self._tell(LockWait("the database file", "write lock"), sessions, (), None)
            return
        by_pid = {session.pid: session for session in sessions}
        mine = by_pid.get(own)
        if mine is None or mine.waits_for is None:
            return  # the wait ended between the two looks
        blockers = tuple(in_the_way(own, by_pid))
        self._tell(mine.waits_for, blockers, behind(own, {b.pid for b in blockers}, sessions), mine)

    def over(self) -> None:
        """It does not wait, or no longer."""
        if self._began is not None:
            waited_ms = int((time.monotonic() - self._began) * 1000)
            self._journal.append(events.LockObtained(at=now(), waited_ms=waited_ms))
            self._began, self._told = None, None

    def _tell(
        self, waits_for: LockWait, blockers: tuple[Session, ...], waiting: tuple[Session, ...], mine: Session | None
    ) -> None:
        own = None if mine is None else mine.pid
        told = {own, *(s.pid for s in blockers[:MOST_TOLD]), *(s.pid for s in waiting[:MOST_TOLD])}
        in_way, after = (tuple(_among(s, told) for s in many[:MOST_TOLD]) for many in (blockers, waiting))
        blocked_by, queued_behind = _edges(mine, told)
        sessions = tuple(_timeless(session) for session in (*in_way, *after))
        news = (waits_for, sessions, len(in_way), len(waiting), blocked_by, queued_behind)
        if news != self._told:
            self._told = news
            self._journal.append(
                events.LockAwaited(
                    at=now(),
                    since=self._since,
                    timeout_ms=self._timeouts.lock_ms,
                    waits_for=waits_for,
                    blockers=in_way,
                    waiting_behind=after,
                    more_behind=len(waiting) - len(after),
                    session=own,
                    blocked_by=blocked_by,
                    queued_behind=queued_behind,
                )
            )


def in_the_way(own: int, by_pid: dict[int, Session]) -> Iterable[Session]:
    """The sessions that `own` waits for, and those that they wait for, nearest first."""
    seen, frontier = {own}, [own]
    while frontier:
        session = by_pid.get(frontier.pop(0))
        for pid in session.blocked_by if session else ():
            if pid not in seen:
                seen.add(pid)
                frontier.append(pid)
                if pid in by_pid:
                    yield by_pid[pid]


def behind(own: int, blockers: set[int], sessions: tuple[Session, ...]) -> tuple[Session, ...]:
    """The sessions that wait for `own`, and those that wait for them."""
    found = {own}
    grew = True
    while grew:
        more = {s.pid for s in sessions if s.pid not in found | blockers and found & set(s.blocked_by)}
        grew = bool(more)
        found |= more
    return tuple(session for session in sessions if session.pid in found - {own})


def _among(session: Session, told: set[int | None]) -> Session:
    """The session with those of its blockers alone that are told too: of hundreds, each may name all the others."""
    blocked_by = tuple(pid for pid in session.blocked_by if pid in told)
    return replace(session, blocked_by=blocked_by, queued_behind=tuple(p for p in session.queued_behind if p in told))


def _edges(session: Session | None, told: set[int | None]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if session is None:
        return (), ()
    among = _among(session, told)
    return among.blocked_by, among.queued_behind


def _timeless(session: Session) -> Session:
    """The session without what changes by itself while it sits there."""
    return replace(session, transaction_ms=None, query_ms=None)
