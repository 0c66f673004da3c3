"""The plan that finishes a partially applied revision, or undoes it.

The evidence says which of its operations are done. Finishing does the missing ones as the script has them; undoing is
`reverse`. Either way the resulting schema is worked out beforehand. A plan is refused unless it leads to the complete
revision, or to none of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from magetui.engine.errors import RefusedError
from magetui.engine.evidence.diff import named_as_originals
from magetui.engine.evidence.evidence import gather_evidence, record_chain
from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.summary import ASKS_DATABASE, count_differences, list_differences, name_revisions
from magetui.engine.prerequisites import consent_name, forbidden, missing_version_table, version_table_name
from magetui.engine.repair.reverse import Direction, NoReversalError, Reversal, in_autocommit
from magetui.engine.schema.facts import Difference, differences_of
from magetui.engine.sql.ddl import parts_of
from magetui.model import operations as ops
from magetui.model.plan import Plan, PlannedStep, Repair, RepairStep
from magetui.protocol import codec
from magetui.protocol.redaction import HIDDEN

if TYPE_CHECKING:
    from magetui.engine.evidence.verdict import Evidence, PartiallyApplied
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.schema.snapshot import Reading, Snapshot
    from magetui.model.operations import Recording
    from magetui.model.schema import SchemaSketch

RepairVerb = Literal["finish", "undo"]
InDoubt = Literal["run", "skip"]  # what to do with operations that no schema shows
DIRECTIONS: Mapping[str, Direction] = {"finish": "upgrade", "undo": "downgrade"}
UNSEEN = (ops.ExecuteSql, ops.InsertRows, ops.UnclearCall)  # they may change something that no schema shows
NAMED_AT_MOST = 3
SQL_SHOWN = 200  # characters


@dataclass(frozen=True, slots=True)
class _Case:
    """A partially applied revision with all that its repair depends on."""

    partial: PartiallyApplied
    recording: Recording
    start: SchemaState  # the schema from which the revision was started
    expected: SchemaState  # the schema after the repair
    snapshot: Snapshot


def plan_repair(reading: Reading, verb: RepairVerb, in_doubt: InDoubt | None = None) -> Plan:
    """Return the plan that finishes the partially applied revision, or undoes it.

    Raises `RefusedError` if no revision is partially applied, if it cannot be repaired, or if `in_doubt` is needed and
    not given. Raises `ChainError`, `MagetuiError` and `ConnectError` as `gather_evidence` does.
    """
    workspace, chain = reading.workspace, reading.workspace.chain
    recordings = record_chain(workspace)
    evidence = gather_evidence(reading, recordings)
    snapshot = reading.snapshot
    partial = _partial_revision(chain, evidence, snapshot.current, verb)
    history = SchemaHistory(chain, recordings, SchemaState(workspace.target.dialect, snapshot.server.schema))
    before, after = history.before[partial.revision], history.after[partial.revision]
    start = before if partial.direction == "upgrade" else after
    expected = after if verb == "finish" else before
    case = _Case(partial, recordings[partial.revision], start, expected, snapshot)
    steps, notes = _steps(case, verb, in_doubt)
    _require_complete(case, verb, steps)
    _require_unhidden(case, verb, steps)
    result = _current_after(chain, verb, snapshot.current, partial.revision)
    revision = chain.by_id[partial.revision]
    return Plan(
        verb=verb,
        current=snapshot.current,
        target_revision=partial.revision if verb == "finish" else ", ".join(revision.down_revisions) or "base",
        steps=(PlannedStep(partial.revision, verb, revision.message),),
        result=result,
        version_table_sql=rows_replaced(version_table_name(workspace), snapshot.current, result),
        url=workspace.target.redacted,
        database=consent_name(workspace, snapshot),
        forbidden=forbidden(snapshot, verb),
        creates_version_table=missing_version_table(workspace, snapshot),
        repair=Repair(partial.revision, str(revision.path), (*_clean_up(case), *steps), sketches_of(case.recording)),
        notes=notes,
    )


def rows_replaced(table: str, current: Sequence[str], result: Sequence[str]) -> tuple[str, ...]:
    """Return the statements that take the version table from one current revision to another. `table` is SQL."""
    return (
        *(f"DELETE FROM {table} WHERE version_num = '{row}'" for row in sorted({*current} - {*result})),
        *(f"INSERT INTO {table} (version_num) VALUES ('{row}')" for row in sorted({*result} - {*current})),
    )


def sketches_of(recording: Recording) -> tuple[tuple[str, int, SchemaSketch], ...]:
    ways = (("upgrade", recording.upgrade), ("downgrade", recording.downgrade))
    return tuple((direction, after, sketch) for direction, made in ways for after, sketch in made.sketches)


# -- whether there is anything to repair


def _partial_revision(chain: Chain, evidence: Evidence, current: tuple[str, ...], verb: RepairVerb) -> PartiallyApplied:
    """Return the partially applied revision. Raises `RefusedError` if there is none, or if it cannot be repaired."""
    if (damaged := evidence.damaged) is not None:
        parents = ", ".join(chain.by_id[damaged].down_revisions) or "base"
        raise RefusedError(
            f"A part of {damaged} is missing, but the current revision is {', '.join(current)}, which comes after it: "
            f"{damaged} was run completely, and the part has gone since. 'magetui evidence' names the missing part: "
            f"restore it by hand. Only if nothing after {parents} was ever run is the current revision wrong: then run "
            f"'magetui stamp {parents}' first. Nothing was changed."
        )
    partial = evidence.partial
    if partial is None:
        matches = "The schema matches no revision either: 'magetui evidence' lists the differences."
        if evidence.candidate is not None:
            matches = f"The schema matches {name_revisions(chain, evidence.candidate)}."
        raise RefusedError(f"No revision is partially applied, so there is nothing to {verb}. {matches}")
    known = chain.applied([row for row in current if row in chain.by_id])
    if partial.or_else is not None and partial.or_else not in known:
        raise RefusedError(
            f"Revision {partial.revision} looks partially applied, but revision {partial.or_else} may have been "
            f"started instead: {ASKS_DATABASE}, and it is not below the current revision. Find out. If "
            f"{partial.or_else} was run, run 'magetui stamp {partial.or_else}' first. Nothing was changed."
        )
    if verb == "undo" and partial.adds_values_alone:
        raise RefusedError(
            f"All that is done of {partial.revision} are values of enum types, and PostgreSQL cannot remove a value "
            "from a type. Use 'magetui finish'. Nothing was changed."
        )
    return partial


# -- the steps


def _steps(case: _Case, verb: RepairVerb, in_doubt: InDoubt | None) -> tuple[tuple[RepairStep, ...], tuple[str, ...]]:
    """Return the steps, and notes on what they leave."""
    partial = case.partial
    if partial.direction == DIRECTIONS[verb]:
        steps, notes = _continue(partial, in_doubt)
        return (*map(RepairStep, partial.unindexed), *steps), notes
    details = named_as_originals(case.snapshot.details)
    by_name = {case.start.name(detail.table.schema, detail.table.name): detail for detail in details}
    reversal = Reversal(case.recording, DIRECTIONS[verb], case.start.dialect, by_name)
    try:
        steps, notes = reversal.of([partial.operations[index] for index in partial.done], case.start)
    except NoReversalError as error:
        raise RefusedError(
            f"{partial.revision} cannot be undone automatically: {error}. Nothing was changed."
        ) from None
    doubtful = [partial.operations[i] for i in partial.doubt if isinstance(partial.operations[i], UNSEEN)]
    for operation in doubtful:
        if any(isinstance(part, ops.Unclear) for part in parts_of(operation, case.start.dialect)):
            raise RefusedError(
                f"{partial.revision} cannot be undone automatically: no schema shows whether this was run, and its "
                f"text does not say what it does: {describe(operation)}. Nothing was changed."
            )
    unseen = tuple(
        f"No schema shows whether this was run, and it is not undone: {describe(operation)}" for operation in doubtful
    )
    indexes = [
        RepairStep(operation)
        for operation in partial.unindexed
        if (table := case.start.tables.get(case.start.name_of(operation))) is not None
        and operation.index.name in table.indexes
    ]
    return (*steps, *indexes), (*notes, *unseen)


def _continue(partial: PartiallyApplied, in_doubt: InDoubt | None) -> tuple[tuple[RepairStep, ...], tuple[str, ...]]:
    """Return the missing operations, in the direction in which the revision was run."""
    operations = partial.operations
    doubtful = [index for index in partial.doubt if isinstance(operations[index], UNSEEN)]
    if doubtful and in_doubt is None:
        names = "; ".join(describe(operations[index]) for index in doubtful[:NAMED_AT_MOST])
        raise RefusedError(
            f"No schema shows whether this part of {partial.revision} was run: {names}. Find out. Then use --in-doubt "
            "run if it was not run, or --in-doubt skip if it was. Nothing was changed."
        )
    chosen = {*partial.missing, *(doubtful if in_doubt == "run" else ())}
    outside = in_autocommit(operations)
    steps = tuple(
        RepairStep(operations[index], partial.direction, index, index in outside)  # type: ignore[arg-type]  # one of two
        for index in sorted(chosen)
        if not isinstance(operations[index], (ops.Autocommit, ops.RebuildTable, ops.Other))
    )
    fate = {"run": "it is run now", "skip": "it is left out", None: ""}[in_doubt]
    return steps, tuple(
        f"No schema shows whether this was run, and {fate}: {describe(operations[index])}" for index in doubtful
    )


def describe(operation: ops.Operation) -> str:
    if isinstance(operation, ops.ExecuteSql):
        sql = " ".join(operation.sql.split())
        return sql if len(sql) <= SQL_SHOWN else f"{sql[:SQL_SHOWN]}…"
    return f"rows inserted into {operation.table}" if isinstance(operation, ops.OnTable) else operation.kind


def _clean_up(case: _Case) -> Iterator[RepairStep]:
    """Yield the first steps: an invalid index is dropped; a table's copy is dropped, or replaces the table."""
    touched = {operation.table for operation in case.partial.operations if isinstance(operation, ops.OnTable)}
    names = {table.name for table in case.snapshot.tables}
    for leftover in case.snapshot.leftovers:
        if leftover.table not in touched or leftover.kind == "leftover-type":
            continue
        if leftover.kind == "invalid-index":
            yield RepairStep(ops.DropIndex(leftover.name, leftover.table, leftover.schema))
        elif leftover.table in names:
            yield RepairStep(ops.DropTable(leftover.name, None))
        elif leftover.table is not None:  # the run stopped between dropping the table and renaming its copy
            yield RepairStep(ops.RenameTable(leftover.name, None, leftover.table))


