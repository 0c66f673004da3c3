"""PostgreSQL's table-level lock modes (PostgreSQL 18 manual, 13.3.1, table 13.2), and the work done under a lock."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Literal

TableWork = Literal["unknown", "catalog", "data", "scan", "build", "rewrite"]
WORKS: tuple[TableWork, ...] = ("unknown", "catalog", "data", "scan", "build", "rewrite")  # from least to most


class LockMode(Enum):
    """A lock mode, from the weakest to the strongest. The value is the name that the manual and LOCK TABLE use."""

    ACCESS_SHARE = "ACCESS SHARE"
    ROW_SHARE = "ROW SHARE"
    ROW_EXCLUSIVE = "ROW EXCLUSIVE"
    SHARE_UPDATE_EXCLUSIVE = "SHARE UPDATE EXCLUSIVE"
    SHARE = "SHARE"
    SHARE_ROW_EXCLUSIVE = "SHARE ROW EXCLUSIVE"
    EXCLUSIVE = "EXCLUSIVE"
    ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"

    @property
    def strength(self) -> int:
        """Return the rank of the mode: 0 for ACCESS SHARE, 7 for ACCESS EXCLUSIVE."""
        return tuple(LockMode).index(self)

    @property
    def pg_locks(self) -> str:
        """Return the mode as pg_locks spells it: 'AccessExclusiveLock'."""
        return f"{self.value.title().replace(' ', '')}Lock"


ALL = frozenset(LockMode)
WEAK = frozenset({LockMode.ACCESS_SHARE, LockMode.ROW_SHARE, LockMode.ROW_EXCLUSIVE})
CONFLICTS: Mapping[LockMode, frozenset[LockMode]] = {
    LockMode.ACCESS_SHARE: frozenset({LockMode.ACCESS_EXCLUSIVE}),
    LockMode.ROW_SHARE: frozenset({LockMode.EXCLUSIVE, LockMode.ACCESS_EXCLUSIVE}),
    LockMode.ROW_EXCLUSIVE: ALL - WEAK - {LockMode.SHARE_UPDATE_EXCLUSIVE},
    LockMode.SHARE_UPDATE_EXCLUSIVE: ALL - WEAK,
    LockMode.SHARE: ALL - {LockMode.ACCESS_SHARE, LockMode.ROW_SHARE, LockMode.SHARE},
    LockMode.SHARE_ROW_EXCLUSIVE: ALL - {LockMode.ACCESS_SHARE, LockMode.ROW_SHARE},
    LockMode.EXCLUSIVE: ALL - {LockMode.ACCESS_SHARE},
    LockMode.ACCESS_EXCLUSIVE: ALL,
}
BY_NAME: Mapping[str, LockMode] = {name: mode for mode in LockMode for name in (mode.value, mode.pg_locks)}


def lock_mode(name: str) -> LockMode | None:
    """Return the mode of that name, as the manual or as pg_locks spells it. Return None for any other name."""
    return BY_NAME.get(name)


def conflict(wanted: LockMode | None, held: LockMode | None) -> bool:
    """Return True if no two transactions can hold both modes on a table. An unknown wanted mode conflicts with all."""
    return held is not None and (wanted is None or held in CONFLICTS[wanted])
