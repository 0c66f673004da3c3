"""The end of a run: what the database proves of it, read back after the last statement."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.exc import SQLAlchemyError

from magetui.model.plan import Plan
from magetui.model.server import ErrorKind, ErrorSubject
from magetui.protocol import events
from magetui.runner.schema_check import SchemaCheck
from magetui.runner.version_table import VersionTableUnreadable

READ_BACK_SECONDS = 15.0
PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: `error` says why it failed, `where` is the script's file and line."""

    outcome: events.Outcome
    error: str | None = None
    where: str | None = None
    kind: ErrorKind | None = None
    subject: ErrorSubject | None = None


class ReadBack:
    """What the database says after a run. `current` is the current revision, or None if it could not be read."""

    patience_ms = round(READ_BACK_SECONDS * 1000)  # how long a server that restarts is waited for

    def __init__(self, plan: Plan, schema: SchemaCheck, read_current: Callable[[], tuple[str, ...]]) -> None:
        self._plan = plan
        self._schema = schema
        self._read_current = read_current
        self.current: tuple[str, ...] | None = None

    def proven(self, ending: Ending, *, committed: bool, exited_normally: bool) -> Ending:
        """Read back, and return the ending that the database proves. `committed`: whether anything was committed."""
        self.current = self._read(patient=ending.outcome in ("lost", "done"))
        if ending.outcome == "refused":
            return _refused(ending, committed=committed)
        if self.current is None:
            return _unproven() if ending.outcome == "done" else ending
        if sorted(self.current) != sorted(self._plan.result):
            return self._uncommitted() if ending.outcome == "done" else ending
        if ending.outcome == "lost" or exited_normally:  # the connection broke after the commit, or env.py exited
            ending = Ending("done", where=ending.where)
        return self._complete(ending) if ending.outcome == "done" else ending

    def _uncommitted(self) -> Ending:
        return Ending(
            "failed",
            f"The scripts ended without an error, but the current revision is {listed(self.current or ())}, not "
            f"{listed(self._plan.result)}: their changes were not committed, or not in this database.",
        )

    def _complete(self, ending: Ending) -> Ending:
        """Return the ending of a run that reached its revision: it has failed if an index of it is invalid."""
        try:
            broken = self._schema.broken_indexes()
        except (SQLAlchemyError, OSError):
            return ending
        if not broken:
            return ending
        named = f"The index {broken[0]} is" if len(broken) == 1 else f"The indexes {', '.join(broken)} are"
        return replace(
            ending,
            outcome="failed",
            error=f"All steps ran, but not everything was built. {named} invalid: no query uses such an index, and "
            "IF NOT EXISTS skips it. 'magetui clean' builds it again.",
        )

    def _read(self, *, patient: bool) -> tuple[str, ...] | None:
        deadline = time.monotonic() + (READ_BACK_SECONDS if patient else 0)
        while True:
            try:
                return self._read_current()
            except (SQLAlchemyError, VersionTableUnreadable, OSError):
                if time.monotonic() >= deadline:
                    return None
                time.sleep(PAUSE_SECONDS)


def _unproven() -> Ending:
    return Ending(
        "lost",
        "All steps ran without an error, but the database could not be read afterwards, so it is not known whether "
        "their changes are there.",
    )


def _refused(ending: Ending, *, committed: bool) -> Ending:
    """Return the ending of a refusal. If env.py committed something before, the run was not refused: it failed."""
    if committed:
        return replace(
            ending, outcome="failed", error=f"{ending.error} But env.py had committed something before that."
        )
    return replace(ending, error=f"{ending.error} Nothing was done.")


def listed(current: tuple[str, ...]) -> str:
    """Return a current revision as text, '(none)' if there is none."""
    return ", ".join(current) if current else "(none)"
