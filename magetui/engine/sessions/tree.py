"""The wait queue as a tree, which shows each session once, under a session that it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from magetui.engine.sessions.queue import service_order

if TYPE_CHECKING:
    from magetui.model.sessions import Session

RootOrder = Literal["blocks", "transaction", "pid"]


@dataclass(frozen=True, slots=True)
class Branch:
    """A session in the tree, under the session `above` (None for a root, which has depth 0).

    `waiting` counts the sessions below it, and at least the sessions that it blocks directly: a session that waits for
    several blockers stands under only one of them. `queued` is True if the session above holds no lock that this
    session needs, but is before it in the queue. `unseen` are the pids of blockers that are not in the list. `circle`
    is True for a root that waits for a session below it (a deadlock).
    """

    session: Session
    depth: int
    waiting: int
    above: int | None = None
    queued: bool = False
    unseen: tuple[int, ...] = ()
    circle: bool = False

    @property
    def other_blockers(self) -> tuple[int, ...]:
        """Return the other listed blockers: they still block the session after the session above has ended."""
        excluded = {*self.session.queued_behind, self.session.pid, self.above, *self.unseen}
        return tuple(pid for pid in self.session.blocked_by if pid not in excluded)


def wait_tree(sessions: Sequence[Session], order: RootOrder = "blocks") -> tuple[Branch, ...]:
    """Return every session once: roots with the most waiters first, or with the oldest transaction, or by pid.

    The sessions below the same session are in the order in which the server serves them.

    A session with several blockers stands under one that holds its lock, not under one that is only before it in the
    queue. Example: 2 waits for 1, and 3 waits for 1 behind 2. The branches are 1 (waiting 2), 2 and 3, both below 1.
    The time is linear in sessions and edges, and there is no recursion: a queue may be thousands of sessions long.
    """
    by_pid = {session.pid: session for session in sessions}
    above = {session.pid: _above(session, by_pid) for session in sessions}
    circles = _cut_circles(above)
    below: dict[int | None, list[int]] = {}
    for session in sorted(by_pid.values(), key=service_order):
        below.setdefault(above[session.pid], []).append(session.pid)

    roots = below.get(None, [])
    waiting = dict.fromkeys(by_pid, 0)
    for pid, _depth in reversed(list(_walk(roots, below))):
        parent = above[pid]
        if parent is not None:
            waiting[parent] += waiting[pid] + 1
    direct = Counter(pid for s in sessions for pid in set(s.blocked_by).difference(s.queued_behind))
    waiting = {pid: max(count, direct[pid]) for pid, count in waiting.items()}
    roots.sort()
    if order == "blocks":
        roots.sort(key=lambda pid: -waiting[pid])
    elif order == "transaction":
        roots.sort(key=lambda pid: -(by_pid[pid].transaction_ms or 0))

    branches = []
    for pid, depth in _walk(roots, below):
        session = by_pid[pid]
        branches.append(
            Branch(
                session,
                depth,
                waiting[pid],
                above=above[pid],
                queued=above[pid] in session.queued_behind,
                unseen=tuple(blocker for blocker in session.blocked_by if blocker not in by_pid),
                circle=pid in circles,
            )
        )
    return tuple(branches)


def _above(session: Session, by_pid: Mapping[int, Session]) -> int | None:
    """Return the blocker to place the session under: a lock holder if possible, else one that is ahead in the queue."""
    blockers = [pid for pid in session.blocked_by if pid in by_pid and pid != session.pid]
    holders = [pid for pid in blockers if pid not in session.queued_behind]
    return next(iter([*holders, *blockers]), None)


def _cut_circles(above: dict[int, int | None]) -> set[int]:
    """Make the session with the lowest pid of each circle a root, and return these pids."""
    cut: set[int] = set()
    done: set[int] = set()
    for start in above:
        path: dict[int, None] = {}
        pid: int | None = start
        while pid is not None and pid not in done and pid not in path:
            path[pid] = None
            pid = above[pid]
        if pid in path:
            walked = list(path)
            first = min(walked[walked.index(pid) :])
            above[first] = None
            cut.add(first)
        done.update(path)
    return cut


def _walk(roots: Sequence[int], below: Mapping[int | None, Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Yield (pid, depth) from the roots down, each session before the sessions below it."""
    stack = [(pid, 0) for pid in reversed(roots)]
    while stack:
        pid, depth = stack.pop()
        yield pid, depth
        stack.extend((child, depth + 1) for child in reversed(below.get(pid, ())))
