"""What PostgreSQL adds: dependents, rights, types, casts, enum values, and statements that no transaction allows."""

from __future__ import annotations

import re
from collections.abc import Iterator

from magetui.engine.evidence.table_state import TableState
from magetui.engine.preview.preflight.moment import Fails, NotKnown, Problem
from magetui.engine.preview.preflight.postgresql_types import TypeRules, named
from magetui.engine.preview.preflight.row_rules import RowRules
from magetui.model import operations as ops
from magetui.model.schema import Column


class PostgresRules(TypeRules):
    """The rules of PostgreSQL at one moment."""

    def problems(self, operation: ops.Operation) -> Iterator[Problem]:  # noqa: PLR0912 - a case an operation
        match operation:
            case ops.Autocommit() | ops.RebuildTable():
                return
            case ops.Refused():
                yield Fails("it is refused before the server sees it", operation.says)
            case ops.Guarded():
                yield from self._guarded(operation)
            case ops.CreateTable():
                yield from self._create_table(operation)
            case ops.CreateType():
                yield from self.create_type(operation)
            case ops.OnType():
                yield from self.change_type(operation)
            case ops.DropIndex():
                yield from self._drop_index(operation)
            case ops.RenameIndex():
                if self.state.table_of_index(*self.state.path(operation.schema, operation.name)) is None:
                    yield NotKnown(f"whether the index {operation.name} exists then")
                yield from self.free(operation.schema, operation.new_name, is_table=False)
            case ops.DropTable(if_exists=True) if self.found(operation) is None and not self.state.open:
                return
            case ops.OnTable():
                yield from self.table(operation)
                yield from self._rights(operation)
                if self.known(operation) is not None:
                    yield from self._on_table(operation)
            case ops.LockTable():
                yield NotKnown("what all of this SQL does")
            case ops.RunQuery():
                yield NotKnown("whether its rows are accepted")
            case _:
                yield NotKnown(f"what {named(operation)} does")

    def _guarded(self, operation: ops.Guarded) -> Iterator[Problem]:
        table = self.state.tables.get(self.state.name_of(operation))
        if self.state.open or (table is not None and table.open):
            yield NotKnown("whether it does anything is decided when it runs")
        elif self.state.runs(operation):
            for part in operation.operations:
                yield from self.problems(part)

    def _on_table(self, operation: ops.OnTable) -> Iterator[Problem]:  # noqa: PLR0912 - a case an operation
        table = self.known(operation)
        assert table is not None
        if table.live is not None and table.live in self.moment.around.special:
            yield NotKnown(f"what PostgreSQL forbids for {table.name}, which is partitioned or inherits")
        match operation:
            case ops.DropTable():
                yield from self._drop_table(table, operation)
            case ops.RenameTable():
                yield from self.free(operation.schema, operation.new_name, is_table=True)
            case ops.AddColumn():
                yield from self.add_column(operation)
                yield from self.type(operation.column)
            case ops.DropColumn():
                yield from self._drop_column(table, operation)
            case ops.AlterColumn():
                yield from self._alter_column(table, operation)
            case ops.CreateIndex():
                if operation.concurrently and not self.moment.in_block:
                    says = "CREATE INDEX CONCURRENTLY cannot run inside a transaction block"
                    yield Fails("CONCURRENTLY needs an autocommit_block", says)
                yield from self.create_index(operation)
            case ops.AddConstraint():
                yield from self.add_constraint(operation)
            case ops.DropConstraint():
                yield from self._drop_constraint(table, operation)
            case ops.RenameConstraint():
                if not self.has_constraint(table, operation.name) or self.has_constraint(table, operation.new_name):
                    yield NotKnown(f"whether {operation.name} can get the name {operation.new_name}")
            case ops.ValidateConstraint() | ops.MoveTable() | ops.TruncateTable():
                yield NotKnown("whether the rows and the dependents allow it")
            case ops.InsertRows():
                yield NotKnown(f"whether {table.name} accepts the rows")
            case _:
                yield NotKnown(f"what {named(operation)} does")

    # -- rights and names

    def _rights(self, operation: ops.OnTable) -> Iterator[Problem]:
        table = self.found(operation)
        if table is not None and table.live is not None and table.live in self.moment.around.not_owned:
            yield Fails(f"this role does not own {table.name}", f"must be owner of table {table.path[1]}")

    # -- tables

    def _create_table(self, operation: ops.CreateTable) -> Iterator[Problem]:
        name = self.state.name_of(operation)
        found = self.state.tables.get(name)
        if found is not None and found.is_known and operation.if_not_exists:
            return
        yield from self.schema(operation.schema)
        yield from self.free(operation.schema, operation.table, is_table=True)
        path = self.state.path(operation.schema, operation.table)
        if path in self.moment.around.types and operation.table.lower() not in self.moment.unread_words:
            yield Fails(f"there is a type {name}", f'type "{operation.table}" already exists')
        if found is not None:
            return
        yield from self._new_table(TableState.created(name, path, operation), operation)

    def _new_table(self, table: TableState, operation: ops.CreateTable) -> Iterator[Problem]:
        """The columns, keys and constraints of a new table."""
        names = [column.name for column in operation.columns]
        for column in operation.columns:
            if names.count(column.name) > 1:
                yield Fails(f"it has two columns {column.name}", f'column "{column.name}" specified more than once')
            yield from self.type(column)
        yield from self.columns(table, operation.primary_key, self._key_says(operation.primary_key))
        for constraint in operation.constraints:
            if constraint.kind == "unique":
                yield from self.columns(table, constraint.columns, self._key_says(constraint.columns))
            elif constraint.kind == "check":
                yield from self.condition(table, constraint.definition)
            else:
                yield NotKnown(f"whether the constraint {constraint.name} can be made")
            if constraint.kind == "unique" and constraint.name is not None:
                yield from self.free(operation.schema, constraint.name, is_table=False)
        if operation.primary_key_name is not None:
            yield from self.free(operation.schema, operation.primary_key_name, is_table=False)
        for key in operation.foreign_keys:
            yield from self.foreign_key(table, key, valid=False)
        for index in operation.indexes:
            yield from self.free(operation.schema, index.name, is_table=False)
            yield from self.columns(table, [c for c in index.columns if re.fullmatch(r"[^\W\d]\w*", c)])

    def _drop_table(self, table: TableState, operation: ops.DropTable) -> Iterator[Problem]:
        if operation.cascade:
            return
        holders = [dependent.name for dependent in self.moment.dependents(table)]
        holders += [f"a foreign key of {self.state.name(*path)}" for _, path in self.state.referring(table.path)]
        yield from self.held(holders, f"table {table.path[1]}", table.name)
        if any(other.open for other in self.state.tables.values() if other is not table):
            yield NotKnown(f"what refers to {table.name} then")

    # -- columns

    def _drop_column(self, table: TableState, operation: ops.DropColumn) -> Iterator[Problem]:
        name = operation.column
        if name not in table.columns:
            if not operation.if_exists:
                yield from self.columns(table, (name,))
            return
        if operation.cascade:
            return
        holders = [dependent.name for dependent in self.moment.dependents(table, name) if dependent.holds]
        for key, path in self.state.referring(table.path):
            if name in (key.referred_columns or table.primary_key):
                holders.append(f"a foreign key of {self.state.name(*path)}")
        yield from self.held(holders, f"column {name} of table {table.path[1]}", f"{table.name}.{name}")

    def _alter_column(self, table: TableState, operation: ops.AlterColumn) -> Iterator[Problem]:
        name = operation.column
        if name not in table.columns:
            says = None if operation.new_name is None else f'column "{name}" does not exist'
            yield from self.columns(table, (name,), says)
            return
        rows, before = RowRules(self.moment, table), table.columns[name]
        if operation.nullable is False:
            yield from rows.nulls((name,), "which becomes NOT NULL")
        if operation.nullable is True and name in table.primary_key:
            says = f'column "{name}" is in a primary key'
            yield Fails(f"{table.name}.{name} is part of the primary key", says)
        if operation.type is not None:
            yield from self.retype(table, before, operation, operation.type)
        if operation.default is not None:
            kind = operation.type or before.type
            yield from self.default(Column(name, kind, nullable=True, default=operation.default))
        if operation.new_name is not None:
            yield from self.rename_column(table, name, operation.new_name)

    # -- indexes and constraints

    def _drop_index(self, operation: ops.DropIndex) -> Iterator[Problem]:
        yield from self.drop_index(operation)
        if operation.concurrently and not self.moment.in_block:
            says = "DROP INDEX CONCURRENTLY cannot run inside a transaction block"
            yield Fails("CONCURRENTLY needs an autocommit_block", says)
        path = self.state.table_of_index(*self.state.path(operation.schema, operation.name))
        table = None if path is None else self.state.at(path)
        if table is None:
            return
        if table.live is not None and table.live in self.moment.around.not_owned:
            yield Fails(f"this role does not own {table.name}", f"must be owner of index {operation.name}")
        if self.has_constraint(table, operation.name):
            index = f"{operation.name} because constraint {operation.name} on table {table.path[1]} requires it"
            says = f"cannot drop index {index}"
            yield Fails(f"the constraint {operation.name} of {table.name} needs the index", says)

    def _drop_constraint(self, table: TableState, operation: ops.DropConstraint) -> Iterator[Problem]:
        name = operation.name
        if name is None:
            yield Fails("the constraint has no name", "it cannot be dropped without a name")
            return
        if not self.has_constraint(table, name):
            if operation.if_exists:
                return
            says = f'constraint "{name}" of relation "{table.path[1]}" does not exist'
            other = [c for c in self.moment.around.constraints if c.name == name and c.table == table.live]
            if other and other[0].kind in ("x", "n", "t"):
                return
            yield Fails(f"{table.name} has no constraint {name}", says)
            return
        columns = table.uniques.get(name)
        if table.primary_key and name == (table.primary_key_name or self._live_key(table)):
            columns = table.primary_key
        if columns is None or operation.cascade:
            return
        holders = [
            f"a foreign key of {self.state.name(*path)}"
            for key, path in self.state.referring(table.path)
            if set(key.referred_columns or table.primary_key) == set(columns)
        ]
        yield from self.held(holders, f"constraint {name} on table {table.path[1]}", name)
