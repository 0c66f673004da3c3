"""The other sessions of a SQL Server (sys.dm_exec_sessions, sys.dm_exec_requests), and how to end one (KILL)."""

from __future__ import annotations

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends.mssql.failures import FORBIDDEN, NO_RIGHT_TO_KILL, NOT_A_PROCESS, error_number
from magetui.backends.mssql.locks import SessionLocks
from magetui.backends.mssql.query import application_of, fetch, fetch_if_allowed, literal, statement
from magetui.model.sessions import Session

NO_KILL = (
    "This login may not end session {pid}: KILL takes the permission ALTER ANY CONNECTION (on Azure SQL Database, KILL "
    "DATABASE CONNECTION)."
)
WAITS_SQL = "select 1 from sys.dm_exec_requests where session_id = {pid} and left(wait_type, 6) = N'LCK_M_'"
EXISTS_SQL = "select context_info, program_name from sys.dm_exec_sessions where session_id = {pid}"
KILL_SQL = "if exists (select 1 from sys.dm_exec_sessions where session_id = {pid}{began}) kill {pid}"
BEGAN_SQL = " and convert(nvarchar(30), login_time, 126) = {began}"


def sessions(connection: Connection) -> tuple[Session, ...]:
    """Return the other clients of this database and their blockers. Without VIEW SERVER STATE the result is empty."""
    rows = fetch(connection, statement("sessions"))
    queries = {row[0]: row[1:] for row in fetch_if_allowed(connection, statement("queries")) or ()}
    locks = SessionLocks(fetch_if_allowed(connection, statement("locks")) or ())
    result = []
    for pid, login, program, host, context, state, query_ms, wait_type, blocker, began, is_user in rows:
        address, query, transaction_ms = queries.get(pid, (None, None, None))
        blocked_by, queued_behind = locks.blockers(pid, blocker)
        result.append(
            Session(
                pid=pid,
                user=login if is_user else None,
                application=application_of(context, program),
                client=address if address not in (None, "<local machine>") else host,
                state=state,
                query=query,
                transaction_ms=transaction_ms,
                query_ms=query_ms,
                waits_for=locks.waits_for(pid, wait_type),
                holds=locks.held(pid),
                blocked_by=blocked_by,
                queued_behind=queued_behind,
                began=began,
            )
        )
    return tuple(result)


def session_waits(connection: Connection, pid: int) -> bool:
    return bool(fetch(connection, WAITS_SQL.format(pid=int(pid))))


def session_exists(connection: Connection, pid: int, application_name: str) -> bool:
    rows = fetch(connection, EXISTS_SQL.format(pid=int(pid)))
    return any(application_of(context, program) == application_name for context, program in rows)


def terminate(connection: Connection, pid: int, began: str | None = None) -> bool:
    """See `Sessions.terminate`. Raises `PermissionError` if the login has no permission for KILL."""
    condition = "" if began is None else BEGAN_SQL.format(began=literal(began))
    if not fetch(connection, f"{EXISTS_SQL.format(pid=int(pid))}{condition}"):
        return False
    try:
        fetch(connection, KILL_SQL.format(pid=int(pid), began=condition))
    except DBAPIError as error:
        number = error_number(error.orig)
        if number == NOT_A_PROCESS:
            return False
        if number in FORBIDDEN | {NO_RIGHT_TO_KILL}:
            raise PermissionError(NO_KILL.format(pid=pid)) from error
        raise
    return True
