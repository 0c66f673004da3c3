"""Sessions, what they hold and wait for, the tree of who waits for whom, and ending what is in the way.

Ending a session is somebody else's work lost, so it is done to the very session that was consented to or not at all:
a number may have been given to another in the meantime. What is said afterwards was read back.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.base import Session
from magetui.backends.looks import Looks
from magetui.backends.postgresql_query import INSUFFICIENT_PRIVILEGE, sqlstate
from magetui.engine import runs
from magetui.engine.errors import RefusedError, StateError
from magetui.engine.workspace import APPLICATION_NAME, Workspace
from magetui.runner.journal import now
from magetui.runner.request import SignalAction

# A run's watcher and the holder of its mutex: no concern of the operator's, the migrating session stands for them.
OWN_HELPER = re.compile(r"^magetui run \d+ (watcher|mutex)\b")
OWN_RUN = re.compile(r"^magetui run (\d+)\b")
OWN = "magetui"
PREPARED = 0  # the pid that pg_blocking_pids() gives a prepared transaction (manual, 9.26)

READ_BACK_SECONDS = 1.0

DOES: Mapping[SignalAction, str] = {"cancel": "cancel the query of", "terminate": "end"}


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


@dataclass(frozen=True, slots=True)
class Look:
    """The sessions at one moment, and how many seconds the server is to be left alone before the next look."""

    sessions: tuple[Session, ...]
    rest: float


@dataclass(frozen=True, slots=True)
class Signalled:
    """What became of a session that was cancelled or ended, as read back; `settled` None where it cannot be seen."""

    session: Session
    action: SignalAction
    settled: bool | None
    message: str


def list_sessions(workspace: Workspace) -> tuple[Session, ...]:
    """The other sessions of the database. Raises `ConnectError`."""
    with workspace.reading() as connection:
        return _shown(_all(workspace, connection))


def hidden(workspace: Workspace) -> str | None:
    """That the sessions of others may not be seen at all, as a sentence; None where they may."""
    if workspace.backend.name != "mssql":
        return None  # PostgreSQL shows that they are there
    with workspace.reading() as connection:
        return workspace.backend.server(connection).hidden


def looks(workspace: Workspace) -> Generator[Look, None, None]:
    """Look at the sessions over one connection, as often as the caller asks; close it when done. Raises as reading.

    A new connection for each look would cost the server more than the look.
    """
    with workspace.reading() as connection:
        made = Looks(workspace.backend)
        while True:
            sessions, rest = made.look(connection)
            yield Look(_shown(_cleaned(workspace, sessions)), rest)


def find_session(workspace: Workspace, pid: int) -> Session:
    """The session of that number. Raises `RefusedError` where there is none."""
    if pid == PREPARED:
        raise RefusedError(_prepared("ended from here"))
    with workspace.reading() as connection:
        session = next((s for s in _all(workspace, connection) if s.pid == pid), None)
    if session is None:
        raise RefusedError(f"There is no session {pid} in this database.")
    return session


def _shown(sessions: Sequence[Session]) -> tuple[Session, ...]:
    """Without the sessions that only watch a run, and those of a reading, which are gone by the next look."""
    return tuple(s for s in sessions if not OWN_HELPER.search(s.application or "") and not _only_reads(s))


def _only_reads(session: Session) -> bool:
    return session.application == APPLICATION_NAME and not session.holds and session.waits_for is None


def _all(workspace: Workspace, connection: Connection) -> tuple[Session, ...]:
    return _cleaned(workspace, workspace.backend.sessions(connection))


def _cleaned(workspace: Workspace, sessions: Sequence[Session]) -> tuple[Session, ...]:
    clean = workspace.target.clean  # a colleague's ALTER ROLE … PASSWORD is nobody's business
    return tuple(replace(s, query=clean(s.query)) if s.query else s for s in sessions)


# -- the tree


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


# -- acting


def loss(session: Session, action: SignalAction) -> str:
    """What it costs, as sentences for the one who is to consent."""
    if _is_background(session):
        return (
            "This is no client: it is a process of the server's own. To cancel it is harmless, its work is done again "
            "later by itself."
        )
    if action == "terminate":
        return "Its connection is closed. What it has not committed is rolled back; its client sees an error."
    return (
        "The session stays, and its query is given up. What its transaction has not committed is rolled back; its "
        "client sees an error."
    )


def objection(workspace: Workspace, session: Session, action: SignalAction) -> str | None:  # noqa: PLR0911 - a case each
    """Why that is not done to this session, where it can be told without asking the server; None where it may be."""
    pid, state = session.pid, session.state or ""
    run = OWN_RUN.match(session.application or "")
    if workspace.selection.read_only:
        return "--read-only is set, so no session is touched."
    if workspace.backend.name == "sqlite":
        who = f" ({session.application})" if session.application else ""
        return (
            f"{pid} is a process of this machine{who}, not a session of a server, so it is not magetui's to signal. If "
            f"it is yours, end it where it runs, or with: kill {pid}"
        )
    if pid == PREPARED:
        return _prepared("signalled")
    if workspace.backend.name == "mssql" and action == "cancel":
        return (
            f"SQL Server cannot cancel the query of session {pid} and leave the session. Only ending the session gives "
            "its locks back."
        )
    if run is not None and not _is_of_a_lost_run(workspace, session):
        return f"Session {pid} is run {run[1]} of magetui. Cancel the run instead: 'magetui runs {run[1]} --cancel'."
    if run is None and (session.application or "").startswith(OWN):
        return f"Session {pid} is one of magetui's own, which only reads. It is left alone."
    if _is_background(session):
        if action == "terminate":
            return f"{pid} is a process of the server's own ({session.application}). Cancel what it does instead."
        return None
    if action == "cancel" and state.startswith("idle in transaction"):
        return (
            f"Session {pid} runs no query that could be cancelled: it sits {state}. "
            "Only ending the session gives its locks back."
        )
    if action == "cancel" and state == "idle":
        return f"Session {pid} runs no query that could be cancelled: it is idle."
    return None


def end_query(workspace: Workspace, session: Session) -> Signalled:
    """Cancel what the session runs; it stays. For what was consented to: see the module.

    Takes up to about a second, to read back what became of it. Raises `RefusedError` where it is not done.
    """
    return _signal(workspace, session, "cancel")


def end_session(workspace: Workspace, session: Session) -> Signalled:
    """End the session: what it had not committed is rolled back. Otherwise as `end_query`."""
    return _signal(workspace, session, "terminate")


def _signal(workspace: Workspace, session: Session, action: SignalAction) -> Signalled:
    backend = workspace.backend
    refusal = objection(workspace, session, action)
    if refusal is not None:
        raise RefusedError(refusal)
    with workspace.reading() as connection:
        found = _same(workspace, connection, session)
        if found is None:
            raise RefusedError(f"Session {session.pid} has ended by itself. Nothing was done.")
        # What was told of it may be old by now: a run's journal is written when there is news.
        refusal = objection(workspace, found, action)
        if refusal is not None:
            raise RefusedError(refusal)
        if action == "cancel" and session.state == "active" and None not in (session.query, found.query):
            clean = workspace.target.clean
            if clean(found.query or "") != clean(session.query or ""):
                raise RefusedError(f"Session {session.pid} runs another query by now. Nothing was done: look again.")
        waiting = _kept_waiting(workspace, found)
        moment = now()  # before what it brings about
        try:
            act = backend.cancel if action == "cancel" else backend.terminate
            reached = act(connection, session.pid, session.began or found.began)
        except PermissionError as error:
            raise RefusedError(str(error)) from None
        except DBAPIError as error:
            if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                raise
            raise RefusedError(_no_privilege(workspace, found, action, error)) from None
        signalled = time.monotonic()
        if not reached:
            raise RefusedError(f"Session {session.pid} has ended by itself. Nothing was done.")
        message = ""
        try:
            runs.record_signal(workspace, found, action, waiting, moment)
        except StateError as error:
            message = f" It is not on record: {error.path} cannot be written."
        settled, said = _read_back(workspace, connection, found, action, signalled)
    return Signalled(found, action, settled, said + message)


def _kept_waiting(workspace: Workspace, session: Session) -> tuple[int, ...]:
    try:
        return runs.kept_waiting(workspace, session)
    except StateError:
        return ()  # that nothing can be put on record is said when it is tried


def _is_of_a_lost_run(workspace: Workspace, session: Session) -> bool:
    """Whether our own records have a run whose process is dead, on this database, with that very session.

    Then nobody is there to be asked to cancel it instead.
    """
    return any(
        record.outcome == "lost"
        and record.database == workspace.target.redacted
        and (record.session, record.application) == (session.pid, session.application)
        for record in runs.list_runs(workspace.environment, runs.NEWEST_RUNS)
    )


def _same(workspace: Workspace, connection: Connection, session: Session) -> Session | None:
    """The session as it is now; None where it is gone, or its number is another's."""
    now = next((s for s in _all(workspace, connection) if s.pid == session.pid), None)
    if now is None:
        return None
    if now.began is not None and session.began is not None:
        return now if now.began == session.began else None
    return now if (now.user, now.application) == (session.user, session.application) else None


