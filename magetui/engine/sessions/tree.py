"""The tree of who waits for whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from magetui.model.sessions import Session


@dataclass(frozen=True, slots=True)
class Branch:
    """A session in the tree, under the session `above` (None for a root, whose `depth` is 0).

    `waiting` counts those behind it, all the way, or at least those that it keeps waiting itself: one that waits for
    several stands under one of them alone. `queued`: the one above holds nothing that this one needs, it only
    stands before it in the queue. `unseen`: blockers that are not among the sessions. `circle`: a root because it and
    those below wait for one another.
    """

    session: Session
    depth: int
    waiting: int
    above: int | None = None
    queued: bool = False
    unseen: tuple[int, ...] = ()
    circle: bool = False

    @property
    def also(self) -> tuple[int, ...]:
        """Others among the sessions that hold what it waits for: when the one above has ended, they are in the way."""
        soft = {*self.session.queued_behind, self.session.pid, self.above, *self.unseen}
        return tuple(pid for pid in self.session.blocked_by if pid not in soft)


def tree(sessions: Sequence[Session]) -> tuple[Branch, ...]:
    """Every session once: root blockers with most behind them first, each waiting one under whom it waits for.

    A session that waits for several stands under one that holds what it wants, rather than under one that is only
    before it in the queue. Linear in the number of sessions and edges, without recursion.
    """
    by_pid = {session.pid: session for session in sessions}
    above = {session.pid: _above(session, by_pid) for session in sessions}
    circles = _cut_circles(above)
    below: dict[int | None, list[int]] = {}
    for pid in sorted(by_pid):
        below.setdefault(above[pid], []).append(pid)

    roots = below.get(None, [])
    waiting = dict.fromkeys(by_pid, 0)
    for pid, _depth in reversed(list(_walk(roots, below))):
        parent = above[pid]
        if parent is not None:
            waiting[parent] += waiting[pid] + 1
    direct = Counter(pid for s in sessions for pid in set(s.blocked_by).difference(s.queued_behind))
    waiting = {pid: max(count, direct[pid]) for pid, count in waiting.items()}
    roots.sort(key=lambda pid: (-waiting[pid], pid))

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
    soft = set(session.queued_behind)
    seen = [pid for pid in session.blocked_by if pid in by_pid and pid != session.pid]
    return next((pid for pid in seen if pid not in soft), seen[0] if seen else None)


def _cut_circles(above: dict[int, int | None]) -> set[int]:
    """Make the lowest number of each circle a root; returns those."""
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
    """(pid, depth) from the roots down, each before those under it."""
    stack = [(pid, 0) for pid in reversed(roots)]
    while stack:
        pid, depth = stack.pop()
        yield pid, depth
        stack.extend((child, depth + 1) for child in reversed(below.get(pid, ())))
