"""What later operations tell of a table that is not known: a column that a script adds was not there before it, and a
constraint that it drops was, which its way back says all of.

Tables are not known that stood there before the chain's first revision, nor those that a script changed in a way that
cannot be followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.table_state import TableState
from magetui.engine.schema.facts import table_name
from magetui.engine.sql.ddl import operations_of
from magetui.model.operations import (
    AddColumn,
    AddConstraint,
    AlterColumn,
    CreateIndex,
    DropColumn,
    DropConstraint,
    DropIndex,
    ExecuteSql,
    InsertRows,
    OnTable,
    Operation,
    RebuildTable,
    RenameTable,
    Unclear,
    UnclearTable,
)

Place = tuple[str, str, str]
ALTERING = (AddColumn, AddConstraint, AlterColumn, CreateIndex, DropColumn, DropConstraint, RebuildTable)


class Lookahead:
    """The operations of a chain by table: `steps` is what its revisions do, oldest first, and `undone` the way back."""

    def __init__(
        self, steps: Iterable[Iterable[Operation]], undone: Iterable[Iterable[Operation]], base: SchemaState
    ) -> None:
        self._on: dict[str, list[tuple[int, Operation]]] = {}
        self._restored = {
            (step, base.name_of(one), one.name): one
            for step, operations in enumerate(undone)
            for one in operations
            if isinstance(one, AddConstraint) and one.name and one.constraint in ("unique", "foreign")
        }
        self._unclear: list[tuple[int, frozenset[str]]] = []
        self._dropped_indexes: set[str] = set()
        for step, operations in enumerate(steps):
            for operation in operations:
                self._note(step, operation, base)

    def _note(self, step: int, operation: Operation, base: SchemaState) -> None:
        match operation:
            case ExecuteSql():
                for one in operations_of(operation.sql, base.dialect):
                    self._note(step, one, base)
            case UnclearTable():
                self._unclear.append((step, frozenset({operation.table})))
                self._on.setdefault(base.name_of(operation), []).append((step, operation))
            case Unclear():
                self._unclear.append((step, operation.words))
            case DropIndex():
                self._dropped_indexes.add(operation.name)
            case InsertRows():
                pass
            case OnTable():
                if isinstance(operation, RenameTable):  # from then on another table has that name
                    new = table_name(operation.new_name, operation.schema, base.usual)
                    self._on.setdefault(new, []).append((step, operation))
                self._on.setdefault(base.name_of(operation), []).append((step, operation))

    def before_all(self) -> Mapping[str, TableState]:
        """The tables that are altered before any revision makes them: those stood there already."""
        return {
            name: self._foreseen(name, -1)
            for name, operations in self._on.items()
            if isinstance(first := operations[0][1], ALTERING) or (isinstance(first, UnclearTable) and not first.makes)
        }

    def seeing(self, model: SchemaState, step: int) -> SchemaState:
        """The model with what is to be known, after that step, of the tables that it has just opened."""
        opened = [table for name in model.changed if (table := model.tables.get(name)) is not None and table.open]
        unknown = [table for table in opened if table == table.opened()]
        seen = {table.name: replace(self._foreseen(table.name, step), there=table.there) for table in unknown}
        return replace(model, tables={**model.tables, **seen}) if seen else model

    def _foreseen(self, name: str, step: int) -> TableState:
        """All that is to be known of the table after that step."""
        dropped = self._dropped(name, step)
        return TableState(
            name,
            uniques={one.name or "": one.columns for one in dropped if one.constraint == "unique"},
            foreign_keys={one.name or "": one.foreign_key for one in dropped if one.foreign_key is not None},
            open=True,
            gone=self._gone(name, step),
        )

    def _dropped(self, name: str, step: int) -> list[AddConstraint]:
        """Constraints that the table has until they are dropped, as what undoes that would make them again."""
        until = self._next_unclear(name, step)
        made: set[str | None] = set()
        found: list[AddConstraint] = []
        for at, operation in self._on.get(name, ()):
            if not step < at < until:
                continue
            match operation:
                case AddConstraint():
                    made.add(operation.name)
                case DropConstraint() if operation.name not in made and not operation.if_exists:
                    restored = self._restored.get((at, name, operation.name or ""))
                    found += [restored] if restored is not None else []
                    made.add(operation.name)
                case RebuildTable() | AddColumn() | AlterColumn() | CreateIndex():
                    pass
                case _:
                    break
        return found

    def _gone(self, name: str, step: int) -> frozenset[Place]:
        """Columns and indexes that the table is first given after that step."""
        until = self._next_unclear(name, step)
        gone: set[Place] = set()
        known: set[Place] = set()
        for at, operation in self._on.get(name, ()):
            if not step < at < until:
                continue
            if not isinstance(operation, ALTERING):
                break
            column = ("column", name, _column(operation))
            match operation:
                case AddColumn() if column not in known:
                    gone.add(column)
                case CreateIndex() if not operation.index.unique and operation.index.name not in self._dropped_indexes:
                    gone.add(("index", name, operation.index.name))
                case AlterColumn() if operation.new_name:
                    known.add(("column", name, operation.new_name))
            known.add(column)
        return frozenset(gone)

    def _next_unclear(self, name: str, step: int) -> float:
        """The next step that may do anything to the table."""
        bare = name.rpartition(".")[2]
        tables = {one.rpartition(".")[2] for one in self._on}
        return next((at for at, words in self._unclear if at > step and (bare in words or not words & tables)), 1e9)


def _column(operation: Operation) -> str:
    match operation:
        case AddColumn():
            return operation.column.name
        case DropColumn() | AlterColumn():
            return operation.column
        case _:
            return ""
