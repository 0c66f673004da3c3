"""The way back from operations that have been done: what undoes each, in the opposite order.

What was created is dropped. What was dropped or changed comes back as the script's other direction makes it, since only
a script describes an index or a column in full; where it does not make it, there is no way back that could be trusted,
and none is offered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.sql.ddl import operations_of
from magetui.model.operations import (
    AddColumn,
    AddConstraint,
    AddEnumValue,
    AlterColumn,
    Autocommit,
    CreateIndex,
    CreateTable,
    CreateType,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropTable,
    DropType,
    ExecuteSql,
    InsertRows,
    OnTable,
    Operation,
    Other,
    RebuildTable,
    RenameEnumValue,
    RenameIndex,
    RenameTable,
    RenameType,
    Unclear,
)
from magetui.model.plan import RepairStep
from magetui.model.schema import TableDetail

Way = Literal["upgrade", "downgrade"]


class NoWayBackError(Exception):
    """Something cannot be taken back; the message says what, and why."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """`works` in their order, and `notes` on what they do not take back."""

    works: tuple[RepairStep, ...]
    notes: tuple[str, ...]


class Reversal:
    """Of a revision's operations: `other` is what its script's other direction, `way`, does.

    `details`: the live tables, by name, for the names of constraints that a script did not give.
    """

    def __init__(
        self,
        other: Sequence[Operation],
        way: Way,
        dialect: str,
        details: Mapping[str, TableDetail],
        autocommits: frozenset[int],
    ) -> None:
        self._other = other
        self._way = way
        self._dialect = dialect
        self._details = details
        self._autocommits = autocommits
        self._used: set[int] = set()
        self._notes: list[str] = []

    def of(self, done: Sequence[Operation], start: SchemaState) -> WayBack:
        """The way back from `done`, which was done one after the other from `start`. Raises `NoWayBackError`."""
        before: list[SchemaState] = []
        model = start
        for operation in done:
            before.append(model)
            model = model.after(operation)
        works = [
            work
            for operation, state in zip(reversed(done), reversed(before), strict=True)
            for work in self._back(operation, state)
        ]
        return WayBack(tuple(works), tuple(dict.fromkeys(self._notes)))

    def _back(self, one: Operation, before: SchemaState) -> Iterator[RepairStep]:  # noqa: PLR0912 - a case an operation
        match one:
            case CreateTable():
                yield RepairStep(DropTable(one.table, one.schema))
            case RenameTable():
                yield RepairStep(RenameTable(one.new_name, one.schema, one.table))
            case AddColumn():
                yield RepairStep(DropColumn(one.table, one.schema, one.column.name))
            case CreateIndex():
                yield RepairStep(DropIndex(one.index.name, one.table, one.schema))
            case AddConstraint():
                yield self._without(one)
            case CreateType():
                yield RepairStep(DropType(one.name, one.schema))
            case DropTable():
                yield from self._table_again(one)
            case DropColumn():
                yield from self._column_again(one)
            case DropIndex():
                yield self._again(
                    f"the index {one.name}", lambda o: isinstance(o, CreateIndex) and o.index.name == one.name
                )
            case DropConstraint():
                yield self._again(
                    f"the constraint {one.name or 'without a name'} of {one.table}",
                    lambda o: isinstance(o, AddConstraint) and (o.table, o.name) == (one.table, one.name),
                )
            case DropType():
                yield self._again(f"the type {one.name}", lambda o: isinstance(o, CreateType) and o.name == one.name)
            case AlterColumn():
                yield self._altered_back(one, before)
            case ExecuteSql():
                yield from self._sql_back(one, before)
            case RenameType():
                yield RepairStep(
                    ExecuteSql(f"ALTER TYPE {_name(one.new_name, one.schema)} RENAME TO {_name(one.name)}")
                )
            case RenameIndex():
                yield RepairStep(
                    ExecuteSql(f"ALTER INDEX {_name(one.new_name, one.schema)} RENAME TO {_name(one.name)}")
                )
            case RenameEnumValue():
                values = f"{_text(one.new_value)} TO {_text(one.value)}"
                yield RepairStep(ExecuteSql(f"ALTER TYPE {_name(one.name, one.schema)} RENAME VALUE {values}"))
            case AddEnumValue():
                self._notes.append(
                    f"The value '{one.value}' stays in the type {one.name}: PostgreSQL takes none away. It does no "
                    "harm until the revision adds it again, which then fails."
                )
            case InsertRows():
                self._notes.append(f"The rows that it inserted into {one.table} stay.")
            case RebuildTable() | Autocommit() | Other():
                pass
            case Unclear():
                raise NoWayBackError("what its SQL did cannot be told from its text")
            case _:
                raise NoWayBackError(f"there is no way back from {one.kind}")

    def _sql_back(self, one: ExecuteSql, before: SchemaState) -> Iterator[RepairStep]:
        parsed = operations_of(one.sql, self._dialect)
        if not parsed:
            self._notes.append(f"Rows that it changed stay as they are now: {' '.join(one.sql.split())[:80]}")
        models = [before]
        for operation in parsed:
            models.append(models[-1].after(operation))
        for operation, state in zip(reversed(parsed), reversed(models[:-1]), strict=True):
            yield from self._back(operation, state)

    # -- what the other direction makes again

    def _again(self, what: str, is_it: Callable[[Operation], bool]) -> RepairStep:
        work = self._found(is_it)
        if work is None:
            raise NoWayBackError(f"{what} was dropped, and the script's {self._way} does not make it again")
        return work

    def _found(self, is_it: Callable[[Operation], bool]) -> RepairStep | None:
        """The first operation of the other direction that is it and has not been taken yet, its SQL looked into."""
        for place, operation in enumerate(self._other):
            sql = operations_of(operation.sql, self._dialect) if isinstance(operation, ExecuteSql) else ()
            if place not in self._used and (is_it(operation) or any(map(is_it, sql))):
                self._used.add(place)
                return RepairStep(operation, self._way, place, place in self._autocommits)
        return None

    def _following(self, concerns: Callable[[Operation], bool]) -> Iterator[RepairStep]:
        while (work := self._found(concerns)) is not None:
            yield work

    def _table_again(self, one: DropTable) -> Iterator[RepairStep]:
        yield self._again(f"the table {one.table}", lambda o: isinstance(o, CreateTable) and o.table == one.table)
        yield from self._following(
            lambda o: isinstance(o, (CreateIndex, AddConstraint, AddColumn, AlterColumn)) and o.table == one.table
        )
        self._notes.append(f"The table {one.table} comes back without the rows that it had.")

    def _column_again(self, one: DropColumn) -> Iterator[RepairStep]:
        def is_of_it(operation: Operation) -> bool:
            if not isinstance(operation, OnTable) or operation.table != one.table:
                return False
            match operation:
                case CreateIndex():
                    return one.column in operation.index.columns
                case AddConstraint():
                    key = operation.foreign_key
                    return one.column in (key.columns if key else operation.columns)
                case _:
                    return False

        yield self._again(
            f"the column {one.table}.{one.column}",
            lambda o: isinstance(o, AddColumn) and (o.table, o.column.name) == (one.table, one.column),
        )
        yield from self._following(is_of_it)
        self._notes.append(f"The column {one.table}.{one.column} comes back without the values that it had.")

    # -- what the state before tells

    def _altered_back(self, one: AlterColumn, before: SchemaState) -> RepairStep:
        """As the other direction changes it back, if it does so in full: it may know how to cast the values."""
        now, name = one.new_name or one.column, before.name_of(one)

        def restores(operation: Operation) -> bool:
            if not isinstance(operation, AlterColumn) or (operation.table, operation.column) != (one.table, now):
                return False
            return before.after(one).after(operation).facts(name) == before.facts(name)

        again = self._found(restores)
        if again is not None:
            return again
        table = before.tables.get(name)
        column = table.columns.get(one.column) if table is not None else None
        if column is None:
            raise NoWayBackError(f"what {one.table}.{one.column} was like before it was changed is not known")
        defaults = one.default is not None or one.drops_default
        return RepairStep(
            AlterColumn(
                one.table,
                one.schema,
                now,
                new_name=one.column if one.new_name is not None else None,
                type=column.type if one.type is not None else None,
                nullable=column.nullable if one.nullable is not None else None,
                default=column.default if defaults else None,
                drops_default=defaults and column.default is None,
            )
        )

    def _without(self, one: AddConstraint) -> RepairStep:
        name = one.name or self._name_of(one)
        if name is None:
            raise NoWayBackError(f"a constraint of {one.table} has no name by which it could be dropped")
        return RepairStep(DropConstraint(one.table, one.schema, name, one.constraint))

    def _name_of(self, one: AddConstraint) -> str | None:
        """The name that the server gave a constraint which the script did not name."""
        detail = self._details.get(one.table)
        if detail is None:
            return None
        if one.foreign_key is not None:
            return next((key.name for key in detail.foreign_keys if key.columns == one.foreign_key.columns), None)
        of_kind = (c.name for c in detail.constraints if c.kind == one.constraint and c.columns == one.columns)
        return next(of_kind, None)


def _name(name: str, schema: str | None = None) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    return quoted if schema is None else f"{_name(schema)}.{quoted}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
