"""A revision of which only a part is there: one that was begun and broke off, told from what the schema shows.

A half is looked for in one revision, from one known state, in one direction; where something else differs too, there
is none to be told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from magetui.engine.evidence.diff import SchemaDiff
from magetui.engine.evidence.recording import Direction, Recording
from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.schema.facts import index_fact
from magetui.model.operations import Autocommit, CreateIndex, Operation, RebuildTable, Recorded


@dataclass(frozen=True, slots=True)
class PartiallyApplied:
    """A revision of which only some operations are there, in the direction in which it was run.

    The operations by their places in the recorded list: `done`, `missing`, and those in `doubt`, which no schema shows.
    `unindexed`: the indexes that a rebuilt table had and has not been given again.
    """

    revision: str
    direction: Direction
    operations: tuple[Operation, ...]
    done: tuple[int, ...]
    doubt: tuple[int, ...]
    missing: tuple[int, ...]
    unindexed: tuple[CreateIndex, ...] = ()
    or_else: str | None = None  # the revision before it, where that may be what was begun: no schema shows what it did
    adds_values_alone: bool = False  # all that is done of it are values of enum types, which nobody can take away

    def real(self, places: Iterable[int]) -> list[Operation]:
        """The operations at those places, without the marks of where a transaction ends."""
        return [self.operations[place] for place in places if not isinstance(self.operations[place], Autocommit)]


class PartialRevisions:
    """Looks for one, in the revisions of a chain and what is there; `totals` are the differences from each of them."""

    def __init__(
        self,
        lineage: SchemaHistory,
        recordings: Mapping[str, Recording],
        compared: SchemaDiff,
        totals: Mapping[str, int],
    ) -> None:
        self._lineage = lineage
        self._recordings = recordings
        self._compared = compared
        self._totals = totals

    def found(self) -> PartiallyApplied | None:
        """The revision that begun from one known state, in either direction, leads to what is there."""
        for revision in reversed(self._lineage.oldest_first):
            name = revision.revision
            before, after = self._lineage.before[name], self._lineage.after[name]
            recording = self._recordings[name]
            for direction, start, total, way in (
                ("upgrade", before, self._compared.total_before(revision, self._totals), recording.upgrade),
                ("downgrade", after, self._totals[name], recording.downgrade),
            ):
                found = self._half_way(name, direction, start, total, way)
                if found is not None:
                    return replace(found, or_else=self._not_followed(revision.down_revisions))
        return None

    def _not_followed(self, revisions: Sequence[str]) -> str | None:
        """The first of them of which no schema shows what it did."""
        return next((one for one in revisions if self._recordings[one].upgrade.undecidable is not None), None)

    def begun(self, current: tuple[str, ...]) -> PartiallyApplied | None:
        """The revision after a current revision, where all that is left over are values that it adds to enum types.

        PostgreSQL commits those by themselves, so that a run which breaks off then leaves them; a rollback does too.
        """
        applied = self._lineage.ancestors(current)
        for revision in self._lineage.oldest_first:
            name = revision.revision
            if name in applied or not applied.issuperset(revision.down_revisions):
                continue
            start = self._lineage.before[name]
            way = self._recordings[name].upgrade
            found = self._half_way(name, "upgrade", start, self._compared.total(start), way)
            if found is None:
                continue
            reached = start.applying(found.operations[place] for place in found.done)
            exactly = self._compared.fit(reached, self._compared.total(reached)) == "exactly"
            if exactly and not reached.changed and reached.enums.keys() == start.enums.keys():
                return replace(found, adds_values_alone=True)
        return None

    def _half_way(
        self, revision: str, direction: Direction, start: SchemaState, total: int, way: Recorded
    ) -> PartiallyApplied | None:
        if way.undecidable is not None or len(way.operations) < 2:
            return None
        states = [start]  # what a script does that cannot be read explains nothing of what is there
        for operation in way.operations:
            states.append(states[-1].as_far_as_read(operation))
        touched = frozenset().union(*(state.changed for state in states[1:]))
        if total > sum(self._compared.cost(start, name) for name in touched):
            return None  # something else differs
        count = len(way.operations)
        totals = [self._compared.total(state) for state in states]
        left = [self._compared.left_over(state, total) for state, total in zip(states, totals, strict=True)][1:-1]
        least = min((facts for facts in left if facts is not None), default=None)
        fitting = [place for place, facts in enumerate(left, start=1) if facts is not None and facts == least]
        if fitting:
            done, missing = range(fitting[0]), range(fitting[-1], count)
            doubt: Iterable[int] = range(fitting[0], fitting[-1])
        elif (rebuilt := self._rebuilt(way.operations, states)) is not None:
            end, unindexed = rebuilt
            made, rest = tuple(range(end)), tuple(range(end, count))
            return PartiallyApplied(revision, direction, way.operations, made, (), rest, unindexed)
        else:
            steps = list(enumerate(pairwise(states)))
            unseen = {place for place, step in steps if not any(self._compared.brought(*step))}
            there = [place for place, step in steps if place not in unseen and self._compared.is_done(*step)]
            model = start
            for place in there:
                model = model.as_far_as_read(way.operations[place])
            if not there or len(there) + len(unseen) == count:
                return None
            if not self._compared.fit(model, self._compared.total(model)):
                return None
            done, doubt = there, sorted(unseen)  # type: ignore[assignment]
            missing = [place for place in range(count) if place not in {*there, *unseen}]  # type: ignore[assignment]
        return PartiallyApplied(revision, direction, way.operations, tuple(done), tuple(doubt), tuple(missing))

    def _rebuilt(
        self, operations: Sequence[Operation], states: Sequence[SchemaState]
    ) -> tuple[int, tuple[CreateIndex, ...]] | None:
        """Where a batch operation of SQLite's broke off between its copy and the copy's indexes: after how many
        operations, and the indexes. It makes those last, so that they are gone until then.
        """
        for place, operation in enumerate(operations):
            if not isinstance(operation, RebuildTable):
                continue
            name = states[0].name_of(operation)
            end = place + 1
            while end < len(operations) and states[0].name_of(operations[end]) == name:
                end += 1
            table = states[end].tables.get(name)
            if table is None or table.open:
                continue
            differing = {fact for fact, missing in self._compared.differences(states[end]) if missing}
            made = {
                index.name: index_fact(name, index.name, index.columns, unique=index.unique)
                for index in table.indexes.values()
            }
            gone = [index for index in table.indexes.values() if made[index.name] in differing]
            if gone and self._compared.total(states[end]) == len({made[index.name] for index in gone}):
                return end, tuple(CreateIndex(operation.table, operation.schema, index) for index in gone)
        return None
