"""Cancelling a query and ending a session, with the effect read back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql.query import INSUFFICIENT_PRIVILEGE, sqlstate
from magetui.engine.errors import RefusedError, StateError
from magetui.engine.runs import actions, follow
from magetui.engine.sessions.listing import OWN, OWN_RUN, PREPARED, all_sessions, no_session_of_prepared
from magetui.engine.workspace import Workspace
from magetui.model.plan import SignalAction
from magetui.model.sessions import Session
from magetui.protocol.journal import now

READ_BACK_SECONDS = 1.0
DOES: Mapping[SignalAction, str] = {"cancel": "cancel the query of", "terminate": "end"}


@dataclass(frozen=True, slots=True)
class Signalled:
    """What became of a session that was cancelled or ended, as read back; `settled` None where it cannot be seen."""

    session: Session
    action: SignalAction
    settled: bool | None
    message: str


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
        return no_session_of_prepared("signalled")
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
            actions.record_signal(workspace, found, action, waiting, moment)
        except StateError as error:
            message = f" It is not on record: {error.path} cannot be written."
        settled, said = _read_back(workspace, connection, found, action, signalled)
    return Signalled(found, action, settled, said + message)


def _kept_waiting(workspace: Workspace, session: Session) -> tuple[int, ...]:
    try:
        return actions.kept_waiting(workspace, session)
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
        for record in follow.list_runs(workspace.environment, follow.NEWEST_RUNS)
    )


def _same(workspace: Workspace, connection: Connection, session: Session) -> Session | None:
    """The session as it is now; None where it is gone, or its number is another's."""
    now = next((s for s in all_sessions(workspace, connection) if s.pid == session.pid), None)
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


def _no_privilege(workspace: Workspace, session: Session, action: SignalAction, error: DBAPIError) -> str:
    role = workspace.target.url.username or "used here"
    begin = f"The role {role} may not {DOES[action]} session {session.pid}"
    if _is_background(session):
        return f"{begin}: a process of the server's own takes a superuser (or pg_signal_autovacuum_worker, from 18 on)."
    if "superuser" in str(error.orig).lower():
        return f"{begin}: {session.user} is a superuser, and that takes a superuser."
    return f"{begin}: that takes membership in the role {session.user}, or in pg_signal_backend."
