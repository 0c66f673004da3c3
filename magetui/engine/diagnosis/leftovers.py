"""Findings about what earlier runs left: invalid indexes, tables of batch operations, enum types that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from magetui.engine.diagnosis.finding import Finding

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.schema.snapshot import Overview
    from magetui.model.schema import Leftover


def leftover_findings(chain: Chain, overview: Overview, pending: tuple[str, ...]) -> Iterator[Finding]:
    """Yield a finding for each thing that an earlier run left and that blocks the next one.

    If no script names it, another application may have left it: then 'clean' does not touch it.
    """
    for leftover in overview.leftovers:
        is_ours = bool(chain.naming(leftover.table or "") or chain.naming(leftover.name))
        verb = "clean" if is_ours else None
        match leftover.kind:
            case "invalid-index":
                yield _index(leftover, verb, chain.naming(leftover.name, pending))
            case "leftover-table":
                has_original = any(table.name == leftover.table for table in overview.tables)
                yield _copy(leftover, verb, pending) if has_original else _only_copy(leftover, verb)
            case "leftover-type":
                # An unused type that no pending revision would create there does no harm.
                named_by = chain.naming(leftover.name, pending)
                if named_by and leftover.schema == overview.server.schema:
                    yield _type(leftover, verb, named_by)


def _index(leftover: Leftover, verb: str | None, named_by: list[str]) -> Finding:
    name = _name(leftover)
    message = (
        f"The index {name} on {leftover.table} is invalid: a CREATE INDEX CONCURRENTLY that failed left it. It slows "
        "down every write, and no query uses it. "
    )
    if named_by:
        message += f"The pending revision {named_by[0]} fails on it, or skips it. 'magetui clean' drops it."
    elif verb is not None:
        message += "'magetui clean' drops it, or builds it again if an applied revision needs it."
    else:
        message += f"No script names it or its table. To drop it: DROP INDEX {name}"
    facts = {"name": name, "table": leftover.table}
    return Finding("invalid-index", "critical" if named_by else "warning", message, facts, verb)


def _only_copy(leftover: Leftover, verb: str | None) -> Finding:
    name = _name(leftover)
    sql = f"ALTER TABLE {name} RENAME TO {leftover.table}"
    message = (
        f"The table {leftover.table} is gone, and its rows are in {name}: a batch operation stopped between dropping "
        f"the table and renaming its copy. Do not drop it. 'magetui clean' renames it back: {sql}"
    )
    return Finding("leftover-table", "critical", message, {"name": name, "table": leftover.table, "sql": sql}, verb)


def _copy(leftover: Leftover, verb: str | None, pending: tuple[str, ...]) -> Finding:
    name = _name(leftover)
    message = (
        f"The table {name} is left over from a batch operation on {leftover.table} that stopped half-way. The "
        f"next batch operation that copies {leftover.table} fails on it. 'magetui clean' drops it."
    )
    facts = {"name": name, "table": leftover.table}
    return Finding("leftover-table", "critical" if pending else "warning", message, facts, verb)


def _type(leftover: Leftover, verb: str | None, named_by: list[str]) -> Finding:
    name = _name(leftover)
    sql = f"DROP TYPE {name}"
    message = (
        f"The enum type {name} exists and nothing uses it: perhaps a rollback or a run that stopped left it. "
        f"The pending revision {named_by[0]} names it, and will fail if it creates it: "
        f'type "{leftover.name}" already exists. '
        f"'magetui clean' drops it: {sql}"
    )
    facts = {"name": name, "table": leftover.table, "revisions": named_by, "sql": sql}
    return Finding("leftover-type", "warning", message, facts, verb)


def _name(leftover: Leftover) -> str:
    return f"{leftover.schema}.{leftover.name}" if leftover.schema else leftover.name
