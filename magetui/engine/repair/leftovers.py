"""The plan that removes what earlier runs left: unused enum types, tables of batch operations, and invalid indexes.

Only what a script of the chain names is removed, since other applications may use the same database. An invalid index
that belongs to an applied revision is built again, because that revision needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from magetui.engine.errors import MagetuiError, RefusedError
from magetui.engine.evidence.evidence import record_chain
from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.prerequisites import consent_name, forbidden
from magetui.model import operations as ops
from magetui.model.names import quoted
from magetui.model.plan import Plan, PlannedStep, Repair, RepairStep

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.schema.snapshot import Overview, Reading
    from magetui.model.schema import Leftover

LABEL = "leftovers"  # the plan has it where other plans name a revision


def plan_clean(reading: Reading) -> Plan:
    """Return the plan that removes the leftovers. Raises `RefusedError` if there are none."""
    workspace, overview = reading.workspace, reading.overview
    steps = tuple(_steps(reading))
    if not steps:
        raise RefusedError("No earlier run of this chain left anything that could be removed. Nothing was changed.")
    return Plan(
        verb="clean",
        current=overview.current,
        target_revision=", ".join(overview.current) or "base",
        steps=(PlannedStep(LABEL, "clean", _message(steps)),),
        result=overview.current,
        version_table_sql=(),
        url=workspace.target.redacted,
        database=consent_name(workspace, overview),
        forbidden=forbidden(overview, "clean"),
        repair=Repair(LABEL, None, steps),
    )


def _message(steps: Iterable[RepairStep]) -> str:
    """Return what the steps do to which object, because the record of a run has no statements of theirs."""
    return ", ".join(_deed(step.operation) for step in steps)


def _deed(operation: ops.Operation) -> str:
    match operation:
        case ops.DropIndex():
            return f"Drop index {operation.name}"
        case ops.DropTable():
            return f"Drop table {operation.table}"
        case ops.RenameTable():
            return f"Rename table {operation.table} to {operation.new_name}"
        case ops.DropType():
            return f"Drop type {operation.name}"
        case ops.ExecuteSql():
            return operation.sql
        case _:
            return type(operation).__name__


def _steps(reading: Reading) -> Iterator[RepairStep]:
    overview, chain = reading.overview, reading.workspace.chain
    known = [revision for revision in overview.current if revision in chain.by_id]
    applied = chain.applied(known) if known else frozenset()
    for leftover in overview.leftovers:
        match leftover.kind:
            case "invalid-index" if chain.naming(leftover.name) or chain.naming(leftover.table or ""):
                yield _mended_index(leftover, is_needed=bool(chain.naming(leftover.name, applied)))
            case "leftover-table" if chain.naming(leftover.table or ""):
                yield from _mended_table(leftover, overview)
            case "leftover-type" if chain.naming(leftover.name) and not _is_expected(reading, chain, leftover):
                yield RepairStep(ops.DropType(leftover.name, leftover.schema))


def _mended_index(leftover: Leftover, *, is_needed: bool) -> RepairStep:
    if not is_needed:
        return RepairStep(ops.DropIndex(leftover.name, leftover.table, leftover.schema))
    name = ".".join(quoted(part) for part in (leftover.schema, leftover.name) if part)
    return RepairStep(ops.ExecuteSql(f"REINDEX INDEX CONCURRENTLY {name}"), autocommit=True)


def _mended_table(leftover: Leftover, overview: Overview) -> Iterator[RepairStep]:
    """Yield the drop of a batch operation's copy, or its renaming if the original table is gone: it has the rows."""
    originals = {(table.schema, table.name) for table in overview.tables}
    if (leftover.schema, leftover.table) in originals:
        yield RepairStep(ops.DropTable(leftover.name, leftover.schema))
    elif leftover.table is not None:
        yield RepairStep(ops.RenameTable(leftover.name, leftover.schema, leftover.table))


def _is_expected(reading: Reading, chain: Chain, leftover: Leftover) -> bool:
    """Return whether the current revision has the enum type, although nothing uses it."""
    workspace, overview = reading.workspace, reading.overview
    known = [revision for revision in overview.current if revision in chain.by_id]
    with suppress(MagetuiError):  # the scripts cannot be recorded: the text of the applied ones decides
        base = SchemaState(workspace.target.dialect, overview.server.schema)
        history = SchemaHistory(chain, record_chain(workspace), base)
        state = history.at(known) if known else history.base
        return state.type_of(ops.DropType(leftover.name, leftover.schema)) in state.enums
    return bool(chain.naming(leftover.name, chain.applied(known) if known else ()))
