"""Partially applied revisions: a run started one and stopped half-way, and the live schema shows how far it came.

The search tries one revision from one known schema state in one direction. If anything else differs too, the result
would be a guess, so there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from magetui.engine.evidence.diff import SchemaDiff
from magetui.engine.evidence.recording import Direction, Recording
from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.verdict import PartiallyApplied
from magetui.engine.schema.facts import index_fact
from magetui.model.operations import CreateIndex, Operation, RebuildTable, Recorded


class PartialRevisions:
    """Looks for a partially applied revision; `totals` count the differing facts after each revision."""

    def __init__(
        self,
        history: SchemaHistory,
        recordings: Mapping[str, Recording],
        diff: SchemaDiff,
        totals: Mapping[str, int],
    ) -> None:
        self._history = history
        self._recordings = recordings
        self._diff = diff
        self._totals = totals

    def found(self) -> PartiallyApplied | None:
        """Return the newest revision that, stopped half-way in either direction, leads to the live schema."""
        for revision in reversed(self._history.oldest_first):
            name = revision.revision
            before, after = self._history.before[name], self._history.after[name]
            recording = self._recordings[name]
            for direction, start, total, recorded in (
                ("upgrade", before, self._diff.total_before(revision, self._totals), recording.upgrade),
                ("downgrade", after, self._totals[name], recording.downgrade),
            ):
                partial = self._stopped(name, direction, start, total, recorded)
                if partial is not None:
                    return replace(partial, or_else=self._not_followed(revision.down_revisions))
        return None

    def _not_followed(self, revisions: Sequence[str]) -> str | None:
        """Return the first of the revisions whose changes no schema shows."""
        return next((name for name in revisions if self._recordings[name].upgrade.undecidable is not None), None)

    def begun(self, current: tuple[str, ...]) -> PartiallyApplied | None:
        """Return a revision after the current one, if all leftovers are values that it adds to enum types.

        PostgreSQL commits such values by themselves, so a run that stops afterwards leaves them; a rollback does too.
        """
        applied = self._history.ancestors(current)
        for revision in self._history.oldest_first:
            name = revision.revision
            if name in applied or not applied.issuperset(revision.down_revisions):
                continue
            start = self._history.before[name]
            partial = self._stopped(name, "upgrade", start, self._diff.total(start), self._recordings[name].upgrade)
            if partial is None:
                continue
            reached = start.applying(partial.operations[index] for index in partial.done)
            exactly = self._diff.fit(reached, self._diff.total(reached)) == "exactly"
            if exactly and not reached.changed and reached.enums.keys() == start.enums.keys():
                return replace(partial, adds_values_alone=True)
        return None

    def _stopped(
        self, revision: str, direction: Direction, start: SchemaState, total: int, recorded: Recorded
    ) -> PartiallyApplied | None:
        """Return how far the operations came from `start`, if that explains the live schema."""
        operations = recorded.operations
        if recorded.undecidable is not None or len(operations) < 2:
            return None
        states = [start]  # operations that cannot be read explain nothing of the live schema
        for operation in operations:
            states.append(states[-1].as_far_as_read(operation))
        touched = frozenset().union(*(state.changed for state in states[1:]))
        if total > sum(self._diff.cost(start, name) for name in touched):
            return None  # something else differs
        count = len(operations)
        totals = [self._diff.total(state) for state in states]
        left = [self._diff.left_over(state, total) for state, total in zip(states, totals, strict=True)][1:-1]
        least = min((facts for facts in left if facts is not None), default=None)
        fitting = [index for index, facts in enumerate(left, start=1) if facts is not None and facts == least]
        if fitting:
            first, last = fitting[0], fitting[-1]
            done, doubt, missing = range(first), range(first, last), range(last, count)
            return PartiallyApplied(revision, direction, operations, tuple(done), tuple(doubt), tuple(missing))
        if (rebuilt := self._rebuilt(operations, states)) is not None:
            end, unindexed = rebuilt
            return PartiallyApplied(
                revision, direction, operations, tuple(range(end)), (), tuple(range(end, count)), unindexed
            )
        return self._out_of_order(revision, direction, operations, states)

    def _out_of_order(
        self, revision: str, direction: Direction, operations: tuple[Operation, ...], states: Sequence[SchemaState]
    ) -> PartiallyApplied | None:
        """Return the operations that are done in any order: somebody did them by hand, or mended the schema."""
        steps = list(enumerate(pairwise(states)))
        doubt = {index for index, step in steps if not any(self._diff.brought(*step))}
        done = [index for index, step in steps if index not in doubt and self._diff.is_done(*step)]
        reached = states[0]
        for index in done:
            reached = reached.as_far_as_read(operations[index])
        if not done or len(done) + len(doubt) == len(operations):
            return None
        if not self._diff.fit(reached, self._diff.total(reached)):
            return None
        missing = tuple(index for index in range(len(operations)) if index not in {*done, *doubt})
        return PartiallyApplied(revision, direction, operations, tuple(done), tuple(sorted(doubt)), missing)

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
            differing = {fact for fact, missing in self._diff.differences(states[end]) if missing}
            facts = {
                index.name: index_fact(name, index.name, index.columns, unique=index.unique)
                for index in table.indexes.values()
            }
            gone = [index for index in table.indexes.values() if facts[index.name] in differing]
            if gone and self._diff.total(states[end]) == len({facts[index.name] for index in gone}):
                return end, tuple(CreateIndex(operation.table, operation.schema, index) for index in gone)
        return None
