"""Partially applied revisions: a run started one and stopped half-way, and the live schema shows how far it came.

The search tries one revision from one known schema state in one direction. If anything else differs too, the result
would be a guess, so there is none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from magetui.engine.evidence.verdict import PartiallyApplied
from magetui.engine.schema.facts import index_fact
from magetui.model.operations import CreateIndex, Operation, RebuildTable, Recording

if TYPE_CHECKING:
    from magetui.engine.evidence.diff import SchemaDiff
    from magetui.engine.evidence.recording import Direction
    from magetui.engine.evidence.schema_history import SchemaHistory
    from magetui.engine.evidence.schema_state import SchemaState


@dataclass(frozen=True, slots=True)
class PartialRevisions:
    history: SchemaHistory
    recordings: Mapping[str, Recording]
    diff: SchemaDiff

    def found(self, current: Collection[str]) -> PartiallyApplied | None:
        """Return the revision that, stopped half-way in either direction, leads to the live schema.

        If several do, it is one that a run on the current revision starts with, or else the newest one.
        """
        newest_first = list(reversed(self.history.oldest_first))
        is_next = {r.revision for r in newest_first if r.down_revisions and {*current} >= {*r.down_revisions}}
        newest_first.sort(key=lambda revision: revision.revision not in is_next)
        for revision in newest_first:
            name = revision.revision
            for direction, start in (("upgrade", self.history.before[name]), ("downgrade", self.history.after[name])):
                if (stopped := self._stopped(name, direction, start)) is not None:
                    upgrades = {parent: self.recordings[parent].upgrade for parent in revision.down_revisions}
                    unread = (parent for parent, upgrade in upgrades.items() if upgrade.undecidable is not None)
                    return replace(stopped, or_else=next(unread, None))
        return None

    def begun(self, current: tuple[str, ...]) -> PartiallyApplied | None:
        """Return a revision after the current one, if all leftovers are values that it adds to enum types.

        PostgreSQL commits such values by themselves, so a run that stops afterwards leaves them; a rollback does too.
        """
        applied = self.history.ancestors(current)
        for revision in self.history.oldest_first:
            name = revision.revision
            if name in applied or not applied.issuperset(revision.down_revisions):
                continue
            start = self.history.before[name]
            stopped = self._stopped(name, "upgrade", start)
            if stopped is None:
                continue
            reached = start.applying(stopped.operations[index] for index in stopped.done)
            exactly = self.diff.fit(reached) == "exactly"
            if exactly and not reached.changed and reached.enums.keys() == start.enums.keys():
                return replace(stopped, adds_values_alone=True)
        return None

    def _stopped(self, revision: str, direction: Direction, start: SchemaState) -> PartiallyApplied | None:
        """Return how far the operations came from `start`, if that explains the live schema."""
        recorded = self.recordings[revision].recorded(direction)
        operations = recorded.operations
        if recorded.undecidable is not None or len(operations) < 2:
            return None
        states = [start]  # operations that cannot be read explain nothing of the live schema
        for operation in operations:
            states.append(states[-1].as_far_as_read(operation))
        touched = frozenset().union(*(state.changed for state in states[1:]))
        if self.diff.total(start) > sum(self.diff.cost(start, name) for name in touched):
            return None  # something else differs
        count = len(operations)
        stopped = partial(PartiallyApplied, revision, direction, operations)
        left = [self.diff.left_over(state) for state in states[1:-1]]
        least = min((facts for facts in left if facts is not None), default=None)
        ends = [facts for state in (start, states[-1]) if (facts := self.diff.left_over(state)) is not None]
        if least is not None and ends and min(ends) <= least:
            return None  # nothing that a schema shows was done, or all of it
        fitting = [index for index, facts in enumerate(left, start=1) if facts is not None and facts == least]
        if fitting:
            first, last = fitting[0], fitting[-1]
            return stopped(tuple(range(first)), tuple(range(first, last)), tuple(range(last, count)))
        if (rebuilt := self._rebuilt(operations, states)) is not None:
            end, unindexed = rebuilt
            return stopped(tuple(range(end)), (), tuple(range(end, count)), unindexed)
        by_hand = self._out_of_order(operations, states)
        return None if by_hand is None else stopped(*by_hand)

    def _out_of_order(
        self, operations: Sequence[Operation], states: Sequence[SchemaState]
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]] | None:
        """Return the done, doubtful and missing operations, in any order: somebody did them or mended the schema."""
        done, doubt, missing = [], [], []
        reached, is_live = states[0], self.diff.is_live
        for index, step in enumerate(pairwise(states)):
            added, removed = self.diff.brought(*step)
            if not added and not removed:
                doubt.append(index)
            elif all(map(is_live, added)) and not any(map(is_live, removed)):
                done.append(index)
                reached = reached.as_far_as_read(operations[index])
            else:
                missing.append(index)
        if not done or not missing or not self.diff.fit(reached):
            return None
        return tuple(done), tuple(doubt), tuple(missing)

    def _rebuilt(
        self, operations: Sequence[Operation], states: Sequence[SchemaState]
    ) -> tuple[int, tuple[CreateIndex, ...]] | None:
        """Return after how many operations a batch operation of SQLite stopped, and the indexes that it did not make.

        A batch operation copies the table and makes the indexes of the copy last, so they are missing until then.
        """
        for position, operation in enumerate(operations):
            if not isinstance(operation, RebuildTable):
                continue
            name = states[0].name_of(operation)
            end = position + 1
            while end < len(operations) and states[0].name_of(operations[end]) == name:
                end += 1
            table = states[end].tables.get(name)
            if table is None or table.open:
                continue
            lacking = {fact for fact, missing in self.diff.differences(states[end]) if missing}
            facts = {i.name: index_fact(name, i.name, i.columns, unique=i.unique) for i in table.indexes.values()}
            gone = [index for index in table.indexes.values() if facts[index.name] in lacking]
            if gone and self.diff.total(states[end]) == len({facts[index.name] for index in gone}):
                return end, tuple(CreateIndex(operation.table, operation.schema, index) for index in gone)
        return None
