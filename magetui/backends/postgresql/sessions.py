"""Who else is in a PostgreSQL database, what they hold, what they wait for, and behind whom.

Facts are from the manual's 28.2 (pg_stat_activity), 54.12 (pg_locks) and 9.26 (pg_blocking_pids).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from magetui.backends.postgresql.query import fetch, statement
from magetui.model.lock_modes import conflict, lock_mode
from magetui.model.sessions import HeldLock, LockWait, Session

LOCK_KINDS = {  # pg_locks.locktype in words
    "tuple": "a row of",
    "page": "a page of",
    "extend": "extending",
    "advisory": "advisory lock",
    "object": "a database object",
    "spectoken": "another session's insert",
}
MODE_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")  # modes of row and page locks
STAKES = -2  # the column's place


def sessions(connection: Connection) -> tuple[Session, ...]:
    """The other clients of this database by pid, and whoever else blocks one of them.

    `holds` are locks on the users' tables, views and sequences of this database. `blocked_by` is what
    pg_blocking_pids() says: the sessions that hold a lock in conflict, and those before it in the queue; 0 is
    a prepared transaction. `query_ms` is the time since the session's state changed where it is not active.
    Without pg_read_all_stats other roles' sessions have neither state nor query nor times.
    """
    rows = fetch(connection, statement("sessions"), {})
    stakes = {row[0]: tuple(Stake.parse(text) for text in row[STAKES] or ()) for row in rows}
    found = []
    for row in rows:
        (pid, user, application, client, state, query, transaction_ms, query_ms, *locks) = row
        names, modes, wanted_mode, lock_type, relation, waited_id, blockers, _stakes, began = locks
        waits_for = None
        if lock_type is not None:
            waits_for = LockWait(_lock_name(lock_type, relation, waited_id), _mode(wanted_mode))
        blocked_by = tuple(dict.fromkeys(blockers or ()))
        found.append(
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
                holds=tuple(HeldLock(n, _mode(m)) for n, m in zip(names or (), modes or (), strict=True)),
                blocked_by=blocked_by,
                queued_behind=tuple(b for b in blocked_by if _only_queues(stakes.get(b, ()), stakes[pid])),
                began=began,
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Stake:
    """A lock that a session has, or waits for, on something that somebody waits for."""

    granted: bool
    mode: str
    object: str

    @classmethod
    def parse(cls, text: str) -> Stake:
        granted, mode, locked = text.split(" ", 2)
        return cls(granted == "t", mode, locked)


def _only_queues(theirs: Sequence[Stake], mine: Sequence[Stake]) -> bool:
    """Whether a blocker waits for the very lock that we wait for and has none that is in conflict with ours."""
    wanted = next((stake for stake in mine if not stake.granted), None)
    if wanted is None:
        return False
    same = [stake for stake in theirs if stake.object == wanted.object]
    mode = lock_mode(wanted.mode)
    held = any(stake.granted and conflict(mode, lock_mode(stake.mode)) for stake in same)
    return not held and any(not stake.granted for stake in same)


def _lock_name(kind: str, relation: str | None, waited_id: str | None) -> str:
    """What is waited for: a relation's name, or another kind of lock in words."""
    if kind == "relation" and relation is not None:
        return relation
    if kind in ("tuple", "page", "extend") and relation is not None:
        return f"{LOCK_KINDS[kind]} {relation}"
    if kind in ("transactionid", "virtualxid"):
        return f"transaction {waited_id}"
    return LOCK_KINDS.get(kind, f"{kind} lock")


def _mode(name: str) -> str:
    """Return a lock's mode as the manual and LOCK TABLE spell it: 'ACCESS EXCLUSIVE' for 'AccessExclusiveLock'."""
    mode = lock_mode(name)
    return MODE_WORD.sub(" ", name.removesuffix("Lock")).upper() if mode is None else mode.value


def _milliseconds(value: Any) -> int | None:
    return None if value is None else max(0, round(value))