def _read_back(
    workspace: Workspace, connection: Connection, session: Session, action: SignalAction, signalled: float
) -> tuple[bool | None, str]:
    """Whether it had its effect, looked at for up to `READ_BACK_SECONDS`, and that in words."""
    pid, pause = session.pid, 0.02
    while True:
        since_ms = (time.monotonic() - signalled) * 1000
        now = _same(workspace, connection, session)
        if now is None:
            return True, f"Session {pid} has ended." if action == "terminate" else f"Session {pid} is gone."
        if action == "cancel":
            if now.state is None:
                return None, (
                    f"Session {pid} was asked to cancel its query. Whether it did is not shown to this role: that "
                    "takes membership in pg_read_all_stats."
                )
            if not _still_runs(now, session, since_ms):
                held = " and still holds locks" if now.holds else ""
                return True, f"Session {pid} no longer runs that query: it is {now.state} now{held}."
        if time.monotonic() - signalled > READ_BACK_SECONDS:
            still = "is still there" if action == "terminate" else "still runs that query"
            return False, f"Session {pid} was asked to stop, and {still} after {READ_BACK_SECONDS:g} s."
        time.sleep(pause)
        pause *= 2


def _still_runs(now: Session, before: Session, since_ms: float) -> bool:
    """Whether it is the same execution: a client may have sent the same query again.

    `since_ms` is from the signal until the server was asked, not until it had answered: the line may be slow.
    """
    return now.state == "active" and now.query == before.query and (now.query_ms is None or now.query_ms > since_ms)


def _is_background(session: Session) -> bool:
    """Whether it is a process of the server's own: every client has a role."""
    return session.user is None and session.pid != PREPARED


def _prepared(done: str) -> str:
    return (
        f"What is in the way is a prepared transaction: it has no session that could be {done}. ROLLBACK PREPARED or "
        "COMMIT PREPARED ends it; pg_prepared_xacts lists it."
    )


def _no_privilege(workspace: Workspace, session: Session, action: SignalAction, error: DBAPIError) -> str:
    role = workspace.target.url.username or "used here"
    begin = f"The role {role} may not {DOES[action]} session {session.pid}"
    if _is_background(session):
        return f"{begin}: a process of the server's own takes a superuser (or pg_signal_autovacuum_worker, from 18 on)."
    if "superuser" in str(error.orig).lower():
        return f"{begin}: {session.user} is a superuser, and that takes a superuser."
    return f"{begin}: that takes membership in the role {session.user}, or in pg_signal_backend."
