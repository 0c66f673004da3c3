"""The wait queue in sentences, for the run screen, the list of sessions and the report of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from magetui.engine.sessions.queue import ahead_of, effect_of_ending
from magetui.model.sessions import Session
from magetui.text import formats

if TYPE_CHECKING:
    from magetui.engine.runs.record import Wait

NAMED_AT_MOST = 3
NO_SESSION = -1  # stands for the run's own session, whose number does not matter here


def ahead(own: Session, sessions: Sequence[Session]) -> str | None:
    """Return who is served before `own` in the same queue, so that ending the lock's holder is not enough; or None."""
    first = ahead_of(own, sessions)
    if not first:
        return None
    holders = [pid for pid in own.blocked_by if pid not in own.queued_behind]
    wants = formats.wanted(first[0].waits_for)
    others = f", then {_names(first[1:])}" if first[1:] else ""
    ended = f"Ending {_pids(holders)} is not enough: " if holders else ""
    return f"{ended}{_name(first[0])} is next and takes {wants}{others}."


def ahead_of_run(wait: Wait) -> str | None:
    """Return who is served before a run that waits; None if nobody is."""
    own = Session(NO_SESSION, None, None, None, "active", None, None, None, wait.waits_for)
    own = replace(own, blocked_by=wait.blocked_by, queued_behind=wait.queued_behind)
    return ahead(own, wait.blockers)


def effect(session: Session, sessions: Sequence[Session], frees: str = "Ending it frees") -> Iterator[str]:
    """Yield what ending a session changes for those that it blocks, as sentences; nothing if it blocks nobody.

    `frees` starts the first sentence.
    """
    ended = effect_of_ending(session.pid, sessions)
    if ended.freed:
        yield f"{frees} {_names(ended.freed)} at once."
    if ended.behind:
        blockers = {pid for other in ended.behind for pid in other.queued_behind}
        waits = "waits" if len(ended.behind) == 1 else "wait"
        next_pids = [other.pid for other in ended.freed if other.pid in blockers]
        yield f"{_names(ended.behind)} then {waits} for {_pids(next_pids)}."
    for other in ended.still[:NAMED_AT_MOST]:
        rest = [pid for pid in other.blocked_by if pid != session.pid]
        yield f"{_name(other)} still waits for {_pids(rest)}."
    if len(ended.still) > NAMED_AT_MOST:
        yield f"{len(ended.still) - NAMED_AT_MOST} more still wait for others."


def _name(session: Session) -> str:
    return f"{session.pid} ({formats.one_line(session.application)})" if session.application else str(session.pid)


def _names(sessions: Sequence[Session]) -> str:
    return formats.some([_name(session) for session in sessions], NAMED_AT_MOST)


def _pids(pids: Sequence[int]) -> str:
    return formats.some([str(pid) for pid in pids], NAMED_AT_MOST)
