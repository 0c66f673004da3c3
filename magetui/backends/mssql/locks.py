"""The locks in sys.dm_tran_locks, grouped by session."""

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
SCHEMA_CHANGE = "Sch-M"  # agrees with no other mode


class SessionLocks:
    """What sys.dm_tran_locks tells, by session: see sql/locks.sql."""

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._held: dict[int, dict[HeldLock, None]] = {}
        self._waits: dict[int, tuple[Any, str, str]] = {}  # the resource, what it is called, the mode
        self._holders: dict[Any, dict[int, None]] = {}
        self._waiting: dict[Any, set[int]] = {}
        for pid, status, mode, kind, schema, table, usual, place, entity in rows:
            resource = (kind, place, entity)
            name = table if schema == usual else f"{schema}.{table}"
            if not status.startswith("GRANT"):
                self._waits[pid] = (resource, name if table else described(kind, place), mode)
                self._waiting.setdefault(resource, set()).add(pid)
                continue
            self._holders.setdefault(resource, {})[pid] = None
            if table:
                self._held.setdefault(pid, {})[HeldLock(name, MODES.get(mode, mode))] = None

    def held(self, pid: int) -> tuple[HeldLock, ...]:
        return tuple(self._held.get(pid, ()))

    def waits_for(self, pid: int, wait_type: str | None) -> LockWait | None:
        """What it waits for; where no lock may be seen, by the kind of its wait: 'LCK_M_SCH_M'."""
        if pid in self._waits:
            _, name, mode = self._waits[pid]
            return LockWait(name, MODES.get(mode, mode))
        if wait_type is None or not wait_type.startswith("LCK_M_"):
            return None
        mode = wait_type.removeprefix("LCK_M_").replace("SCH_", "Sch-")
        return LockWait(None, MODES.get(mode, mode))

    def blockers(self, pid: int, named: int | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Whom it waits for, and those of them that only wait before it."""
        blocked_by = dict.fromkeys([named] if named and named > 0 and named != pid else ())
        resource, _, mode = self._waits.get(pid, (None, "", ""))
        holders, waiting = self._holders.get(resource, {}), self._waiting.get(resource, set())
        if mode == SCHEMA_CHANGE:
            blocked_by |= {one: None for one in holders if one != pid and one > 0}
        return tuple(blocked_by), tuple(one for one in blocked_by if one in waiting and one not in holders)


def described(kind: str, place: str) -> str:
    """A lock that is on no table: the name of an application lock, or its kind."""
    if kind == "APPLICATION" and (match := re.search(r"\[(.*)\]", place)):
        return f"application lock {match[1]}"
    return f"{kind.lower().replace('_', ' ')} lock"
