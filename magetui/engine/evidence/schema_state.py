"""The schema that a sequence of operations produces, worked out without running them.

A `SchemaState` is a value: applying an operation gives another state, and both share the tables that the operation
leaves alone. Evidence starts from an empty schema, previews from the live one. Tables that an unreadable script may
have changed are *open*: they have the parts that later operations give them, and may have others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from magetui.engine.evidence.chosen_names import T as Named
from magetui.engine.evidence.chosen_names import with_chosen_names
from magetui.engine.evidence.enum_types import changed_types
from magetui.engine.evidence.table_facts import table_facts
from magetui.engine.evidence.table_state import Name, TableState, renamed_in, without
from magetui.engine.schema.exact import enum_facts, exact_enums
from magetui.engine.schema.facts import Fact, table_name
from magetui.engine.sql.ddl import parts_of
from magetui.model import operations as ops

if TYPE_CHECKING:
    from magetui.model.schema import Column, EnumType, ForeignKey, TableDetail

TYPE_PART = re.compile(r'"((?:[^"]|"")*)"|([^".\[\]\s]+)')


@dataclass(frozen=True)
class SchemaState:
    """Tables and enum types by name; `default_schema` is where unqualified names go.

    `open`: there may be tables that are not in `tables`. `open_enums`: types that may exist or not, with any values.
    `changed`: the tables that the last operation changed or dropped. `created`: the tables of the open transaction,
    which no other session sees and so none waits for.
    """

    dialect: str
    default_schema: str | None = None
    tables: Mapping[str, TableState] = field(default_factory=dict)
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    open: bool = False
    open_enums: frozenset[str] = frozenset()
    changed: frozenset[str] = frozenset()
    created: frozenset[str] = frozenset()

    @classmethod
    def read(
        cls, dialect: str, default_schema: str | None, details: Iterable[TableDetail], types: Iterable[EnumType] = ()
    ) -> SchemaState:
        """Return the state of a live schema, of which `details` are all tables."""
        tables = [TableState.read(detail, default_schema) for detail in details]
        return cls(dialect, default_schema, {table.name: table for table in tables}, exact_enums(types, default_schema))

    # -- applying operations

    def applying(self, operations: Iterable[ops.Operation]) -> SchemaState:
        """Return the state after those operations, with the tables that any of them `changed`."""
        state = self
        changed: set[str] = set()
        for operation in operations:
            state = state.after(operation)
            changed |= state.changed
        return replace(state, changed=frozenset(changed))

    def opened(self, operation: ops.Unclear) -> SchemaState:
        """Return the state after an unknown change to the tables and types that its words name.

        If they name none, it may be a change to any of them.
        """
        tables = [name for name in self.tables if name.rpartition(".")[2] in operation.words]
        enums = [name for name in self.enums if name.rpartition(".")[2] in operation.words]
        if tables or enums:
            return self._opening(tables, enums, operation)
        return replace(self._opening(self.tables, self.enums, operation), open=True)

    def _opening(self, tables: Iterable[str], enums: Iterable[str], operation: ops.Unclear) -> SchemaState:
        exists = not operation.takes_tables
        state = self._having({name: self.tables[name].opened(exists=exists) for name in tables})
        known = {name: values for name, values in self.enums.items() if name not in enums}
        return replace(state, enums=known, open_enums=self.open_enums.union(enums))

    def as_far_as_read(self, operation: ops.Operation) -> SchemaState:
        """Return the state after one operation, as far as that is understood: tables do not become open."""
        state = self
        changed: set[str] = set()
        for part in parts_of(operation, self.dialect):
            if isinstance(part, ops.Unclear) and not isinstance(part, ops.UnclearTable):
                continue
            after = state.after(part)
            unchanged = {
                name: before
                for name in after.changed
                if (before := state.tables.get(name)) is not None
                and not before.open
                and (table := after.tables.get(name)) is not None
                and table.open
            }
            changed |= after.changed - unchanged.keys()
            state = replace(after, tables={**after.tables, **unchanged}) if unchanged else after
        return replace(state, changed=frozenset(changed))

    def after(self, operation: ops.Operation) -> SchemaState:
        """Return the state after one operation, with the tables that this operation `changed`."""
        state = self._after(operation)
        return replace(state, changed=frozenset()) if state.tables is self.tables and state.changed else state

    def _after(self, operation: ops.Operation) -> SchemaState:  # noqa: PLR0911, PLR0912 - a case an operation
        match operation:
            case ops.CreateTable():
                return self._created(operation)
            case ops.DropTable():
                return self._dropped(self.name_of(operation))
            case ops.RenameTable(table=old, new_name=new, schema=schema):
                if self.name_of(operation) not in self.tables and self.table_of_index(schema, old) is not None:
                    return self._index_renamed(schema, old, new)
                return self._moved(self.name_of(operation), self.path(schema, new))
            case ops.MoveTable():
                return self._moved(self.name_of(operation), (operation.new_schema, operation.table))
            case ops.DropSchema():
                state = self
                for table in [table for table in self.tables.values() if table.path[0] == operation.schema]:
                    state = state._dropped(table.name)
                return state
            case ops.OnType():
                return self._type_changed(operation)
            case ops.ExecuteSql():
                parts = parts_of(operation, self.dialect)
                return self.applying(parts) if parts else self
            case ops.UnclearTable():
                name = self.name_of(operation)
                known = None if operation.makes else self.tables.get(name)
                return self._having({name: self._open_table(operation) if known is None else known.opened()})
            case ops.Unclear():
                return self.opened(operation)
            case ops.RenameIndex():
                return self._index_renamed(operation.schema, operation.name, operation.new_name)
            case ops.DropIndex():
                return self._index_dropped(operation)
            case ops.AlterColumn():
                return self._column_altered(operation)
            case ops.Guarded():
                return self.applying(operation.operations) if self.runs(operation) else self
            case ops.Autocommit():
                return self.committed()
            case ops.InsertRows() | ops.TruncateTable() | ops.ValidateConstraint():
                return self
            case ops.RebuildTable():
                rebuilt = self.tables.get(self.name_of(operation))
                return self if rebuilt is None else self._having({rebuilt.name: rebuilt.rebuilt()})
            case ops.OnTable():
                return self._table_changed(operation)
            case _:
                return self

    def committed(self) -> SchemaState:
        """Return the state after a commit: other sessions see the tables that were created."""
        return replace(self, created=frozenset()) if self.created else self

    # -- facts

    def facts(self, name: str) -> frozenset[Fact]:
        """Return the facts that a schema shows of a table; none if there is no such table."""
        if name not in self.tables:
            return frozenset()
        return frozenset(table_facts(self.tables[name], self.dialect, self._referred_columns))

    def _referred_columns(self, key: ForeignKey) -> tuple[str, tuple[str, ...]]:
        """Return the table that a foreign key refers to, and its columns: without names, those of the primary key."""
        table = self._referred(key)
        referred = self.tables.get(table)
        return table, key.referred_columns or (referred.primary_key if referred is not None else ())

    def enum_facts(self, name: str) -> frozenset[Fact]:
        return enum_facts(name, self.enums[name]) if name in self.enums else frozenset()

    # -- names

    def path(self, schema: str | None, table: str) -> Name:
        """Return the schema, which may be the default one, and the table."""
        return schema or self.default_schema, table

    def name(self, schema: str | None, name: str) -> str:
        """Return the name of a table or a type as `tables` and `enums` have it."""
        return table_name(name, schema, self.default_schema)

    def name_of(self, operation: ops.Operation) -> str:
        """Return the name of an operation's table as `tables` has it."""
        return self.name(getattr(operation, "schema", None), getattr(operation, "table", None) or "")

    def type_of(self, operation: ops.OnType) -> str:
        return self.name(operation.schema, operation.name)

    def type_name(self, written: str) -> str:
        """Return the name of a type, as `enums` has it, from how a column's type is written."""
        parts = ["", "", *(quoted.replace('""', '"') or plain for quoted, plain in TYPE_PART.findall(written))]
        return self.name(parts[-2] or None, parts[-1])

    # -- questions

    def at(self, path: Name) -> TableState | None:
        return self.tables.get(self.name(*path))

    def known(self, path: Name) -> TableState | None:
        """Return the table if all its parts are known."""
        table = self.at(path)
        return None if table is None or table.open else table

    def is_new(self, path: Name) -> bool:
        return self.name(*path) in self.created

    def referred(self, path: Name) -> Iterator[tuple[ForeignKey, Name]]:
        """Yield the foreign keys of a table that refer to another table, each with that table."""
        table = self.at(path)
        for key in table.foreign_keys.values() if table else ():
            other = self.path(key.referred_schema, key.referred_table)
            if other != path:
                yield key, other

    def referring(self, path: Name) -> Iterator[tuple[ForeignKey, Name]]:
        """Yield the foreign keys of other tables that refer to this one, each with its table."""
        for other in self.tables.values():
            for key in other.foreign_keys.values():
                if other.path != path and self.path(key.referred_schema, key.referred_table) == path:
                    yield key, other.path

    def table_of_index(self, schema: str | None, index: str) -> Name | None:
        """Return the table that has the index, None if it is not known."""
        tables = (table for table in self.tables.values() if table.path[0] == (schema or self.default_schema))
        return next((table.path for table in tables if table.has_index(index)), None)

    def runs(self, guarded: ops.Guarded) -> bool:
        """Return True if IF EXISTS or IF NOT EXISTS lets the operations run. If it is not known, they may run."""
        if guarded.index is not None:
            is_present = self.table_of_index(guarded.schema, guarded.index) is not None
        else:
            table = self.tables.get(self.name_of(guarded))
            is_present = table is not None and (guarded.column is None or guarded.column in table.columns)
        return is_present is guarded.present or (not is_present and self.open)

    # -- tables

    def _having(self, changed: Mapping[str, TableState], without: str | None = None) -> SchemaState:
        tables = {**self.tables, **changed}
        gone = () if without is None or tables.pop(without, None) is None else (without,)
        return replace(self, tables=tables, changed=frozenset({*changed, *gone}))

    def _type_changed(self, operation: ops.OnType) -> SchemaState:
        """Return the state with the enum type changed. Columns follow a renamed type: the catalog has its number."""
        old = self.type_of(operation)
        new = self.name(operation.schema, operation.new_name) if isinstance(operation, ops.RenameType) else old
        enums, opened = changed_types(self.enums, self.open_enums, old, operation, new)
        state = replace(self, enums=enums, open_enums=opened)
        return state if new == old else state._having(state._retyped(old, new))

    def _having_keys(
        self, follow: Callable[[ForeignKey], ForeignKey | None], but: str | None = None
    ) -> dict[str, TableState]:
        """Return the tables, except `but`, whose keys `follow` changes. `follow` returns None for a dropped key."""
        followed = {
            name: {n: new for n, key in table.foreign_keys.items() if (new := follow(key)) is not None}
            for name, table in self.tables.items()
            if table.foreign_keys and name != but
        }
        return {
            name: replace(self.tables[name], foreign_keys=keys)
            for name, keys in followed.items()
            if keys != self.tables[name].foreign_keys
        }

    def _open_table(self, operation: ops.OnTable | ops.UnclearTable) -> TableState:
        path = self.path(operation.schema, operation.table)
        return TableState(self.name_of(operation), open=True, exists=True, path=path)

    def _created(self, operation: ops.CreateTable) -> SchemaState:
        """Return the state with the table. A known table stays: CREATE TABLE fails, or IF NOT EXISTS leaves it."""
        name = self.name_of(operation)
        before = self.tables.get(name)
        if before is not None and not before.open:
            return self
        path = self.path(operation.schema, operation.table)
        table = TableState.created(name, path, self._with_chosen_names(operation, path))
        return replace(self._having({name: table}), created=self.created | {name})

    def _with_chosen_names(self, operation: Named, path: Name) -> Named:
        if self.dialect != "postgresql":
            return operation
        return with_chosen_names(operation, (table for table in self.tables.values() if table.path[0] == path[0]))

    def _table_changed(self, operation: ops.OnTable) -> SchemaState:
        table = self.tables.get(self.name_of(operation)) or self._open_table(operation)
        if table.open and not table.exists:
            table = replace(table, exists=True)  # the operation fails on a table that does not exist
        if isinstance(operation, ops.AddConstraint):
            operation = self._with_chosen_names(operation, table.path)
        return self._having({table.name: table.after(operation)})

    def _dropped(self, name: str) -> SchemaState:
        """Return the state without the table. On PostgreSQL foreign keys to it are dropped too (CASCADE)."""
        changed = {}
        if self.dialect == "postgresql":
            changed = self._having_keys(lambda key: None if self._referred(key) == name else key, but=name)
        return replace(self._having(changed, without=name), created=self.created - {name})

    def _moved(self, old: str, path: Name) -> SchemaState:
        """Return the state with the table under another name or in another schema. Foreign keys follow it."""
        new = self.name(*path)

        def follow(key: ForeignKey) -> ForeignKey:
            refers = self._referred(key) == old
            return replace(key, referred_schema=path[0], referred_table=path[1]) if refers else key

        changed = self._having_keys(follow)
        table = changed.pop(old, None) or self.tables.get(old) or TableState(new, open=True, exists=True)
        moved = self._having({**changed, new: table.renamed(new, path)}, without=old)
        return replace(moved, created=self.created - {old} | {new}) if old in self.created else moved

    def _referred(self, key: ForeignKey) -> str:
        return self.name(key.referred_schema, key.referred_table)

    def _column_altered(self, operation: ops.AlterColumn) -> SchemaState:
        """Return the state with the column changed. If it is renamed, foreign keys to it follow."""
        state = self._table_changed(operation)
        name, new = self.name_of(operation), operation.new_name
        if new is None:
            return state

        def follow(key: ForeignKey) -> ForeignKey:
            if self._referred(key) != name:
                return key
            columns = tuple(new if column == operation.column else column for column in key.referred_columns)
            return replace(key, referred_columns=columns)

        changed = state._having_keys(follow)
        return state._having({name: state.tables[name], **changed}) if changed else state

    def _retyped(self, old: str, new: str) -> dict[str, TableState]:
        """Return the tables with columns of the type `old`, which have the type `new` now."""

        def follows(column: Column | ops.AlterColumn) -> bool:
            return column.type is not None and self.type_name(column.type) == old

        return {
            name: replace(
                table,
                columns={n: replace(c, type=new) if follows(c) else c for n, c in table.columns.items()},
                altered={n: replace(c, type=new) if follows(c) else c for n, c in table.altered.items()},
            )
            for name, table in self.tables.items()
            if any(map(follows, table.columns.values())) or any(map(follows, table.altered.values()))
        }

    def _index_dropped(self, operation: ops.DropIndex) -> SchemaState:
        """Drop an index from the table that has it: scripts need not name the table, and some name a wrong one."""
        name = self.name_of(operation)
        named = [self.tables[name]] if name in self.tables else []
        having = [table for table in named if table.has_index(operation.name)]
        having = having or [table for table in self.tables.values() if table.has_index(operation.name)] or named
        changed = {
            table.name: replace(
                table,
                indexes=without(table.indexes, operation.name),
                uniques=without(table.uniques, operation.name),
                gone=table.gone | {("index", table.name, operation.name)} if table.open else table.gone,
            )
            for table in having
        }
        return self._having(changed)

    def _index_renamed(self, schema: str | None, old: str, new: str) -> SchemaState:
        path = self.table_of_index(schema, old)
        table = None if path is None else self.at(path)
        if table is None:
            return self

        indexes = {name: replace(index, name=name) for name, index in renamed_in(table.indexes, old, new).items()}
        primary = new if table.primary_key_name == old else table.primary_key_name
        uniques = renamed_in(table.uniques, old, new)
        return self._having({table.name: replace(table, indexes=indexes, uniques=uniques, primary_key_name=primary)})
