"""Findings about what earlier runs left: it blocks the next run, and each sentence says how to remove it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from magetui.engine.diagnosis.finding import Finding, Severity
from magetui.engine.revisions.graph import Chain
from magetui.engine.schema.snapshot import Overview

# No pane shows types, and no verb drops a type: the statement is in the message.
NEXT = {"invalid-index": "schema", "leftover-table": "evidence", "leftover-type": None}


def leftover_findings(chain: Chain, overview: Overview, pending: tuple[str, ...]) -> Iterator[Finding]:
    """Yield a finding for each thing that an earlier run left and that blocks the next one."""
    for leftover in overview.leftovers:
        name = f"{leftover.schema}.{leftover.name}" if leftover.schema else leftover.name
        facts: dict[str, Any] = {"name": name, "table": leftover.table}
        severity: Severity = "warning"
        if leftover.kind == "invalid-index":
            message = (
                f"The index {name} on {leftover.table} is invalid: a CREATE INDEX CONCURRENTLY that failed left it. "
                "It slows down every write, and no query uses it. Drop it and create it again."
            )
        elif leftover.kind == "leftover-table" and not any(table.name == leftover.table for table in overview.tables):
            severity = "critical"
            facts["sql"] = f"ALTER TABLE {name} RENAME TO {leftover.table}"
            message = (
                f"The table {leftover.table} is gone, and its rows are in {name}: a batch operation stopped between "
                f"dropping the table and renaming its copy. Do not drop it. Rename it back: {facts['sql']}"
            )
        elif leftover.kind == "leftover-table":
            severity = "critical" if pending else "warning"
            message = (
                f"The table {name} is left over from a batch operation on {leftover.table} that stopped half-way. "
                "Alembic fails on it. 'finish' or 'undo' of a partially applied revision drops it. Otherwise compare "
                f"it with {leftover.table}, then drop it."
            )
        else:
            scripts = {r: chain.by_id[r].path.read_text(encoding="utf-8", errors="replace") for r in pending}
            strings = (f"'{leftover.name}'", f'"{leftover.name}"')
            named_by = [r for r, text in scripts.items() if any(string in text for string in strings)]
            if not named_by or leftover.schema != overview.server.schema:
                continue  # an unused type that no pending revision would create there does no harm
            facts |= {"revisions": named_by, "sql": f"DROP TYPE {name}"}
            message = (
                f"The enum type {name} exists and nothing uses it: a rollback or a broken run left it. The pending "
                f"revision {named_by[0]} names it, and will fail if it creates it: 'type already exists'. "
                f"If nothing else needs it: DROP TYPE {name}"
            )
        yield Finding(leftover.kind, severity, message, facts, NEXT[leftover.kind])
