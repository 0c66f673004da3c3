"""The differences between the live schema and the schema of each revision, fact by fact.

Facts that no revision mentions, such as an index that somebody added by hand, are left out: they tell no revision from
another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.schema.facts import EXPRESSION, UNREAD, Difference, Fact, differences_of, in_order, index_fact
from magetui.model.schema import BATCH_PREFIX, TableDetail

if TYPE_CHECKING:
    from magetui.engine.evidence.schema_history import SchemaHistory
    from magetui.engine.evidence.table_state import TableState
    from magetui.engine.schema.snapshot import Snapshot
    from magetui.engine.workspace import Workspace

COLUMN_KINDS = frozenset({"column", "type", "null", "default"})
Fit = Literal["exactly", "loosely"]


@dataclass(frozen=True)
class Live:
    tables: Mapping[str, frozenset[Fact]]
    enums: Mapping[str, frozenset[Fact]] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of each table, in the table's order
    copies: tuple[str, ...] = ()  # tables of which only the copy of a batch operation exists
    invalid: frozenset[str] = frozenset()  # indexes that exist, and that no query uses


def live_schema(workspace: Workspace, snapshot: Snapshot) -> Live:
    """Return the facts of a snapshot's tables and enum types, without those of the version table."""
    scripts, default_schema = workspace.project.scripts, snapshot.server.schema
    details = named_as_originals(snapshot.details)
    state = SchemaState.read(workspace.target.dialect, default_schema, details, snapshot.enum_types)
    version_tables = {state.name(table.schema, table.name) for table in snapshot.version_tables}
    version_tables.add(state.name(scripts.version_table_schema, scripts.version_table))
    tables = {name: state.facts(name) for name in state.tables if name not in version_tables}
    columns = {name: tuple(state.tables[name].columns) for name in tables}
    enums = {name: state.enum_facts(name) for name in state.enums}
    pairs = zip(snapshot.details, details, strict=True)
    copies = tuple(named.table.name for found, named in pairs if named.table.name != found.table.name)
    invalid = frozenset(index.name for detail in details for index in detail.indexes if not index.valid)
    return Live(tables, enums, columns, copies, invalid)


def named_as_originals(details: Iterable[TableDetail]) -> tuple[TableDetail, ...]:
    """Return the tables, where a copy that a batch operation left has its table's name if that table is gone."""
    tables = tuple(details)
    names = {(detail.table.schema, detail.table.name) for detail in tables}
    return tuple(
        replace(detail, table=replace(detail.table, name=original))
        if detail.table.name.startswith(BATCH_PREFIX)
        and (detail.table.schema, original := detail.table.name.removeprefix(BATCH_PREFIX)) not in names
        else detail
        for detail in tables
    )


