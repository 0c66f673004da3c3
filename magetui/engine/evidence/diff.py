"""The live schema against the schema of each revision, fact by fact.

What no revision ever speaks of, such as an index added by hand, is left out of it: that tells none from another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.table_state import TableState
from magetui.engine.revisions.headers import Revision
from magetui.engine.schema.facts import UNREAD, Fact, index_fact
from magetui.engine.schema.live import Live

Difference = tuple[Fact, bool]  # whether it is missing; else it is too much
OF_COLUMNS = frozenset({"column", "type", "null", "default"})
Fit = Literal["exactly", "loosely"]


class SchemaDiff:
    """`tables` are the names of all tables that a revision leads to."""

    def __init__(self, lineage: SchemaHistory, live: Live) -> None:
        self._lineage = lineage
        self.tables = lineage.tables
        self._made = {
            name
            for model in lineage.after.values()
            for name in model.changed
            if (table := model.tables.get(name)) is not None and not table.open
        }
        # By the identity of a table's model: models share what they leave alone. The tables are kept, so that no other
        # one is given the identity of one that is gone.
        self._facts: dict[int, tuple[TableState, frozenset[Fact]]] = {}
        self._costs: dict[tuple[str, int], tuple[TableState | None, int]] = {}
        self._live = _heard_of(live, lineage)
        self._left = {name: left for name in lineage.after if (left := self._left_by(name))}

    def of(self, table: TableState | None, model: SchemaState) -> frozenset[Fact]:
        """The facts of a table of that model; none where there is no table."""
        if table is None:
            return frozenset()
        if id(table) not in self._facts:
            self._facts[id(table)] = table, model.facts(table.name)
        return self._facts[id(table)][1]

    def is_live(self, fact: Fact) -> bool:
        of = self._live.enums if fact.kind in ("enum", "enum-value") else self._live.tables
        return fact in of.get(fact.table, frozenset())

    # -- how much differs

    def cost(self, model: SchemaState, name: str) -> int:
        """How many facts of a table differ."""
        table = model.tables.get(name)
        key = (name, id(table) if table is not None else -int(model.open))
        if key not in self._costs:
            self._costs[key] = table, len(self._differing(model, name))
        return self._costs[key][1]

    def total(self, model: SchemaState) -> int:
        return sum(self.cost(model, name) for name in self.tables)

    def totals(self) -> dict[str, int]:
        """How many facts differ at each revision: what it does not touch differs as it did before."""
        totals: dict[str, int] = {}
        for revision in self._lineage.oldest_first:
            before, after = self._lineage.before[revision.revision], self._lineage.after[revision.revision]
            if before.open is after.open:
                touched = sum(self.cost(after, name) - self.cost(before, name) for name in after.changed)
                totals[revision.revision] = self.total_before(revision, totals) + touched
            else:
                totals[revision.revision] = self.total(after)
        return totals

    def total_before(self, revision: Revision, totals: Mapping[str, int]) -> int:
        """How many facts differ before a revision, from those that differ at what it stands on."""
        parents = {*revision.down_revisions, *revision.depends_on}
        if len(parents) == 1:
            return totals[parents.pop()]
        return self.total(self._lineage.before[revision.revision])

    def differences(self, model: SchemaState) -> tuple[Difference, ...]:
        missing, left = self.of_enums(model)
        found = [one for name in self.tables for one in self._differing(model, name)]
        return tuple(sorted([*found, *missing, *left], key=lambda one: (one[0].table, not one[1], str(one[0]))))

    def of_enums(self, model: SchemaState) -> tuple[list[Difference], list[Difference]]:
        """What is missing of the types, and what is left of them."""
        missing: list[Difference] = []
        left: list[Difference] = []
        for name in self._lineage.enums:
            wanted, there = model.enum_facts(name), self._live.enums.get(name, frozenset())
            missing += [(fact, True) for fact in wanted - there]
            left += [(fact, False) for fact in there - wanted]
        return missing, left

    def _differing(self, model: SchemaState, name: str) -> list[Difference]:
        table = model.tables.get(name)
        there = self._live.tables.get(name, frozenset())
        if table is None:
            return [] if model.open else [(fact, False) for fact in there]
        wanted = self.of(table, model)
        if wanted == there:
            return []
        unread = {fact.place for fact in there if fact.kind == "default" and fact.value == UNREAD}
        if not table.open:
            differing = [*((fact, True) for fact in wanted - there), *((fact, False) for fact in there - wanted)]
            return [one for one in differing if one[0].place not in unread]
        if len(wanted) == 1 and not table.gone and not table.exists:
            return []  # nothing is known of it, not even that it is there
        if not there and name not in self._made and not table.exists:
            return []  # no revision makes it: a script that names what nobody has is not evidence of anything
        return [
            *((fact, True) for fact in wanted - there if fact.place not in unread),
            *((fact, False) for fact in there if fact.place in table.gone),
        ]

    # -- whether a model fits

    def fit(self, model: SchemaState, total: int) -> Fit | None:
        """Loosely where enum types are left over; `total` is how many facts of the tables differ."""
        left = self.left_over(model, total)
        return None if left is None else "loosely" if left else "exactly"

    def left_over(self, model: SchemaState, total: int) -> int | None:
        """How many facts of enum types are left over where nothing else differs; None where something does."""
        if total:
            return None
        missing, left = self.of_enums(model)
        return None if missing else len(left)

    def fit_of(self, current: Sequence[str], model: SchemaState, total: int) -> Fit | None:
        """Of a current revision: loosely too where all that differs is what downgrades leave behind."""
        if total and self._left_by_downgrades(current, model, total) and not self.of_enums(model)[0]:
            return "loosely"
        return self.fit(model, total)

    def unspoken(self, model: SchemaState, total: int) -> int:
        """How many facts of what is there the model says nothing of; of those that do not fit, nobody asks."""
        if total:
            return 0
        opened = [name for name in self.tables if model.open or (name in model.tables and model.tables[name].open)]
        there = (self._live.tables.get(name, frozenset()) for name in opened)
        return sum(len(live - self.of(model.tables.get(name), model)) for name, live in zip(opened, there, strict=True))

    def _left_by_downgrades(self, current: Sequence[str], model: SchemaState, total: int) -> bool:
        if total > sum(map(len, self._left.values())):
            return False
        stands_on = self._lineage.ancestors(current)
        left = set().union(*(left for revision, left in self._left.items() if revision not in stands_on))
        return all(one in left for name in self.tables for one in self._differing(model, name))

    def _left_by(self, revision: str) -> set[Difference]:
        """What differs after going up and down again, where the downgrade undoes a part of the upgrade."""
        before, after = self._lineage.before[revision], self._lineage.after[revision]
        back = self._lineage.back(revision)
        undone = False
        left: set[Difference] = set()
        for name in back.changed:
            tables = old, new, now = [model.tables.get(name) for model in (before, after, back)]
            if any(table is not None and table.open for table in tables):
                continue
            if now == old:
                undone = undone or old != new
                continue
            was, becomes = self.of(old, before), self.of(now, back)
            undone = undone or becomes != self.of(new, after)
            left |= {*((fact, True) for fact in was - becomes), *((fact, False) for fact in becomes - was)}
        return left if undone else set()

    def is_done(self, before: SchemaState, after: SchemaState) -> bool:
        """Whether what leads from one state to the other has been done, by what is there now."""
        added, removed = self.brought(before, after)
        return all(self.is_live(fact) for fact in added) and not any(self.is_live(fact) for fact in removed)

    def brought(self, before: SchemaState, after: SchemaState) -> tuple[set[Fact], set[Fact]]:
        """Facts that are there after one step and not before, and the other way round; open tables tell nothing."""
        added: set[Fact] = set()
        removed: set[Fact] = set()
        for name in after.changed:
            tables = before.tables.get(name), after.tables.get(name)
            if tables[1] is not None and tables[1].open:
                new = self.of(tables[1], after)
                old = self.of(tables[0], before) if tables[0] is not None else frozenset()
                added |= new - old if len(new) > 1 or tables[1].exists else set()
                continue
            old = self.of(tables[0], before) if tables[0] is not None and not tables[0].open else frozenset()
            new = self.of(tables[1], after) if tables[1] is not None else frozenset()
            added |= new - old
            removed |= old - new
        for name in {*before.enums, *after.enums} if before.enums is not after.enums else ():
            old, new = before.enum_facts(name), after.enum_facts(name)
            added |= new - old
            removed |= old - new
        return added, removed


def _heard_of(live: Live, lineage: SchemaHistory) -> Live:
    """Without what no revision ever speaks of."""
    columns: dict[str, set[str]] = defaultdict(set)
    places: set[tuple[str, str, str]] = set()
    for table, _ in lineage.made:
        columns[table.name].update(table.columns, table.altered)
        places.update(_places(table))

    def is_heard_of(fact: Fact) -> bool:
        if fact.kind in OF_COLUMNS:
            return fact.name in columns[fact.table]
        return fact.kind == "table" or fact.place in places

    tables = {name: frozenset(filter(is_heard_of, live.tables[name])) for name in lineage.tables if name in live.tables}
    return Live(tables, live.enums)


def _places(table: TableState) -> Iterable[tuple[str, str, str]]:
    """What a table has besides columns."""
    if table.primary_key:
        yield "primary-key", table.name, ""
    for index in table.indexes.values():
        yield index_fact(table.name, index.name, index.columns, unique=index.unique).place
    for columns in table.uniques.values():
        yield index_fact(table.name, "", columns, unique=True).place
    for key in table.foreign_keys.values():
        yield "foreign-key", table.name, ", ".join(key.columns)
    for check in table.checks:
        yield "check", table.name, check
