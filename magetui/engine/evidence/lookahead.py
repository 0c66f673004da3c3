"""What later operations say about a table that is not known.

A column that a script adds did not exist before the script. A constraint that a script drops did exist, and the
script's downgrade describes it. A table is not known if it is older than the chain's first revision, or if a script
changed it in a way that cannot be followed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from magetui.engine.evidence.table_state import NAMELESS, Name, TableState
from magetui.engine.sql.ddl import parts_of
from magetui.model import operations as ops

if TYPE_CHECKING:
    from magetui.engine.evidence.schema_state import SchemaState

ALTERING = (
    ops.AddColumn,
    ops.AddConstraint,
    ops.AlterColumn,
    ops.CreateIndex,
    ops.DropColumn,
    ops.DropConstraint,
    ops.RebuildTable,
)


class Lookahead:
    """The operations of a chain by table. `steps` are its upgrades, oldest first, and `undone` its downgrades."""

    def __init__(
        self, steps: Iterable[Iterable[ops.Operation]], undone: Iterable[Iterable[ops.Operation]], base: SchemaState
    ) -> None:
        self._on: dict[str, list[tuple[int, ops.Operation]]] = defaultdict(list)
        self._paths: dict[str, Name] = {}
        self._restored = {
            (step, base.name_of(operation), operation.name): operation
            for step, operations in enumerate(undone)
            for operation in operations
            if isinstance(operation, ops.AddConstraint)
            and operation.name
            and operation.constraint in ("unique", "foreign")
        }
        self._unclear: list[tuple[int, frozenset[str]]] = []
        self._dropped_indexes: set[str] = set()
        for step, operations in enumerate(steps):
            for operation in operations:
                for part in parts_of(operation, base.dialect):
                    self._note(step, part, base)

    def _note(self, step: int, operation: ops.Operation, base: SchemaState) -> None:
        match operation:
            case ops.UnclearTable():
                self._unclear.append((step, frozenset({operation.table})))
                self._append(step, operation, base)
            case ops.Unclear():
                self._unclear.append((step, operation.words))
            case ops.DropIndex():
                self._dropped_indexes.add(operation.name)
            case ops.InsertRows():
                pass
            case ops.OnTable():
                if isinstance(operation, ops.RenameTable):  # from this step on, another table has the name
                    self._on[base.name(operation.schema, operation.new_name)].append((step, operation))
                self._append(step, operation, base)

    def _append(self, step: int, operation: ops.OnTable | ops.UnclearTable, base: SchemaState) -> None:
        name = base.name_of(operation)
        self._paths.setdefault(name, base.path(operation.schema, operation.table))
        self._on[name].append((step, operation))

    def before_all(self) -> Mapping[str, TableState]:
        """Return the tables that are altered before any revision creates them: they are older than the chain."""
        return {
            name: self._foreseen(name, -1)
            for name, operations in self._on.items()
            if isinstance(first := operations[0][1], ALTERING)
            or (isinstance(first, ops.UnclearTable) and not first.makes)
        }

    def seeing(self, state: SchemaState, step: int) -> SchemaState:
        """Return the state with what later steps say about the tables that `step` has just opened."""
        opened = [table for name in state.changed if (table := state.tables.get(name)) is not None and table.open]
        unknown = [table for table in opened if table == table.opened()]
        seen = {
            table.name: replace(self._foreseen(table.name, step), exists=table.exists, path=table.path)
            for table in unknown
        }
        return replace(state, tables={**state.tables, **seen}) if seen else state

    def _foreseen(self, name: str, step: int) -> TableState:
        """Return all that later steps say about the table after that step."""
        dropped = self._dropped(name, step)
        return TableState(
            name,
            uniques={drop.name or "": drop.columns for drop in dropped if drop.constraint == "unique"},
            foreign_keys={drop.name or "": drop.foreign_key for drop in dropped if drop.foreign_key is not None},
            open=True,
            gone=self._gone(name, step),
            path=self._paths.get(name, NAMELESS),
        )

    def _dropped(self, name: str, step: int) -> list[ops.AddConstraint]:
        """Return the constraints that later steps drop, as the downgrades create them again."""
        added: set[str | None] = set()
        dropped: list[ops.AddConstraint] = []
        for at, operation in self._later(name, step):
            match operation:
                case ops.AddConstraint():
                    added.add(operation.name)
                case ops.DropConstraint() if operation.name not in added and not operation.if_exists:
                    restored = self._restored.get((at, name, operation.name or ""))
                    dropped += [restored] if restored is not None else []
                    added.add(operation.name)
                case ops.RebuildTable() | ops.AddColumn() | ops.AlterColumn() | ops.CreateIndex():
                    pass
                case _:
                    break
        return dropped

    def _gone(self, name: str, step: int) -> frozenset[tuple[str, str, str]]:
        """Return the columns and indexes that the table first gets after that step."""
        gone: set[tuple[str, str, str]] = set()
        known: set[str] = set()
        for _, operation in self._later(name, step):
            match operation:
                case ops.AddColumn(column=column):
                    if column.name not in known:
                        gone.add(("column", name, column.name))
                    known.add(column.name)
                case ops.DropColumn():
                    known.add(operation.column)
                case ops.AlterColumn():
                    known |= {operation.column, operation.new_name or operation.column}
                case ops.CreateIndex(index=index):
                    if not index.unique and index.name not in self._dropped_indexes:
                        gone.add(("index", name, index.name))
                case ops.AddConstraint() | ops.DropConstraint() | ops.RebuildTable():
                    pass
                case _:
                    break
        return frozenset(gone)

    def _later(self, name: str, step: int) -> list[tuple[int, ops.Operation]]:
        """Return the later operations on the table with their steps, up to a step that may do anything to it."""
        bare = name.rpartition(".")[2]
        tables = {table.rpartition(".")[2] for table in self._on}
        until = next((at for at, words in self._unclear if at > step and (bare in words or not words & tables)), 1e9)
        return [(at, operation) for at, operation in self._on.get(name, ()) if step < at < until]
