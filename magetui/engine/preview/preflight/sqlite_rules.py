"""What SQLite adds: the limits of its ALTER TABLE, and what Alembic's batch operations do instead.

A batch operation creates a copy, fills it from the table, drops the table and gives its name to the copy. So the rows
meet all constraints of the copy (sqlite.org/lang_altertable.html). A run ignores foreign keys meanwhile, and looks for
rows without parents before it commits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from magetui.engine.evidence.table_state import TableState
from magetui.engine.preview.preflight.answers import ROWS
from magetui.engine.preview.preflight.moment import Copy, Fails, NotKnown, Parsed, Problem, Rows
from magetui.engine.preview.preflight.row_rules import RowRules
from magetui.engine.preview.preflight.schema_rules import SchemaRules, columns_named
from magetui.model import operations as ops
from magetui.model.schema import BATCH_PREFIX, ForeignKey

NAMELESS = "Constraint must have a name"
NO_ALTER = "No support for ALTER of constraints in SQLite dialect. Please refer to the batch mode feature"
GENERATED = re.compile(r"\bgenerated\b", re.IGNORECASE)
CONSTANT = re.compile(r"\(?\s*(?:'(?:[^']|'')*'|[+-]?[\d.]+(?:e[+-]?\d+)?|null|true|false)\s*\)?", re.IGNORECASE)


def columns_of(operation: ops.Operation, table: TableState) -> frozenset[str]:
    """Return the columns of the table that an operation of a batch names."""
    names: tuple[str, ...] = ()
    match operation:
        case ops.AddColumn():
            names = (operation.column.name,)
        case ops.DropColumn():
            names = (operation.column,)
        case ops.AlterColumn():
            names = (operation.column, operation.new_name or operation.column)
        case ops.CreateIndex():
            names = operation.index.columns
        case ops.AddConstraint(foreign_key=ForeignKey() as key):
            names = key.columns
        case ops.AddConstraint(definition=str() as condition):
            names = columns_named(condition, table)
        case ops.AddConstraint():
            names = operation.columns
    return frozenset(names)


def moves(operation: ops.Operation) -> bool:
    """Return whether a column has another name afterwards, or is gone."""
    renames = isinstance(operation, ops.AlterColumn) and operation.new_name not in (None, operation.column)
    return renames or isinstance(operation, ops.DropColumn)


class SqliteRules(SchemaRules):
    def problems(self, operation: ops.Operation) -> Iterator[Problem]:  # noqa: PLR0912 - a case an operation
        match operation:
            case ops.Autocommit():
                return
            case ops.Refused():
                yield Fails("it is refused before the server sees it", operation.says)
            case ops.Guarded():
                if self.state.open:
                    yield NotKnown("whether it does anything is decided when it runs")
                elif self.state.runs(operation):
                    for part in operation.operations:
                        yield from self.problems(part)
            case ops.CreateTable():
                yield from self._create_table(operation)
            case ops.DropIndex():
                yield from self._drop_index(operation)
            case ops.DropTable(if_exists=True) if self.found(operation) is None and not self.state.open:
                return
            case ops.OnTable():
                yield from self.table(operation)
                table = self.known(operation)
                copy = self.moment.copy
                if table is not None and copy is not None and self.same(table.name, copy.table):
                    yield from self._in_copy(table, operation, copy)
                elif table is not None:
                    yield from self._on_table(table, operation)
            case ops.RunQuery():
                yield NotKnown("whether its rows are accepted")
            case ops.LockTable():
                yield NotKnown("what all of this SQL does")
            case _:
                yield NotKnown("what this operation does")

    def _on_table(self, table: TableState, operation: ops.OnTable) -> Iterator[Problem]:  # noqa: PLR0912 - a case an operation
        match operation:
            case ops.RebuildTable():
                yield from self._copy(table)
            case ops.DropTable():
                referring = [self.state.name(*path) for _, path in self.state.referring(table.path)]
                if referring:
                    yield NotKnown(f"rows of {', '.join(referring)} may refer to {table.name}")
            case ops.RenameTable():
                yield from self.free(operation.schema, operation.new_name, is_table=True)
                yield from self._stored(table)
            case ops.AddColumn():
                yield from self.add_column(operation)
                default = operation.column.default
                if default is not None and GENERATED.search(default):
                    yield NotKnown("whether the generated column is stored: then no table with rows can get it")
                elif default is not None and not CONSTANT.fullmatch(default) and table.live is not None:
                    query = f"SELECT * FROM {self.moment.stored(self.moment.live_path(table))}"
                    says = "Cannot add a column with non-constant default"
                    yield Rows(f"{table.name} has {ROWS}, and {default} is no constant", query, says)
            case ops.DropColumn():
                yield from self._drop_column(table, operation)
            case ops.AlterColumn():
                yield from self._alter_column(table, operation)
            case ops.CreateIndex():
                yield from self.create_index(operation)
            case ops.AddConstraint() if self.moment.adding is not None:
                yield from self._with_column(table, operation, self.moment.adding)
            case ops.AddConstraint() | ops.DropConstraint():
                yield Fails("SQLite changes no constraint of a table without batch_alter_table", NO_ALTER)
            case ops.InsertRows():
                yield NotKnown(f"whether {table.name} accepts the rows")
            case _:
                yield NotKnown("what this operation does")

    def _with_column(self, table: TableState, operation: ops.AddConstraint, column: str) -> Iterator[Problem]:
        """A constraint in the same statement as its column (sqlite.org/lang_altertable.html, 5)."""
        match operation.constraint:
            case "unique" | "primary":
                kind = "UNIQUE" if operation.constraint == "unique" else "PRIMARY KEY"
                yield Fails(f"SQLite adds no {kind} column to a table", f"Cannot add a {kind} column")
            case "foreign" if table.columns[column].default is None:
                return
            case _:
                yield NotKnown(f"whether the rows of {table.name} allow it")

    def _create_table(self, operation: ops.CreateTable) -> Iterator[Problem]:
        found = self.found(operation)
        if found is not None and found.is_known and operation.if_not_exists:
            return
        yield from self.free(operation.schema, operation.table, is_table=True)
        if found is not None:
            return
        path = self.state.path(operation.schema, operation.table)
        table = TableState.created(self.state.name_of(operation), path, operation)
        names = [column.name.lower() for column in operation.columns]
        for name in {name for name in names if names.count(name) > 1}:
            yield Fails(f"it has two columns {name}", f"duplicate column name: {name}")
        for constraint in operation.constraints:
            if constraint.kind == "unique":
                yield from self.columns(table, constraint.columns)
            elif constraint.kind == "check":
                yield from self.condition(table, constraint.definition)
        for key in operation.foreign_keys:
            yield from self.columns(table, key.columns)
        for index in operation.indexes:
            yield from self.free(operation.schema, index.name, is_table=False)

    def _drop_index(self, operation: ops.DropIndex) -> Iterator[Problem]:
        yield from self.drop_index(operation)
        path = self.state.table_of_index(*self.state.path(operation.schema, operation.name))
        table = None if path is None else self.state.at(path)
        if table is not None and operation.name not in table.indexes:
            says = "index associated with UNIQUE or PRIMARY KEY constraint cannot be dropped"
            yield Fails(f"the constraint of {table.name} needs the index", says)

    def _drop_column(self, table: TableState, operation: ops.DropColumn) -> Iterator[Problem]:
        name = operation.column
        if self.column(table, name) is None:
            yield from self.columns(table, (name,))
            return
        used = [f"index {index.name}" for index in table.indexes.values() if name in index.columns]
        used += [f"check {check}" for check, text in table.checks.items() if name in text]
        used += ["a foreign key"] if any(name in key.columns for key in table.foreign_keys.values()) else []
        used += ["a unique constraint"] if any(name in columns for columns in table.uniques.values()) else []
        if name in table.primary_key:
            yield Fails(f"{table.name}.{name} is part of the primary key", f'cannot drop PRIMARY KEY column: "{name}"')
        elif used:
            says = f"error in table {table.path[1]} after drop column"
            yield Fails(f"{used[0]} of {table.name} needs {name}", says)
        elif len(table.columns) == 1:
            yield Fails(f"{name} is the only column", f'cannot drop column "{name}": no other columns exist')
        elif self.moment.dependents(table, name):
            yield NotKnown(f"whether {self.moment.dependents(table, name)[0].name} needs {name}")

    def _alter_column(self, table: TableState, operation: ops.AlterColumn) -> Iterator[Problem]:
        yield from self.columns(table, (operation.column,))
        others = (operation.type, operation.nullable, operation.default, operation.drops_default or None)
        if any(other is not None for other in others):
            yield Fails("SQLite changes no column without batch_alter_table", 'near "ALTER": syntax error')
        elif operation.new_name is not None and operation.new_name != operation.column:
            yield from self.rename_column(table, operation.column, operation.new_name)
            yield from self._stored(table)

    def _stored(self, table: TableState) -> Iterator[Problem]:
        """Views and triggers, whose texts SQLite changes along with a name, or refuses to."""
        if dependents := self.moment.dependents(table):
            yield NotKnown(f"whether {dependents[0].name} allows it")

    # -- batch operations

    def _copy(self, table: TableState) -> Iterator[Problem]:
        copy = f"{BATCH_PREFIX}{table.path[1]}"
        if self.state.at((table.path[0], copy)) is not None:
            yield Fails(f"the table {copy} exists already: an earlier run left it", f"table {copy} already exists")
        for dependent in self.moment.dependents(table)[:1]:
            if dependent.holds and dependent.name.startswith("view "):
                says = f"error in {dependent.name}: no such table: main.{table.path[1]}"
                yield Fails(f"{dependent.name} reads {table.name}, which the copy replaces", says)
            else:
                yield NotKnown(f"whether {dependent.name} survives the copy")
        if table.checks or table.doubtful:
            yield NotKnown(f"which checks of {table.name} the copy has")

    def _in_copy(self, table: TableState, operation: ops.OnTable, copy: Copy) -> Iterator[Problem]:
        names = columns_of(operation, table)
        again = names & (copy.named if moves(operation) else copy.moved)
        if isinstance(operation, ops.AlterColumn | ops.DropColumn):
            again |= names & copy.added
        if again:  # a batch operation reads all names as they were before it
            yield NotKnown(f"how the batch reads {', '.join(sorted(again))}, which it names twice")
        elif isinstance(operation, ops.AddConstraint):
            yield from self._constraint_in_copy(table, operation, copy)
        else:
            yield from self._other_in_copy(table, operation)

    def _constraint_in_copy(self, table: TableState, operation: ops.AddConstraint, copy: Copy) -> Iterator[Problem]:
        if operation.name in copy.twice:
            yield NotKnown(f"which constraint {operation.name} of the batch Alembic keeps")
        elif operation.constraint != "check" and not columns_of(operation, table) <= table.columns.keys():
            yield NotKnown("whether Alembic leaves out a constraint on a column that does not exist")
        else:
            yield from self.add_constraint(operation)

    def _other_in_copy(self, table: TableState, operation: ops.OnTable) -> Iterator[Problem]:
        match operation:
            case ops.AddColumn() if self.column(table, operation.column.name) is not None:
                yield NotKnown(f"what becomes of the other column {operation.column.name}")
            case ops.AddColumn():
                yield from self.add_column(operation)
            case ops.DropColumn(column=name):
                yield from self.columns(table, (name,))
                yield from self._dropped_in_copy(table, name)
            case ops.AlterColumn():
                yield from self._altered_in_copy(table, operation)
            case ops.CreateIndex():
                yield from self.create_index(operation)
            case ops.DropConstraint():
                yield from self._drop_constraint(table, operation.name or "")
            case _:
                yield NotKnown("what this operation does")

    def _altered_in_copy(self, table: TableState, operation: ops.AlterColumn) -> Iterator[Problem]:
        name = operation.column
        yield from self.columns(table, (name,))
        if operation.nullable is False and self.column(table, name) is not None:
            yield from RowRules(self.moment, table).nulls((name,), "which becomes NOT NULL")
        if operation.new_name is not None and operation.new_name != name:
            yield from self.rename_column(table, operation.column, operation.new_name)
            yield from self._referred(table, name)

    def _dropped_in_copy(self, table: TableState, name: str) -> Iterator[Problem]:
        for index in table.indexes.values():
            if name in index.columns:
                yield NotKnown(f"whether Alembic leaves out the index {index.name}, which needs {name}")
        yield from self._referred(table, name)

    def _referred(self, table: TableState, name: str) -> Iterator[Problem]:
        if any(name in (key.referred_columns or table.primary_key) for key, _ in self.state.referring(table.path)):
            yield NotKnown(f"whether the foreign keys to {table.name}.{name} survive")

    def _drop_constraint(self, table: TableState, name: str) -> Iterator[Problem]:
        live = None if table.live is None else self.moment.live_path(table)
        named = {c.name for c in self.moment.around.constraints if c.table == live}
        if name in named or self.has_constraint(table, name):
            return
        without_names = [key for key in (*table.uniques, *table.foreign_keys) if key.startswith("(")]
        if len(without_names) > len(named):
            yield NotKnown(f"whether Alembic finds the constraint {name}")
        else:
            yield Fails(f"{table.name} has no constraint {name}", f"No such constraint: '{name}'")

    def expressions(self, table: TableState, texts: Sequence[str], operation: ops.CreateIndex) -> Iterator[Problem]:
        if texts or not operation.plain:
            yield NotKnown(f"the expressions and options of the index {operation.index.name} are not checked")
        if operation.condition is not None:
            yield from self.condition(table, operation.condition)

    def condition(self, table: TableState, condition: str) -> Iterator[Problem]:
        added = frozenset() if self.moment.copy is None else self.moment.copy.added
        names = dict.fromkeys([*table.columns, *sorted(added)])
        columns = ", ".join(f"NULL AS {self.moment.quoted(name)}" for name in names)
        yield Parsed(f"SELECT ({condition}) FROM (SELECT {columns}) WHERE false")

    def no_parent(self, shown: str) -> Iterator[Problem]:
        yield NotKnown(f"whether rows are written: there is no table {shown}, and SQLite notices that only then")

    def referable(
        self,
        table: TableState,  # noqa: ARG002 - SQLite compares values of any type
        key: ForeignKey,  # noqa: ARG002
        parent: TableState,
        referred: Sequence[str],
    ) -> Iterator[Problem]:
        if (why := self.not_unique(parent, referred)) is not None:
            yield NotKnown(f"whether rows are written: {why}, and SQLite notices that only then")
