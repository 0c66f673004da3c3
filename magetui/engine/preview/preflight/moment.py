"""One moment of a plan: the schema as it will be before an operation, and what decides whether the operation succeeds.

A rule looks at the operation and at its moment, and yields problems. It reads no database: a problem that depends on
rows has the query that decides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from magetui.model.names import quoted

if TYPE_CHECKING:
    from magetui.engine.evidence.schema_state import SchemaState
    from magetui.engine.evidence.table_state import Name, TableState
    from magetui.model.surroundings import Dependent, Surroundings

ALL_COLUMNS = "*"  # among the changed columns of a table: rows are added or removed


@dataclass(frozen=True, slots=True)
class Fails:
    """The operation fails. `says` is what the server says."""

    sentence: str
    says: str | None = None


@dataclass(frozen=True, slots=True)
class NotKnown:
    """It is not known whether the operation succeeds."""

    sentence: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The operation fails if the query finds a row. In the sentence, `answers.ROWS` stands for their number."""

    sentence: str
    query: str
    says: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """The operation fails if the server cannot parse the query, which finds no row."""

    query: str


Problem = Fails | NotKnown | Rows | Parsed


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy that a batch operation makes of a table. The columns and constraints are those of the batch.

    `named`: the columns that its earlier operations have named. `moved`: those that they have dropped or renamed.
    `added`: what any of its operations adds, since the copy is made with all of them. `twice`: the names of constraints
    that it adds more than once, of which Alembic keeps one.
    """

    table: str
    named: frozenset[str] = frozenset()
    moved: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()
    twice: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Moment:
    """See the module. `changed`: the columns whose values the plan has changed before, by the names of `state.tables`.

    `unread_words`: the words of the SQL that the plan has run before, as far as it was not understood. `added_values`:
    the enum values that the open transaction has added. `copy`: what a batch operation changes.
    """

    state: SchemaState
    around: Surroundings
    server: int  # PostgreSQL's major version
    live_enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # as `state.enums` had them
    changed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unread_words: frozenset[str] = frozenset()
    added_values: frozenset[tuple[str, str]] = frozenset()
    in_block: bool = False  # whether an autocommit block is open
    adding: str | None = None  # the column that the present statement of the script's own SQL adds
    copy: Copy | None = None

    @property
    def is_postgresql(self) -> bool:
        return self.state.dialect == "postgresql"

    def stored(self, path: Name) -> str:
        """Return the name of a live table as SQL."""
        return ".".join(self.quoted(part) for part in path if part)

    def quoted(self, name: str) -> str:
        """Return a name as SQL. SQLite has more reserved words than PostgreSQL."""
        return quoted(name) if self.is_postgresql else f'"{name.replace(chr(34), chr(34) * 2)}"'

    def relation(self, path: Name) -> str | None:
        """Return the kind of what has that name and is no table: 'view', 'index', …; None if nothing has it."""
        for relation in self.around.relations:
            same_schema = not self.is_postgresql or relation.schema == path[0]
            if same_schema and self.same(relation.name, path[1]) and relation.name.lower() not in self.unread_words:
                return relation.kind
        return "index" if self.state.table_of_index(path[0], path[1]) is not None else None

    def same(self, name: str, other: str) -> bool:
        """Return whether two names are one: SQLite ignores the case."""
        return name == other if self.is_postgresql else name.lower() == other.lower()

    def dependents(self, table: TableState, column: str | None = None) -> list[Dependent]:
        """Return what needs the live table, or its column, and was not dropped by the plan."""
        if table.live is None:
            return []
        live = None if column is None else table.live_columns.get(column)
        if column is not None and live is None:
            return []
        return [
            dependent
            for dependent in self.around.dependents
            if dependent.table == self.live_path(table)
            and (column is None or (dependent.column is not None and self.same(dependent.column, live or "")))
            and dependent.name.rpartition(" ")[2].lower() not in self.unread_words
        ]

    def live_path(self, table: TableState) -> Name:
        assert table.live is not None
        return table.live if self.is_postgresql else (None, table.live[1])

    def has_rows(self, table: TableState) -> bool | None:
        """Return False if the table surely has no rows, None if that depends on the live table, True if not known."""
        if ALL_COLUMNS in self.changed.get(table.name, ()):
            return True
        return False if table.live is None and not table.open else None

    def are_changed(self, table: TableState, columns: Iterable[str]) -> bool:
        """Return whether the plan may have changed values of the columns before, or added rows."""
        changed = self.changed.get(table.name, frozenset())
        return ALL_COLUMNS in changed or not changed.isdisjoint(columns)
