"""The reversal of operations that are done: for each operation what undoes it, in the opposite order.

What an operation created is dropped. What it dropped or changed is made again as the script's other direction makes
it, because only a script describes an index or a column in full. If the other direction does not make it, no reversal
could be trusted, so there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from magetui.engine.sql.ddl import parts_of
from magetui.model import operations as ops
from magetui.model.plan import RepairStep

if TYPE_CHECKING:
    from magetui.engine.evidence.schema_state import SchemaState
    from magetui.model.schema import TableDetail

Direction = Literal["upgrade", "downgrade"]
SQL_SHOWN = 80  # characters


class NoReversalError(Exception):
    """An operation cannot be undone; the message says which, and why."""


def in_autocommit(operations: Sequence[ops.Operation]) -> frozenset[int]:
    """Return the indexes of the operations inside an `autocommit_block`."""
    inside = False
    indexes = set()
    for index, operation in enumerate(operations):
        if isinstance(operation, ops.Autocommit):
            inside = operation.begins
        elif inside:
            indexes.add(index)
    return frozenset(indexes)


class Reversal:
    """Reverses a revision's operations; `direction` is the other direction of its script.

    `details`: the live tables by name, for the names of constraints that the script did not give.
    """

    def __init__(
        self, recording: ops.Recording, direction: Direction, dialect: str, details: Mapping[str, TableDetail]
    ) -> None:
        self._other = recording.operations(direction)
        self._direction = direction
        self._dialect = dialect
        self._details = details
        self._used: set[int] = set()
        self._notes: list[str] = []

    def of(self, done: Sequence[ops.Operation], start: SchemaState) -> tuple[tuple[RepairStep, ...], tuple[str, ...]]:
        """Return the steps that undo `done`, a sequence of operations from `start`, and notes on what they leave.

        Raises `NoReversalError`.
        """
        return tuple(self._reverse_all(done, start)), tuple(dict.fromkeys(self._notes))

    def _reverse_all(self, done: Sequence[ops.Operation], start: SchemaState) -> Iterator[RepairStep]:
        before = [start]
        for operation in done:
            before.append(before[-1].after(operation))
        for operation, state in zip(reversed(done), reversed(before[:-1]), strict=True):
            yield from self._reverse(operation, state)

    def _reverse(self, operation: ops.Operation, before: SchemaState) -> Iterator[RepairStep]:  # noqa: PLR0912
        match operation:
            case ops.CreateTable():
                yield RepairStep(ops.DropTable(operation.table, operation.schema))
            case ops.RenameTable():
                yield RepairStep(ops.RenameTable(operation.new_name, operation.schema, operation.table))
            case ops.AddColumn():
                yield RepairStep(ops.DropColumn(operation.table, operation.schema, operation.column.name))
            case ops.CreateIndex():
                yield RepairStep(ops.DropIndex(operation.index.name, operation.table, operation.schema))
            case ops.AddConstraint():
                name = self._constraint_name(operation)
                yield RepairStep(ops.DropConstraint(operation.table, operation.schema, name, operation.constraint))
            case ops.CreateType():
                yield RepairStep(ops.DropType(operation.name, operation.schema))
            case ops.DropTable():
                yield from self._restore_table(operation)
            case ops.DropColumn():
                yield from self._restore_column(operation)
            case ops.DropIndex():
                yield self._restore(f"the index {operation.name}", operation)
            case ops.DropConstraint():
                name = operation.name or "without a name"
                yield self._restore(f"the constraint {name} of {operation.table}", operation)
            case ops.DropType():
                yield self._restore(f"the type {operation.name}", operation)
            case ops.AlterColumn():
                yield self._alter_back(operation, before)
            case ops.ExecuteSql():
                parsed = parts_of(operation, self._dialect)
                if not parsed:
                    sql = " ".join(operation.sql.split())[:SQL_SHOWN]
                    self._notes.append(f"Rows that it changed stay as they are now: {sql}")
                yield from self._reverse_all(parsed, before)
            case ops.RenameType(name=name, new_name=new_name, schema=schema):
                yield RepairStep(ops.ExecuteSql(f"ALTER TYPE {_name(new_name, schema)} RENAME TO {_name(name)}"))
            case ops.RenameIndex(name=name, new_name=new_name, schema=schema):
                yield RepairStep(ops.ExecuteSql(f"ALTER INDEX {_name(new_name, schema)} RENAME TO {_name(name)}"))
            case ops.RenameEnumValue(name=name, schema=schema):
                values = f"{_text(operation.new_value)} TO {_text(operation.value)}"
                yield RepairStep(ops.ExecuteSql(f"ALTER TYPE {_name(name, schema)} RENAME VALUE {values}"))
            case ops.AddEnumValue():
                self._notes.append(
                    f"The value '{operation.value}' stays in the type {operation.name}: PostgreSQL cannot remove it. "
                    "It does no harm until the revision adds it again, which then fails."
                )
            case ops.InsertRows():
                self._notes.append(f"The rows that it inserted into {operation.table} stay.")
            case ops.RebuildTable() | ops.Autocommit() | ops.Other():
                pass
            case ops.Unclear():
                raise NoReversalError("the text of its SQL does not say what it did")
            case _:
                raise NoReversalError(f"nothing undoes {operation.kind}")

    # -- what the other direction makes again

    def _restore(self, name: str, dropped: ops.Operation) -> RepairStep:
        step = self._take(lambda other: _makes_again(other, dropped))
        if step is None:
            raise NoReversalError(f"{name} was dropped, and the script's {self._direction} does not make it again")
        return step

    def _take(self, is_wanted: Callable[[ops.Operation], bool]) -> RepairStep | None:
        """Return the first wanted operation of the other direction that was not used yet. Raw SQL is read, too."""
        for index, operation in enumerate(self._other):
            if index not in self._used and any(map(is_wanted, parts_of(operation, self._dialect))):
                self._used.add(index)
                return RepairStep(operation, self._direction, index, index in in_autocommit(self._other))
        return None

    def _take_all(self, is_wanted: Callable[[ops.Operation], bool]) -> Iterator[RepairStep]:
        while (step := self._take(is_wanted)) is not None:
            yield step

    def _restore_table(self, dropped: ops.DropTable) -> Iterator[RepairStep]:
        yield self._restore(f"the table {dropped.table}", dropped)
        parts = (ops.CreateIndex, ops.AddConstraint, ops.AddColumn, ops.AlterColumn)
        yield from self._take_all(lambda other: isinstance(other, parts) and other.table == dropped.table)
        self._notes.append(f"The table {dropped.table} comes back without the rows that it had.")

    def _restore_column(self, dropped: ops.DropColumn) -> Iterator[RepairStep]:
        def uses_column(operation: ops.Operation) -> bool:
            match operation:
                case ops.CreateIndex(table=dropped.table):
                    return dropped.column in operation.index.columns
                case ops.AddConstraint(table=dropped.table, foreign_key=key):
                    return dropped.column in (key.columns if key else operation.columns)
                case _:
                    return False

        yield self._restore(f"the column {dropped.table}.{dropped.column}", dropped)
        yield from self._take_all(uses_column)
        self._notes.append(f"The column {dropped.table}.{dropped.column} comes back without the values that it had.")

    # -- what the earlier schema state says

    def _alter_back(self, altered: ops.AlterColumn, before: SchemaState) -> RepairStep:
        """Return the other direction's change if it restores the column: it may know how to cast the values."""
        now, name = altered.new_name or altered.column, before.name_of(altered)

        def restores(operation: ops.Operation) -> bool:
            match operation:
                case ops.AlterColumn(table=altered.table, column=column) if column == now:
                    return before.after(altered).after(operation).facts(name) == before.facts(name)
                case _:
                    return False

        step = self._take(restores)
        if step is not None:
            return step
        table = before.tables.get(name)
        column = table.columns.get(altered.column) if table is not None else None
        if column is None:
            raise NoReversalError(f"the former definition of {altered.table}.{altered.column} is not known")
        defaults = altered.default is not None or altered.drops_default
        return RepairStep(
            ops.AlterColumn(
                altered.table,
                altered.schema,
                now,
                new_name=altered.column if altered.new_name is not None else None,
                type=column.type if altered.type is not None else None,
                nullable=column.nullable if altered.nullable is not None else None,
                default=column.default if defaults else None,
                drops_default=defaults and column.default is None,
            )
        )

    def _constraint_name(self, added: ops.AddConstraint) -> str:
        """Return the name of a constraint, which the server gives if the script does not."""
        name, detail, key = added.name, self._details.get(added.table), added.foreign_key
        if not name and detail is not None:
            alike = (c.name for c in detail.constraints if (c.kind, c.columns) == (added.constraint, added.columns))
            keys = (live.name for live in detail.foreign_keys if key is not None and live.columns == key.columns)
            name = next(alike if key is None else keys, None)
        if not name:
            raise NoReversalError(f"a constraint of {added.table} has no name, so it cannot be dropped")
        return name


def _makes_again(other: ops.Operation, dropped: ops.Operation) -> bool:
    match other, dropped:
        case ops.CreateTable(), ops.DropTable():
            return other.table == dropped.table
        case ops.AddColumn(), ops.DropColumn():
            return (other.table, other.column.name) == (dropped.table, dropped.column)
        case ops.CreateIndex(), ops.DropIndex():
            return other.index.name == dropped.name
        case ops.AddConstraint(), ops.DropConstraint():
            return (other.table, other.name) == (dropped.table, dropped.name)
        case ops.CreateType(), ops.DropType():
            return other.name == dropped.name
        case _:
            return False


def _name(name: str, schema: str | None = None) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    return quoted if schema is None else f"{_name(schema)}.{quoted}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
