"""The wait queue of a lock: who is served next, and what ending a session would change.

PostgreSQL serves the waiters of a lock in the order in which they came, and a waiter blocks those behind it whose modes
conflict with its own (manual, 13.3; lock.c). So two kinds of edges lead to a blocker: a hard one, because it holds a
conflicting lock, and a soft one, because it is before us in the queue (`Session.queued_behind`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magetui.model.sessions import Session


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of ending a session.

    `freed` get their locks at once, `still` wait for other sessions too, and `behind` only queue behind the freed ones.
    """

    freed: tuple[Session, ...]
    still: tuple[Session, ...]
    behind: tuple[Session, ...] = ()


def served_in_order(sessions: Iterable[Session]) -> list[Session]:
    """Return the waiting sessions in the order in which the server serves them: who came first comes first.

    The server tells since when a session waits (pg_locks.waitstart, from 14 on); else the age of its query decides.
    """
    waiting = [session for session in sessions if session.waits_for is not None]
    return sorted(waiting, key=service_order)


def service_order(session: Session) -> tuple[int, int]:
    """Return the key that sorts the waiters of a lock in the order in which the server serves them."""
    return -(waited_ms(session) or 0), session.pid


def waited_ms(session: Session) -> int | None:
    """Return how long a session has waited for its lock, in milliseconds; None if it is not known."""
    return session.query_ms if session.waited_ms is None else session.waited_ms


def ahead_of(own: Session, sessions: Iterable[Session]) -> list[Session]:
    """Return the sessions that only wait in front of `own`, the next to be served first."""
    return served_in_order(session for session in sessions if session.pid in own.queued_behind)


def effect_of_ending(pid: int, sessions: Sequence[Session]) -> Effect:
    """Return what ending the session changes for the sessions that it blocks, and for the waiters behind these."""
    blocked = served_in_order(session for session in sessions if pid in session.blocked_by)
    freed = tuple(session for session in blocked if {*session.blocked_by} == {pid})
    pids = {session.pid for session in freed}
    behind = served_in_order(s for s in sessions if pid not in s.blocked_by and pids.intersection(s.queued_behind))
    return Effect(freed, tuple(session for session in blocked if session not in freed), tuple(behind))
