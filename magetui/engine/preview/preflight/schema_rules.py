"""Problems that depend on what exists: tables, columns, indexes, constraints and types, for every dialect.

What the server does with dependents, names and types differs, so the rules of PostgreSQL and of SQLite add to these.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from magetui.engine.evidence.table_state import TableState, by_columns
from magetui.engine.preview.column_rules import STRING
from magetui.engine.preview.preflight.moment import Fails, Moment, NotKnown, Problem
from magetui.engine.preview.preflight.row_rules import RowRules, missing_value
from magetui.model import operations as ops

if TYPE_CHECKING:
    from magetui.model.schema import ForeignKey

WORD = re.compile(r'"((?:[^"]|"")+)"|([^\W\d]\w*)')


def columns_named(condition: str, table: TableState) -> tuple[str, ...]:
    """Return the columns of the table that a condition names."""
    words = {quoted or plain for quoted, plain in WORD.findall(STRING.sub("''", condition))}
    folded = {word.lower() for word in words}
    return tuple(name for name in table.columns if name in words or name in folded)


class SchemaRules(ABC):
    """The rules at one moment. Each method yields the problems of one kind of operation."""

    def __init__(self, moment: Moment) -> None:
        self.moment = moment
        self.state = moment.state

    # -- tables

    def table(self, operation: ops.OnTable) -> Iterator[Problem]:
        """A table that an operation needs."""
        name = self.state.name_of(operation)
        found = self.found(operation)
        if found is None and self.state.open:
            yield NotKnown(f"whether the table {name} exists then")
        elif found is None:
            yield Fails(f"there is no table {name}", self.no_table(operation))
        elif found.open:
            yield NotKnown(f"what the table {name} has then")

    def no_table(self, operation: ops.OnTable) -> str:
        if self.moment.is_postgresql:
            if isinstance(operation, ops.DropTable):
                return f'table "{operation.table}" does not exist'
            schema = f"{operation.schema}." if operation.schema else ""
            return f'relation "{schema}{operation.table}" does not exist'
        return f"no such table: {operation.table}"

    def found(self, operation: ops.OnTable) -> TableState | None:
        """Return the table of an operation. SQLite ignores the case of its name."""
        name = self.state.name_of(operation)
        if name in self.state.tables or self.moment.is_postgresql:
            return self.state.tables.get(name)
        return next((table for key, table in self.state.tables.items() if key.lower() == name.lower()), None)

    def known(self, operation: ops.OnTable) -> TableState | None:
        """Return the table if all of its parts are known."""
        table = self.found(operation)
        return None if table is None or table.open else table

    def free(self, schema: str | None, name: str, *, is_table: bool) -> Iterator[Problem]:
        """A name for a new table or index that nothing else may have."""
        path = self.state.path(schema, name)
        shown = self.state.name(schema, name)
        table = next(
            (t for t in self.state.tables.values() if t.path[0] == path[0] and self.same(t.path[1], name)), None
        )
        says = f'relation "{name}" already exists'
        if table is not None and not table.is_known:
            yield NotKnown(f"whether the table {shown} exists then")
        elif table is not None:
            yield Fails(f"the table {shown} exists already", says if self.moment.is_postgresql else self.taken(name))
        elif (kind := self.moment.relation(path)) is not None:
            on_sqlite = (
                f"there is already an index named {name}" if kind == "index" else f"{kind} {name} already exists"
            )
            yield Fails(f"the {kind} {shown} exists already", says if self.moment.is_postgresql else on_sqlite)
        elif self.state.open:
            yield NotKnown(f"whether {'the table' if is_table else 'an index'} {shown} exists then")

    def taken(self, name: str) -> str:
        return f"table {name} already exists"

    def same(self, name: str, other: str) -> bool:
        return self.moment.same(name, other)

    # -- columns

    def columns(self, table: TableState, names: Sequence[str], says: str | None = None) -> Iterator[Problem]:
        """Columns that an operation needs."""
        for name in names:
            if self.column(table, name) is None:
                postgresql = says or f'column "{name}" of relation "{table.path[1]}" does not exist'
                server = postgresql if self.moment.is_postgresql else f'no such column: "{name}"'
                yield Fails(f"{table.name} has no column {name}", server)

    def column(self, table: TableState, name: str) -> str | None:
        """Return the column's own spelling of its name; None if the table does not have it."""
        if name in table.columns or self.moment.is_postgresql:
            return name if name in table.columns else None
        return next((column for column in table.columns if column.lower() == name.lower()), None)

    def add_column(self, operation: ops.AddColumn) -> Iterator[Problem]:
        table, column = self.known(operation), operation.column
        if table is None:
            return
        if self.column(table, column.name) is not None:
            if not operation.if_not_exists:
                postgresql = f'column "{column.name}" of relation "{table.path[1]}" already exists'
                says = postgresql if self.moment.is_postgresql else f"duplicate column name: {column.name}"
                yield Fails(f"{table.name} has a column {column.name} already", says)
            return
        yield from missing_value(self.moment, table, column)

    def rename_column(self, table: TableState, old: str, new: str) -> Iterator[Problem]:
        found = self.column(table, new)
        if found is not None and (self.moment.is_postgresql or found != old):
            postgresql = f'column "{new}" of relation "{table.path[1]}" already exists'
            says = postgresql if self.moment.is_postgresql else f'duplicate column name: "{new}"'
            yield Fails(f"{table.name} has a column {new} already", says)

    # -- indexes and constraints

    def create_index(self, operation: ops.CreateIndex) -> Iterator[Problem]:
        table, index = self.known(operation), operation.index
        exists = self.state.table_of_index(*self.state.path(operation.schema, index.name)) is not None
        if exists and operation.if_not_exists:
            return
        yield from self.free(operation.schema, index.name, is_table=False)
        if table is None:
            return
        names = [name for name in index.columns if re.fullmatch(r"[^\W\d]\w*", name)]
        yield from self.columns(table, names, None if len(names) != 1 else f'column "{names[0]}" does not exist')
        if len(names) < len(index.columns) or operation.condition is not None or not operation.plain:
            yield from self.expressions(table, [name for name in index.columns if name not in names], operation)
            if index.unique and self.moment.has_rows(table) is not False:
                yield from self._unique_expression(table, names, operation)
        elif index.unique and all(self.column(table, name) for name in names):
            yield from RowRules(self.moment, table).duplicates(names, index.name)

    @abstractmethod
    def expressions(self, table: TableState, texts: Sequence[str], operation: ops.CreateIndex) -> Iterator[Problem]:
        """Expressions, conditions and options of an index."""

    def _unique_expression(
        self, table: TableState, names: Sequence[str], operation: ops.CreateIndex
    ) -> Iterator[Problem]:
        if len(names) == len(operation.index.columns) and operation.plain:
            yield from RowRules(self.moment, table).duplicates(names, operation.index.name, operation.condition)

    def drop_index(self, operation: ops.DropIndex) -> Iterator[Problem]:
        path = self.state.path(operation.schema, operation.name)
        if self.state.table_of_index(*path) is None and not operation.if_exists:
            open_tables = [table for table in self.state.tables.values() if table.open]
            if self.state.open or open_tables:
                yield NotKnown(f"whether the index {operation.name} exists then")
            else:
                postgresql = f'index "{operation.name}" does not exist'
                says = postgresql if self.moment.is_postgresql else f"no such index: {operation.name}"
                yield Fails(f"there is no index {operation.name}", says)

    def has_constraint(self, table: TableState, name: str) -> bool:
        """Return whether the table has a constraint of that name."""
        named = {*table.uniques, *table.checks, *table.foreign_keys}
        if table.primary_key:
            named.add(table.primary_key_name or self._live_key(table) or f"{table.path[1]}_pkey")
        return name in named

    def _live_key(self, table: TableState) -> str | None:
        live = None if table.live is None else self.moment.live_path(table)
        keys = (c.name for c in self.moment.around.constraints if c.table == live and c.kind == "p")
        return next(keys, None)

    def add_constraint(self, operation: ops.AddConstraint) -> Iterator[Problem]:
        table = self.known(operation)
        if table is None:
            return
        if operation.name is not None and self.has_constraint(table, operation.name):
            if not self.moment.is_postgresql:
                yield NotKnown(f"what becomes of the other constraint {operation.name}")
                return
            says = f'constraint "{operation.name}" for relation "{table.path[1]}" already exists'
            if operation.constraint in ("unique", "primary"):
                says = f'relation "{operation.name}" already exists'
            yield Fails(f"{table.name} has a constraint {operation.name} already", says)
            return
        rows = RowRules(self.moment, table)
        match operation.constraint:
            case "foreign" if operation.foreign_key is not None:
                yield from self.foreign_key(table, operation.foreign_key, valid=operation.valid)
            case "check" if operation.definition is not None:
                named = columns_named(operation.definition, table)
                yield from self.condition(table, operation.definition)
                if operation.valid:
                    yield from rows.refused(operation.name, operation.definition, named)
            case "unique" | "primary" if operation.columns:
                yield from self.columns(table, operation.columns, self._key_says(operation.columns))
                if operation.name is not None and self.moment.is_postgresql:
                    yield from self.free(operation.schema, operation.name, is_table=False)
                if not all(self.column(table, name) for name in operation.columns):
                    return
                if operation.constraint == "primary":
                    yield from self._second_key(table)
                    yield from rows.nulls(operation.columns, "which becomes part of the primary key")
                yield from rows.duplicates(operation.columns, operation.name or by_columns(operation.columns))
            case _:
                yield NotKnown(f"whether the rows of {table.name} allow it")

    def _key_says(self, columns: Sequence[str]) -> str | None:
        return f'column "{columns[0]}" named in key does not exist' if len(columns) == 1 else None

    def _second_key(self, table: TableState) -> Iterator[Problem]:
        if table.primary_key:
            says = f'multiple primary keys for table "{table.path[1]}" are not allowed'
            yield Fails(f"{table.name} has a primary key already", says)

    @abstractmethod
    def condition(self, table: TableState, condition: str) -> Iterator[Problem]:
        """The condition of a check or of an index: whether the server understands it."""

    def foreign_key(self, table: TableState, key: ForeignKey, *, valid: bool) -> Iterator[Problem]:
        yield from self.columns(
            table, key.columns, f'column "{key.columns[0]}" referenced in foreign key constraint does not exist'
        )
        path = self.state.path(key.referred_schema, key.referred_table)
        parent = table if path == table.path else self.state.at(path)
        shown = self.state.name(key.referred_schema, key.referred_table)
        if parent is None and not self.state.open:
            yield from self.no_parent(shown)
            return
        if parent is None or parent.open:
            yield NotKnown(f"what the table {shown} has then")
            return
        referred = key.referred_columns or parent.primary_key
        yield from self.columns(parent, referred)
        if all(self.column(parent, name) for name in referred) and all(self.column(table, c) for c in key.columns):
            yield from self.referable(table, key, parent, referred)
            if valid:
                yield from RowRules(self.moment, table).orphans(key, parent, referred)

    @abstractmethod
    def no_parent(self, shown: str) -> Iterator[Problem]:
        """A table that a foreign key refers to and that does not exist."""

    def not_unique(self, parent: TableState, referred: Sequence[str]) -> str | None:
        """Return why the columns may not be referred to; None if they may."""
        unique = [set(parent.primary_key), *map(set, parent.uniques.values())]
        unique += [set(index.columns) for index in parent.indexes.values() if index.unique and index.valid]
        return None if set(referred) in unique else f"{parent.name} ({', '.join(referred)}) is not unique"

    @abstractmethod
    def referable(
        self, table: TableState, key: ForeignKey, parent: TableState, referred: Sequence[str]
    ) -> Iterator[Problem]:
        """Whether the columns may be referred to."""