class SchemaDiff:
    """Compares the live schema with schema states; `tables` are the names of all tables that a revision leads to."""

    def __init__(self, history: SchemaHistory, live: Live) -> None:
        self._history = history
        self.tables = history.tables
        self.strangers = tuple(sorted(live.tables.keys() - history.tables))
        # Tables of another schema have its name in front.
        parts = (name.rpartition(".") for name in self.strangers)
        self.other_schemas = tuple(sorted({schema for schema, _, name in parts if schema and name in history.tables}))
        self._made = {
            name
            for state in history.after.values()
            for name in state.changed
            if (table := state.tables.get(name)) is not None and not table.open
        }
        # Keyed by the identity of a state, because schema states share the tables that they do not change. The states
        # are kept here, so that no other state gets the identity of a deleted one.
        self._facts: dict[int, tuple[TableState, frozenset[Fact]]] = {}
        self._totals: dict[int, tuple[SchemaState, int]] = {}
        self._costs: dict[tuple[str, int], tuple[TableState | None, int]] = {}
        self._live = _mentioned(live, history)
        self._unmentioned = {
            name: facts - self._live.tables.get(name, frozenset()) for name, facts in live.tables.items()
        }
        self._left = {name: left for name in history.after if (left := self._left_by(name))}
        for revision in history.oldest_first:
            before, after = history.before[revision.revision], history.after[revision.revision]
            if before.open is after.open:  # tables that the revision does not touch differ as they did before
                touched = sum(self.cost(after, name) - self.cost(before, name) for name in after.changed)
                self._totals[id(after)] = after, self.total(before) + touched

    def of(self, table: TableState | None, state: SchemaState) -> frozenset[Fact]:
        """Return the facts of a table of that schema state; no facts if the table does not exist."""
        if table is None:
            return frozenset()
        if id(table) not in self._facts:
            self._facts[id(table)] = table, state.facts(table.name)
        return self._facts[id(table)][1]

    def is_live(self, fact: Fact) -> bool:
        if self._has_under_another_name(fact):
            return True
        facts = self._live.enums if fact.kind in ("enum", "enum-value") else self._live.tables
        return fact in facts.get(fact.table, frozenset())

    def live_at(self, fact: Fact) -> Fact | None:
        """Return the live fact at the same place: another type of the same column, for example."""
        facts = self._live.enums if fact.kind in ("enum", "enum-value") else self._live.tables
        return next((live for live in facts.get(fact.table, ()) if live.place == fact.place), None)

    def _has_under_another_name(self, fact: Fact) -> bool:
        """Return True if there is such an index or check, with a name that no revision mentions.

        An application that creates its tables from its models lets SQLAlchemy choose the names of indexes. A naming
        convention that is not known here puts the name of a check into a longer one.
        """
        others = (other for other in self._unmentioned.get(fact.table, ()) if other.kind == fact.kind)
        if fact.kind == "index":
            return EXPRESSION not in fact.value and any(other.value == fact.value for other in others)
        return fact.kind == "check" and any(fact.name in other.name for other in others)

    # -- how much differs

    def cost(self, state: SchemaState, name: str) -> int:
        table = state.tables.get(name)
        key = (name, id(table) if table is not None else -int(state.open))
        if key not in self._costs:
            self._costs[key] = table, len(self._differing(state, name))
        return self._costs[key][1]

    def total(self, state: SchemaState) -> int:
        if id(state) not in self._totals:
            self._totals[id(state)] = state, sum(self.cost(state, name) for name in self.tables)
        return self._totals[id(state)][1]

    def differences(self, state: SchemaState) -> tuple[Difference, ...]:
        missing, left = self.of_enums(state)
        in_tables = [difference for name in self.tables for difference in self._differing(state, name)]
        return in_order([*in_tables, *missing, *left])

    def of_enums(self, state: SchemaState) -> tuple[list[Difference], list[Difference]]:
        """Return the facts of enum types that are missing, and the facts that are left over."""
        differing: list[Difference] = []
        for name in self._history.enums:
            if name in state.open_enums:
                continue
            differing += differences_of(state.enum_facts(name), self._live.enums.get(name, frozenset()))
        return [pair for pair in differing if pair[1]], [pair for pair in differing if not pair[1]]

    def _differing(self, state: SchemaState, name: str) -> list[Difference]:
        table = state.tables.get(name)
        live = self._live.tables.get(name, frozenset())
        if table is None:
            return [] if state.open else [(fact, False) for fact in live]
        expected = self.of(table, state)
        if expected == live:
            return []
        expected = frozenset(fact for fact in expected if fact in live or not self._has_under_another_name(fact))
        unread = {fact.place for fact in live if fact.kind == "default" and fact.value == UNREAD} | table.doubtful
        if not table.open:
            return [difference for difference in differences_of(expected, live) if difference[0].place not in unread]
        if len(expected) == 1 and not table.gone and not table.exists:
            return []  # nothing is known of the table, not even that it exists
        if not live and name not in self._made and not table.exists:
            return []  # no revision makes it: a script that names a table which nobody has is no evidence
        return [
            *((fact, True) for fact in expected - live if fact.place not in unread),
            *((fact, False) for fact in live if fact.place in table.gone - unread),
        ]

    # -- whether a schema state matches

    def fit(self, state: SchemaState) -> Fit | None:
        """Return how well a state matches: loosely if enum types are left over."""
        left = self.left_over(state)
        return None if left is None else "loosely" if left else "exactly"

    def left_over(self, state: SchemaState) -> int | None:
        """Count the facts of enum types that are left over if nothing else differs; return None if anything does."""
        if self.total(state):
            return None
        missing, left = self.of_enums(state)
        return None if missing else len(left)

    def fit_of(self, current: Sequence[str], state: SchemaState) -> Fit | None:
        """Return how well a current revision matches: loosely, too, if downgrades left all that differs."""
        if 0 < self.total(state) <= sum(map(len, self._left.values())) and not self.of_enums(state)[0]:
            applied = self._history.ancestors(current)
            left = set().union(*(left for revision, left in self._left.items() if revision not in applied))
            if all(difference in left for name in self.tables for difference in self._differing(state, name)):
                return "loosely"
        return self.fit(state)

    def unmentioned(self, state: SchemaState) -> int:
        """Count the live facts that the schema state does not mention. Returns 0 if the state does not match."""
        if self.total(state):
            return 0
        opened = [name for name in self.tables if state.open or (name in state.tables and state.tables[name].open)]
        return sum(
            len(self._live.tables.get(name, frozenset()) - self.of(state.tables.get(name), state)) for name in opened
        )

    def _left_by(self, revision: str) -> set[Difference]:
        """Return the differences that remain after an upgrade and its downgrade; none if that undoes nothing."""
        before, after = self._history.before[revision], self._history.after[revision]
        back = self._history.back(revision)
        undone = False
        left: set[Difference] = set()
        for name in back.changed:
            tables = old, new, now = [state.tables.get(name) for state in (before, after, back)]
            if any(table is not None and table.open for table in tables):
                continue
            if now == old:
                undone = undone or old != new
                continue
            becomes = self.of(now, back)
            undone = undone or becomes != self.of(new, after)
            left.update(differences_of(self.of(old, before), becomes))
        return left if undone else set()

    def brought(self, before: SchemaState, after: SchemaState) -> tuple[set[Fact], set[Fact]]:
        """Return the facts that a step adds and the facts that it removes. Open tables show no removed facts."""
        added: set[Fact] = set()
        removed: set[Fact] = set()
        for name in after.changed:
            was, becomes = before.tables.get(name), after.tables.get(name)
            old, new = self.of(was, before), self.of(becomes, after)
            if becomes is not None and becomes.open:
                added |= new - old if len(new) > 1 or becomes.exists else set()
                continue
            if was is not None and was.open:
                old = frozenset()
            added |= new - old
            gone = old - new
            removed |= {fact for fact in gone if fact.place not in becomes.doubtful} if becomes is not None else gone
        for name in {*before.enums, *after.enums} if before.enums is not after.enums else ():
            if name in after.open_enums:
                continue
            old, new = before.enum_facts(name), after.enum_facts(name)
            added |= new - old
            removed |= old - new
        return added, removed


def _mentioned(live: Live, history: SchemaHistory) -> Live:
    """Return the live schema without the facts that no revision mentions."""
    columns: dict[str, set[str]] = defaultdict(set)
    places: set[tuple[str, str, str]] = set()
    for table in history.made:
        columns[table.name].update(table.columns, table.altered)
        places.update(_places(table))

    def is_mentioned(fact: Fact) -> bool:
        if fact.kind in COLUMN_KINDS:
            return fact.name in columns[fact.table]
        return fact.kind == "table" or fact.place in places

    kept = [name for name in history.tables if name in live.tables]
    return Live({name: frozenset(filter(is_mentioned, live.tables[name])) for name in kept}, live.enums, live.columns)


def _places(table: TableState) -> Iterable[tuple[str, str, str]]:
    """Yield the place of each fact of a table, except those of its columns."""
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
