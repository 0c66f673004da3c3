"""The evidence for single operations: which of a revision's operations the live schema shows.

The verdict weighs complete revisions. An operator who compares a revision with the schema reads it operation by
operation, in the order of the script.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from magetui.engine.evidence.diff import SchemaDiff
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.verdict import OperationEvidence, OperationState, PartiallyApplied
from magetui.engine.schema.facts import Fact
from magetui.model.operations import NO_CHANGES, Operation


def weigh_operations(
    diff: SchemaDiff, start: SchemaState, operations: Sequence[Operation], visible: Collection[Fact]
) -> tuple[OperationEvidence, ...]:
    """Return the evidence for each operation of a revision that changes something, from the state `start`.

    `visible` are the facts that the revision adds or removes and that no later revision has changed again.
    """
    return tuple(evidence for _, evidence in _weighed(diff, start, operations, visible))


def weigh_partial(diff: SchemaDiff, start: SchemaState, partial: PartiallyApplied) -> tuple[OperationEvidence, ...]:
    """Return the evidence for each operation of a partially applied revision, in the direction in which it was run."""
    indexes: Mapping[OperationState, Sequence[int]] = {
        "hidden": partial.doubt,
        "missing": partial.missing,
        "done": partial.done,
    }
    states = {index: state for state, places in indexes.items() for index in places}
    weighed = _weighed(diff, start, partial.operations, None)
    return tuple(replace(evidence, state=states[index]) for index, evidence in weighed)


def _weighed(
    diff: SchemaDiff, start: SchemaState, operations: Sequence[Operation], visible: Collection[Fact] | None
) -> Iterator[tuple[int, OperationEvidence]]:
    """Yield the index and the evidence of each operation that changes something. Without `visible`, all facts count."""
    state = start
    for index, operation in enumerate(operations):
        before, state = state, state.applying((operation,))
        if isinstance(operation, NO_CHANGES):
            continue
        added, removed = diff.brought(before, state)
        brought = added | removed
        counted = brought if visible is None else {fact for fact in brought if fact in visible}
        undone = {fact for fact in counted if diff.is_live(fact) is not (fact in added)}
        if not counted:
            yield index, OperationEvidence(operation, "superseded" if brought else "hidden")
        elif not undone:
            yield index, OperationEvidence(operation, "done")
        else:
            lacking = tuple(sorted(undone & added, key=str))
            live = tuple(found for fact in lacking if (found := diff.live_at(fact)) is not None)
            yield index, OperationEvidence(operation, "missing" if undone == counted else "different", lacking, live)
