"""Sessions, what they hold and wait for, and the tree of who waits for whom."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.exc import DBAPIError

from magetui.backends.base import Session
from magetui.engine.errors import MagetuiError, RefusedError
from magetui.engine.workspace import Workspace

# A run's watcher and the holder of its mutex: no concern of the operator's, the migrating session stands for them.
OWN_HELPER = re.compile(r"^magetui run \d+ (watcher|mutex)$")


@dataclass(frozen=True, slots=True)
class Branch:
    """A session in the tree: `depth` 0 for one that nobody blocks; `waiting` counts those behind it, all the way."""

    session: Session
    depth: int
    waiting: int


def list_sessions(workspace: Workspace) -> tuple[Session, ...]:
    """The other sessions of the database. Raises `ConnectError`."""
    with workspace.reading() as connection:
        sessions = workspace.backend.sessions(connection)
    clean = workspace.target.clean  # a colleague's ALTER ROLE … PASSWORD is nobody's business
    return tuple(
        replace(session, query=clean(session.query)) if session.query else session
        for session in sessions
        if not OWN_HELPER.search(session.application or "")
    )


def tree(sessions: Sequence[Session]) -> tuple[Branch, ...]:
    """Every session once: root blockers with most behind them first, each waiting one under whom it waits for.

    A session that waits for several stands under the first of them; one in a deadlock's circle, or whose blocker is
    not among `sessions`, is a root.
    """
    by_pid = {session.pid: session for session in sessions}
    parent = {s.pid: next((b for b in s.blocked_by if b in by_pid and b != s.pid), None) for s in sessions}
    for session in sessions:
        seen, one = set(), session.pid
        while (above := parent[one]) is not None:
            if above in seen:
                parent[session.pid] = None  # a circle: begin it here
                break
            seen.add(above)
            one = above
    below: dict[int | None, list[Session]] = {}
    for session in sessions:
        below.setdefault(parent[session.pid], []).append(session)

    branches: list[Branch] = []

    def count(session: Session) -> int:
        return sum(1 + count(child) for child in below.get(session.pid, ()))

    def grow(session: Session, depth: int) -> None:
        branches.append(Branch(session, depth, count(session)))
        for child in sorted(below.get(session.pid, ()), key=lambda s: s.pid):
            grow(child, depth + 1)

    for root in sorted(below.get(None, ()), key=lambda s: (-count(s), s.pid)):
        grow(root, 0)
    return tuple(branches)


def end_query(workspace: Workspace, pid: int) -> None:
    """Cancel what a session runs; the session stays. Raises `RefusedError` where it may not be, or is not there."""
    _signal(workspace, pid, terminate=False)


def end_session(workspace: Workspace, pid: int) -> None:
    """End a session: what it had not committed is rolled back. Raises as `end_query`."""
    _signal(workspace, pid, terminate=True)


def _signal(workspace: Workspace, pid: int, *, terminate: bool) -> None:
    if workspace.selection.read_only:
        raise RefusedError("--read-only is set, so no session is touched.")
    with workspace.reading() as connection:
        session = next((s for s in workspace.backend.sessions(connection) if s.pid == pid), None)
        if session is None:
            raise RefusedError(f"There is no session {pid} in this database any more.")
        if (session.application or "").startswith("magetui run"):
            raise RefusedError(f"Session {pid} is a run of magetui's own. Cancel the run instead: 'magetui runs'.")
        act = workspace.backend.terminate if terminate else workspace.backend.cancel
        try:
            reached = act(connection, pid)
        except DBAPIError as error:
            if "permission denied" in str(error).lower():
                what = "terminate" if terminate else "cancel"
                raise RefusedError(
                    f"The role may not {what} session {pid} of {session.user}: that takes membership in its role or in "
                    "pg_signal_backend."
                ) from None
            raise
    if not reached:
        raise MagetuiError(f"Session {pid} could not be reached; it may have ended by itself.")
