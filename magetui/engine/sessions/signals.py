"""Signals to sessions: cancelling a query and ending a session.

The signal goes to exactly the session that the operator consented to, or nothing happens: the server may have given
the pid to another session meanwhile. The reported effect is read back from the server.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql.query import INSUFFICIENT_PRIVILEGE, sqlstate
from magetui.engine.errors import RefusedError, StateError
from magetui.engine.runs import actions, follow
from magetui.engine.sessions.listing import OWN, OWN_RUN, all_sessions, prepared_transaction_message, process_message
from magetui.engine.target.url_options import setting
from magetui.model.sessions import PREPARED, Session
from magetui.protocol.journal import now

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from magetui.engine.workspace import Workspace
    from magetui.model.plan import SignalAction

READ_BACK_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.02  # between two checks of the effect; each pause is twice as long as the last
DOES: Mapping[SignalAction, str] = {"cancel": "cancel the query of", "terminate": "end"}


@dataclass(frozen=True, slots=True)
class Signalled:
    """The effect of a signal, read back. `settled`: True if it ended, False if it continues, None if unknown."""

    session: Session
    action: SignalAction
    settled: bool | None
    message: str


def objection(workspace: Workspace, session: Session, action: SignalAction) -> str | None:  # noqa: PLR0911 - a case each
    """Return why the action is not done to this session, without asking the server, or None if it may be done."""
    pid, state = session.pid, session.state or ""
    run = OWN_RUN.match(session.application or "")
    if workspace.selection.read_only:
        return "--read-only is set, so no session is touched."
    if workspace.backend.name == "sqlite":
        return process_message(session)
    if pid == PREPARED:
        return f"{prepared_transaction_message('signalled')} Here: {session.query}."
    if workspace.backend.name == "mssql" and action == "cancel":
        return (
            f"SQL Server cannot cancel the query of session {pid} and keep the session. Only ending the session "
            "releases its locks."
        )
    if run is not None and not _belongs_to_lost_run(workspace, session):
        return f"Session {pid} is run {run[1]} of magetui. Cancel the run instead: 'magetui runs {run[1]} --cancel'."
    if run is None and (session.application or "").startswith(OWN):
        return f"Session {pid} belongs to magetui, and it only reads. It is left alone."
    if session.is_background:
        if action == "terminate":
            return f"{pid} is a process of the server itself ({session.application}). Cancel its work instead."
        return None
    if action == "cancel" and state.startswith("idle in transaction"):
        return f"Session {pid} runs no query to cancel: it is {state}. Only ending the session releases its locks."
    is_idle = action == "cancel" and state == "idle"
    return f"Session {pid} runs no query to cancel: it is idle." if is_idle else None


def signal_session(workspace: Workspace, session: Session, action: SignalAction) -> Signalled:
    """Cancel the query of exactly the session that the operator consented to, or end that session.

    Reading back the effect takes up to about a second. Raises `RefusedError` if nothing was done.
    """
    backend = workspace.backend
    _require_allowed(workspace, session, action)
    with workspace.reading() as connection:
        live = _same_session(workspace, connection, session)
        if live is None:
            raise RefusedError(f"Session {session.pid} has ended by itself. Nothing was done.")
        # The given session may be old: a run's journal is only written when there is news.
        _require_allowed(workspace, live, action)
        if action == "cancel" and session.state == "active" and None not in (session.query, live.query):
            clean = workspace.target.clean
            if clean(live.query or "") != clean(session.query or ""):
                raise RefusedError(f"Session {session.pid} runs another query now. Nothing was done: look again.")
        runs: tuple[int, ...] = ()
        with suppress(StateError):  # the failing record is reported when it is written
            runs = actions.runs_blocked_by(workspace, live)
        moment = now()  # before the signal, so that the journal orders it before its effect
        try:
            send = backend.cancel if action == "cancel" else backend.terminate
            reached = send(connection, session.pid, session.began or live.began)
        except PermissionError as error:
            raise RefusedError(str(error)) from None
        except DBAPIError as error:
            if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                raise
            raise RefusedError(_missing_privilege(workspace, live, action, error)) from None
        sent = time.monotonic()
        if not reached:
            raise RefusedError(f"Session {session.pid} has ended by itself. Nothing was done.")
        unrecorded = ""
        try:
            actions.record_signal(workspace, live, action, runs, moment)
        except StateError as error:
            unrecorded = f" The signal is not on record: {error.path} cannot be written."
        settled, effect = _read_back(workspace, connection, live, action, sent)
    return Signalled(live, action, settled, effect + unrecorded)


def _require_allowed(workspace: Workspace, session: Session, action: SignalAction) -> None:
    reason = objection(workspace, session, action)
    if reason is not None:
        raise RefusedError(reason)


def _belongs_to_lost_run(workspace: Workspace, session: Session) -> bool:
    """Return True if the session belongs to a recorded run whose process is dead. Nobody is left to cancel that run."""
    return any(
        record.outcome == "lost"
        and record.database == workspace.target.redacted
        and (record.session, record.application) == (session.pid, session.application)
        for record in follow.list_runs(workspace.environment, follow.NEWEST_RUNS).records
    )


def _same_session(workspace: Workspace, connection: Connection, session: Session) -> Session | None:
    """Return the session as it is now, or None if it has ended, even if another session has its pid."""
    live = next((s for s in all_sessions(workspace, connection) if s.pid == session.pid), None)
    if live is None:
        return None
    if live.began is not None and session.began is not None:
        return live if live.began == session.began else None
    return live if (live.user, live.application) == (session.user, session.application) else None


def _read_back(
    workspace: Workspace, connection: Connection, session: Session, action: SignalAction, sent: float
) -> tuple[bool | None, str]:
    """Return `Signalled.settled` and its message, checked for up to `READ_BACK_SECONDS`."""
    pid, pause = session.pid, FIRST_PAUSE_SECONDS
    while True:
        since_ms = (time.monotonic() - sent) * 1000
        live = _same_session(workspace, connection, session)
        if live is None:
            return True, f"Session {pid} has ended." if action == "terminate" else f"Session {pid} is gone."
        if action == "cancel":
            if live.state is None:
                return None, (
                    f"Session {pid} was asked to cancel its query. This role cannot see the effect: that requires "
                    "membership in pg_read_all_stats."
                )
            if not _still_runs(live, session, since_ms):
                locks = " and still holds locks" if live.holds else ""
                return True, f"Session {pid} no longer runs that query: it is {live.state} now{locks}."
        if time.monotonic() - sent > READ_BACK_SECONDS:
            still = "still exists" if action == "terminate" else "still runs that query"
            return False, f"Session {pid} was asked to stop, and {still} after {READ_BACK_SECONDS:g} s."
        time.sleep(pause)
        pause *= 2


def _still_runs(live: Session, before: Session, since_ms: float) -> bool:
    """Return True if it is the same execution of the query: a client may have sent the same query again.

    `since_ms` counts from the signal until the request for `live` was sent, not until its answer, which may be late.
    """
    return live.state == "active" and live.query == before.query and (live.query_ms is None or live.query_ms > since_ms)


def _missing_privilege(workspace: Workspace, session: Session, action: SignalAction, error: DBAPIError) -> str:
    role = setting(workspace.target.url, "role") or workspace.target.user or "used here"
    failure = f"The role {role} may not {DOES[action]} session {session.pid}"
    if session.is_background:
        return (
            f"{failure}: a process of the server itself requires a superuser (or pg_signal_autovacuum_worker, from 18 "
            "on)."
        )
    if "superuser" in str(error.orig).lower():
        return f"{failure}: it belongs to a superuser ({session.user}), and only a superuser may do that."
    return f"{failure}: that requires membership in the role {session.user}, or in pg_signal_backend."
