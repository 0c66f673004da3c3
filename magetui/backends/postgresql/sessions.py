"""The other sessions of a PostgreSQL database: their locks, their blockers, and how to cancel or end them.

Facts are from the manual's 28.2 (pg_stat_activity), 54.12 (pg_locks) and 9.26 (pg_blocking_pids).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy.engine import Connection

from magetui.backends.postgresql.query import fetch, statement
from magetui.model.lock_modes import conflict, lock_mode
from magetui.model.names import literal
from magetui.model.schema import Table
from magetui.model.sessions import PREPARED, HeldLock, LockWait, Session

LOCK_KINDS = {  # pg_locks.locktype in words
    "tuple": "a row of",
    "page": "a page of",
    "extend": "extending",
    "advisory": "advisory lock",
    "object": "a database object",
    "spectoken": "another session's insert",
}
MODE_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")  # modes of row and page locks
STAKES = -2  # the index of the column
SIGNAL_SQL = """
select {function}(pid) from pg_stat_get_activity(%(pid)s)
where (%(began)s::text is null or backend_start::text = %(began)s or backend_start is null)
"""
LOCK_NAME_SQL = """
select case when pg_table_is_visible(c.oid) then c.relname::text else concat(n.nspname, '.', c.relname) end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relname = %(name)s and n.nspname = coalesce(%(schema)s, current_schema())
"""


def sessions(connection: Connection) -> tuple[Session, ...]:
    """Return the other clients of this database and all their blockers, by pid.

    `holds` has the locks on users' tables, views and sequences of this database. `blocked_by` is the result of
    pg_blocking_pids(): the sessions that hold a conflicting lock, and the sessions ahead in the wait queue. Prepared
    transactions, which have no session, are one with the pid 0. `query_ms` is the time since the last change of state
    if the session is not active. Without pg_read_all_stats, the sessions of other roles have no state, query or times.
    """
    rows = fetch(connection, statement("sessions"), {})
    stakes = {row[0]: tuple(Stake(*text.split(" ", 2)) for text in row[STAKES] or ()) for row in rows}
    result = []
    for row in rows:
        (pid, user, application, client, state, query, transaction_ms, query_ms, *locks) = row
        names, modes, wanted_mode, lock_type, relation, waited_id, blockers, waited_ms, wrote, _stakes, began = locks
        waits_for = None
        if lock_type is not None:
            waits_for = LockWait(_lock_name(lock_type, relation, waited_id), _mode(wanted_mode))
        blocked_by = tuple(dict.fromkeys(blockers or ()))
        result.append(
            Session(
                pid=pid,
                user=user,
                application=application,
                client=client,
                state=state,
                query=query,
                transaction_ms=_milliseconds(transaction_ms),
                query_ms=_milliseconds(query_ms),
                waits_for=waits_for,
                holds=tuple(HeldLock(name, _mode(mode)) for name, mode in zip(names or (), modes or (), strict=True)),
                blocked_by=blocked_by,
                queued_behind=tuple(
                    blocker for blocker in blocked_by if _only_queues(stakes.get(blocker, ()), stakes[pid])
                ),
                waited_ms=_milliseconds(waited_ms),
                began=began,
                has_written=wrote,
            )
        )
    if any(PREPARED in session.blocked_by for session in result):
        result[:0] = _prepared(connection)
    return tuple(result)


def _prepared(connection: Connection) -> list[Session]:
    """Return the prepared transactions that others wait for, as one session with the pid 0: locks name them so."""
    rows = fetch(connection, statement("prepared"), {})
    if not rows:
        return []  # it has ended just now
    names = [literal(gid) for gid, _owner, _age in rows]
    ways = [f"{way} PREPARED {name}" for name in names for way in ("COMMIT", "ROLLBACK")]
    return [
        Session(
            pid=PREPARED,
            user=", ".join(dict.fromkeys(owner for _gid, owner, _age in rows)),
            application=f"prepared transaction {', '.join(names)}",
            client=None,
            state="prepared",
            query=f"no session runs it; what ends it, in this database: {' or '.join(ways)}",
            transaction_ms=_milliseconds(rows[0][2]),
            query_ms=None,
        )
    ]


def lock_names(connection: Connection, table: Table) -> frozenset[str]:
    """See `Sessions.lock_names`. The name has no schema if search_path finds the table without it."""
    found = fetch(connection, LOCK_NAME_SQL, {"schema": table.schema, "name": table.name})
    return frozenset(name for (name,) in found)


def session_waits(connection: Connection, pid: int) -> bool:
    """See `Sessions.session_waits`. The function behind pg_stat_activity reads this session alone."""
    sql = "select wait_event_type = 'Lock' from pg_stat_get_activity(%(pid)s)"
    return bool(connection.exec_driver_sql(sql, {"pid": pid}).scalar())


def session_exists(connection: Connection, pid: int, application_name: str) -> bool:
    sql = "select 1 from pg_stat_get_activity(%(pid)s) where application_name = %(name)s"
    return connection.exec_driver_sql(sql, {"pid": pid, "name": application_name}).first() is not None


def cancel(connection: Connection, pid: int, began: str | None = None) -> bool:
    return _signal(connection, "pg_cancel_backend", pid, began)


def terminate(connection: Connection, pid: int, began: str | None = None) -> bool:
    return _signal(connection, "pg_terminate_backend", pid, began)


def _signal(connection: Connection, function: str, pid: int, began: str | None) -> bool:
    """Signal the session with this pid and start. If the role may not see the start, the pid alone decides."""
    sql = SIGNAL_SQL.format(function=function)
    return bool(connection.exec_driver_sql(sql, {"pid": pid, "began": began}).scalar())


class Stake(NamedTuple):
    """A lock that a session holds ('t') or waits for ('f'), on an object that some session waits for."""

    granted: str
    mode: str
    object: str


def _only_queues(theirs: Sequence[Stake], mine: Sequence[Stake]) -> bool:
    """Return whether a blocker waits for the same lock as we do, and holds no lock that conflicts with ours."""
    wanted = next((stake for stake in mine if stake.granted == "f"), None)
    if wanted is None:
        return False
    same = [stake for stake in theirs if stake.object == wanted.object]
    mode = lock_mode(wanted.mode)
    held = any(stake.granted == "t" and conflict(mode, lock_mode(stake.mode)) for stake in same)
    return not held and any(stake.granted == "f" for stake in same)


def _lock_name(kind: str, relation: str | None, waited_id: str | None) -> str:
    """Return the name of the lock that a session waits for: a relation's name, or a phrase for other kinds."""
    if kind == "relation" and relation is not None:
        return relation
    if kind in ("tuple", "page", "extend") and relation is not None:
        return f"{LOCK_KINDS[kind]} {relation}"
    if kind in ("transactionid", "virtualxid"):
        return f"the end of transaction {waited_id}"
    return LOCK_KINDS.get(kind, f"{kind} lock")


def _mode(name: str) -> str:
    """Return a lock's mode as the manual and LOCK TABLE spell it: 'ACCESS EXCLUSIVE' for 'AccessExclusiveLock'."""
    mode = lock_mode(name)
    return MODE_WORD.sub(" ", name.removesuffix("Lock")).upper() if mode is None else mode.value


def _milliseconds(value: Any) -> int | None:
    return None if value is None else max(0, round(value))
