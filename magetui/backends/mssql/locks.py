"""The locks of sys.dm_tran_locks, grouped by session."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from magetui.model.sessions import HeldLock, LockWait

MODES = {  # sys.dm_tran_locks, request_mode
    "Sch-S": "SCHEMA STABILITY",
    "Sch-M": "SCHEMA MODIFICATION",
    "S": "SHARED",
    "U": "UPDATE",
    "X": "EXCLUSIVE",
    "IS": "INTENT SHARED",
    "IU": "INTENT UPDATE",
    "IX": "INTENT EXCLUSIVE",
    "SIU": "SHARED INTENT UPDATE",
    "SIX": "SHARED INTENT EXCLUSIVE",
    "UIX": "UPDATE INTENT EXCLUSIVE",
    "BU": "BULK UPDATE",
}
SCHEMA_CHANGE = "Sch-M"  # conflicts with every mode


class SessionLocks:
    """Held locks, awaited locks and blockers by session, from the rows of sql/locks.sql."""

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._held: dict[int, dict[HeldLock, None]] = {}
        self._waits: dict[int, tuple[Any, str, str]] = {}  # the resource, its name, the mode
        self._holders: dict[Any, dict[int, None]] = {}
        self._waiting: dict[Any, set[int]] = {}
        for pid, status, mode, kind, subtype, schema, table, default_schema, description, entity in rows:
            resource = (kind, subtype, description, entity)
            name = table if schema == default_schema else f"{schema}.{table}"
            if not status.startswith("GRANT"):
                self._waits[pid] = (resource, name if table else described(kind, description), mode)
                self._waiting.setdefault(resource, set()).add(pid)
                continue
            self._holders.setdefault(resource, {})[pid] = None
            if table:
                self._held.setdefault(pid, {})[HeldLock(name, MODES.get(mode, mode))] = None

    def held(self, pid: int) -> tuple[HeldLock, ...]:
        return tuple(self._held.get(pid, ()))

    def waits_for(self, pid: int, wait_type: str | None) -> LockWait | None:
        """Return the awaited lock, without its relation if only the wait type is visible ('LCK_M_SCH_M')."""
        if pid in self._waits:
            _, name, mode = self._waits[pid]
            return LockWait(name, MODES.get(mode, mode))
        if wait_type is None or not wait_type.startswith("LCK_M_"):
            return None
        mode = wait_type.removeprefix("LCK_M_").replace("SCH_", "Sch-")
        return LockWait(None, MODES.get(mode, mode))

    def blockers(self, pid: int, named: int | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the session's blockers (the server names one: `named`), and those that are only ahead in the queue."""
        blocked_by = dict.fromkeys([named] if named and named > 0 and named != pid else ())
        resource, _, mode = self._waits.get(pid, (None, "", ""))
        holders, waiting = self._holders.get(resource, {}), self._waiting.get(resource, set())
        if mode == SCHEMA_CHANGE:
            blocked_by |= {holder: None for holder in holders if holder != pid and holder > 0}
        queued_behind = (blocker for blocker in blocked_by if blocker in waiting and blocker not in holders)
        return tuple(blocked_by), tuple(queued_behind)


def described(kind: str, description: str) -> str:
    """Return a phrase for a lock that is on no table: the name of an application lock, or the lock's kind."""
    if kind == "APPLICATION" and (match := re.search(r"\[(.*)\]", description)):
        return f"application lock {match[1]}"
    return f"{kind.lower().replace('_', ' ')} lock"