# -- the result


def _require_complete(case: _Case, verb: RepairVerb, steps: Iterable[RepairStep]) -> None:
    """Raise `RefusedError` if the steps do not lead to the schema that a clean run gives, as far as it is known."""
    partial = case.partial
    now = case.start.applying(partial.operations[index] for index in partial.done)
    then = now.applying(step.operation for step in steps)
    opened = {table.name for state in (case.start, case.expected) for table in state.tables.values() if table.open}
    names = {*now.changed, *then.changed, *case.expected.changed} - opened
    differences: list[Difference] = []
    for name in sorted(names):
        differences += differences_of(case.expected.facts(name), then.facts(name))
    wrong = list_differences(differences)
    if wrong:
        raise RefusedError(
            f"Cannot {verb} {partial.revision}: the schema would still have {count_differences(differences)} "
            f"({'; '.join(wrong[:NAMED_AT_MOST])}). Nothing was changed."
        )


def has_secret(steps: Iterable[RepairStep]) -> bool:
    """Return whether a secret was removed from the description of an operation that would run as it is described."""
    return any(step.direction is None and HIDDEN in json.dumps(codec.encode(step.operation)) for step in steps)


def _require_unhidden(case: _Case, verb: RepairVerb, steps: Sequence[RepairStep]) -> None:
    """Refuse to run an operation as it is described, if a secret was removed from its description."""
    if has_secret(steps):
        raise RefusedError(
            f"Cannot {verb} {case.partial.revision}: an operation contains what looks like a secret, and magetui keeps "
            "no secrets. Do it by hand: 'magetui evidence' lists the operations. Nothing was changed."
        )


def _current_after(chain: Chain, verb: RepairVerb, current: Sequence[str], revision: str) -> tuple[str, ...]:
    """Return the rows of other branches, and the revision itself or its parents."""
    below = chain.applied([revision])
    known = [row for row in current if row in chain.by_id]
    others = {row for row in known if row not in below and revision not in chain.applied([row])}
    if verb == "finish":
        return tuple(sorted({*others, revision}))
    applied = chain.applied(sorted(others)) if others else frozenset()
    parents = chain.by_id[revision].down_revisions
    return tuple(sorted({*others, *(parent for parent in parents if parent not in applied)}))
