"""What earlier runs left in the way of the next one, in sentences that say how to clear it away."""

from __future__ import annotations

from typing import Any

from magetui.engine.diagnosis.finding import Finding, Severity
from magetui.engine.revisions.graph import Chain
from magetui.engine.schema.snapshot import Overview

# No pane shows types, and no verb drops one: the statement is in the message.
NEXT = {"invalid-index": "schema", "leftover-table": "evidence", "leftover-type": None}


def leftover_findings(chain: Chain, state: Overview, pending: tuple[str, ...]) -> list[Finding]:
    """What earlier runs left in the way of the next one."""
    found: list[Finding] = []
    for leftover in state.leftovers:
        place = f"{leftover.schema}.{leftover.name}" if leftover.schema else leftover.name
        facts: dict[str, Any] = {"name": place, "table": leftover.table}
        severity: Severity = "warning"
        if leftover.kind == "invalid-index":
            message = (
                f"The index {place} on {leftover.table} is invalid: a CREATE INDEX CONCURRENTLY that failed left it. "
                "It costs every write and serves no read. Drop it and build it again."
            )
        elif leftover.kind == "leftover-table" and not any(table.name == leftover.table for table in state.tables):
            severity = "critical"
            facts["sql"] = f"ALTER TABLE {place} RENAME TO {leftover.table}"
            message = (
                f"The table {leftover.table} is gone, and its rows are in {place}: a batch operation broke off between "
                f"dropping the one and renaming the other. Do not drop it. Rename it back: {facts['sql']}"
            )
        elif leftover.kind == "leftover-table":
            severity = "critical" if pending else "warning"
            message = (
                f"The table {place} is left over from a batch operation on {leftover.table} that broke off; Alembic "
                "will not get past it. 'finish' or 'undo' of a revision that is half there drops it; else compare it "
                f"with {leftover.table}, then drop it."
            )
        else:
            wanted_by = _naming(chain, pending, leftover.name)
            if not wanted_by or leftover.schema != state.server.schema:
                continue  # an unused type that no pending revision would create there is nobody's trouble
            facts |= {"revisions": wanted_by, "sql": f"DROP TYPE {place}"}
            message = (
                f"The enum type {place} exists and nothing uses it: a rollback, or a run that broke off, left it. "
                f"The pending revision {wanted_by[0]} names it, and will fail if it creates it: 'type already exists'. "
                f"If nothing else needs it: DROP TYPE {place}"
            )
        found.append(Finding(leftover.kind, severity, message, facts, NEXT[leftover.kind]))
    return found


def _naming(chain: Chain, revisions: tuple[str, ...], name: str) -> list[str]:
    """Those of `revisions` whose script has `name` as a string."""
    found = []
    for revision in revisions:
        text = chain.by_id[revision].path.read_text(encoding="utf-8", errors="replace")
        if f"'{name}'" in text or f'"{name}"' in text:
            found.append(revision)
    return found
