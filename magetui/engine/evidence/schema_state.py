"""The schema that revisions lead to, worked out from what they do, without a database.

A `SchemaState` is a value: applying an operation gives another one, and tables that it leaves alone are shared. Where a
script cannot be followed, the tables it may have touched are *open* from there on: they have what later operations
give them, and whatever else there is says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from magetui.engine.evidence.table_state import TableState, by_columns, without
from magetui.engine.schema import facts as spelling
from magetui.engine.schema.facts import Fact
from magetui.engine.sql.ddl import operations_of
from magetui.model.operations import (
    AddColumn,
    AddConstraint,
    AddEnumValue,
    AlterColumn,
    CreateIndex,
    CreateTable,
    CreateType,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropTable,
    DropType,
    ExecuteSql,
    Operation,
    RenameEnumValue,
    RenameIndex,
    RenameTable,
    RenameType,
    Unclear,
    UnclearTable,
)
from magetui.model.schema import ForeignKey

T = TypeVar("T")


@dataclass(frozen=True)
class SchemaState:
    """Tables and enum types by name; `usual` is the schema where unqualified names go.

    `open`: a script may have made or dropped any table. `changed`: the tables that the last operation made another,
    or took away.
    """

    dialect: str
    usual: str | None = None
    tables: Mapping[str, TableState] = field(default_factory=dict)
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    open: bool = False
    changed: frozenset[str] = frozenset()

    def applying(self, operations: Iterable[Operation]) -> SchemaState:
        """After those operations, `changed` by any of them."""
        model = self
        changed: set[str] = set()
        for operation in operations:
            model = model.after(operation)
            changed |= model.changed
        return replace(model, changed=frozenset(changed))

    def opened(self, one: Unclear) -> SchemaState:
        """After something unknown was done to the tables that its words name; to all, where they name none."""
        stay = not one.takes_tables
        named = {
            name: table.opened(there=stay)
            for name, table in self.tables.items()
            if name.rpartition(".")[2] in one.words
        }
        if named:
            return self._having(named)
        opened = {name: table.opened(there=stay) for name, table in self.tables.items()}
        return replace(self._having(opened), open=True)

    def as_far_as_read(self, operation: Operation) -> SchemaState:
        """After one operation, as far as it is known what that does: what it opens stays as it was."""
        several = operations_of(operation.sql, self.dialect) if isinstance(operation, ExecuteSql) else (operation,)
        model = self
        changed: set[str] = set()
        for one in several:
            made = model.after(one)
            kept = {
                name: before
                for name in made.changed
                if (before := model.tables.get(name)) is not None
                and not before.open
                and (table := made.tables.get(name)) is not None
                and table.open
            }
            if isinstance(one, Unclear) and not isinstance(one, UnclearTable):
                continue
            changed |= made.changed - kept.keys()
            model = replace(made, tables={**made.tables, **kept}) if kept else made
        return replace(model, changed=frozenset(changed))

    def after(self, operation: Operation) -> SchemaState:
        """After one operation, `changed` by that alone."""
        made = self._after(operation)
        return replace(made, changed=frozenset()) if made.tables is self.tables and made.changed else made

    def _after(self, operation: Operation) -> SchemaState:  # noqa: PLR0911, PLR0912 - a case an operation
        match operation:
            case CreateTable():
                return self._created(operation)
            case DropTable():
                return self._having({}, without=self.name_of(operation))
            case RenameTable():
                return self._renamed(operation)
            case CreateType() if operation.values:
                return replace(self, enums={**self.enums, self._type(operation): operation.values})
            case DropType():
                return replace(self, enums={n: v for n, v in self.enums.items() if n != self._type(operation)})
            case AddEnumValue():
                values = self.enums.get(self._type(operation), ())
                return replace(self, enums={**self.enums, self._type(operation): (*values, operation.value)})
            case RenameEnumValue():
                values = self.enums.get(self._type(operation), ())
                renamed = tuple(operation.new_value if one == operation.value else one for one in values)
                return replace(self, enums={**self.enums, self._type(operation): renamed})
            case RenameType():
                return self._type_renamed(operation)
            case ExecuteSql():
                made = operations_of(operation.sql, self.dialect)
                return self.applying(made) if made else self
            case UnclearTable():
                name = self.name_of(operation)
                known = None if operation.makes else self.tables.get(name)
                return self._having(
                    {name: TableState(name, open=True, there=True) if known is None else known.opened()}
                )
            case Unclear():
                return self.opened(operation)
            case RenameIndex():
                return self._index_renamed(operation)
            case DropIndex():
                return self._index_dropped(operation)
            case AddColumn() | DropColumn() | AlterColumn() | CreateIndex() | AddConstraint() | DropConstraint():
                name = self.name_of(operation)
                table = self.tables.get(name) or TableState(name, open=True)
                table = replace(table, there=True) if table.open else table  # it would fail on one that is not there
                return self._having({name: table.after(operation)})
            case _:
                return self

    def facts(self, name: str) -> frozenset[Fact]:
        """What is to be seen of a table; nothing where there is none."""
        table = self.tables.get(name)
        return frozenset() if table is None else frozenset(self._facts(table))

    def enum_facts(self, name: str) -> frozenset[Fact]:
        values = (Fact("enum-value", name, one, one) for one in self.enums.get(name, ()))
        return frozenset({Fact("enum", name), *values} if name in self.enums else ())

    # -- tables

    def _having(self, changed: Mapping[str, TableState], without: str | None = None) -> SchemaState:
        tables = {**self.tables, **changed}
        gone = () if without is None or tables.pop(without, None) is None else (without,)
        return SchemaState(self.dialect, self.usual, tables, self.enums, self.open, frozenset({*changed, *gone}))

    def name_of(self, operation: Operation) -> str:
        """The name of an operation's table as `tables` has it."""
        table, schema = getattr(operation, "table", ""), getattr(operation, "schema", None)
        return spelling.table_name(table, schema, self.usual)

    def _type(self, operation: CreateType | DropType | AddEnumValue | RenameEnumValue | RenameType) -> str:
        return spelling.table_name(operation.name, operation.schema, self.usual)

    def _created(self, one: CreateTable) -> SchemaState:
        table = TableState(
            self.name_of(one),
            columns={column.name: column for column in one.columns},
            primary_key=one.primary_key,
            indexes={index.name: index for index in one.indexes},
            uniques={c.name or by_columns(c.columns): c.columns for c in one.constraints if c.kind == "unique"},
            foreign_keys={key.name or by_columns(key.columns): key for key in one.foreign_keys},
            checks=frozenset(c.name for c in one.constraints if c.kind == "check" and c.name),
        )
        return self._having({table.name: table})

    def _renamed(self, one: RenameTable) -> SchemaState:
        old = self.name_of(one)
        new = spelling.table_name(one.new_name, one.schema, self.usual)
        changed = {
            name: self._referring(table, old, one.new_name)
            for name, table in self.tables.items()
            if any(self._referred(key) == old for key in table.foreign_keys.values())
        }
        table = changed.pop(old, None) or self.tables.get(old)
        made = TableState(new, open=True, there=True) if table is None else replace(table, name=new)
        return self._having({**changed, new: made}, without=old)

    def _referred(self, key: ForeignKey) -> str:
        return spelling.table_name(key.referred_table, key.referred_schema, self.usual)

    def _referring(self, table: TableState, old: str, new_name: str) -> TableState:
        """The table with its foreign keys to `old` following the rename."""
        keys = {
            name: replace(key, referred_table=new_name) if self._referred(key) == old else key
            for name, key in table.foreign_keys.items()
        }
        return replace(table, foreign_keys=keys)

    def _type_renamed(self, one: RenameType) -> SchemaState:
        """Columns follow their type, since they know it by its number."""
        old, values = self._type(one), self.enums.get(self._type(one), ())
        new = spelling.table_name(one.new_name, one.schema, self.usual)
        tables = {
            name: replace(
                table,
                columns={c.name: replace(c, type=new) if c.type == old else c for c in table.columns.values()},
                told={n: replace(c, type=new) if c.type == old else c for n, c in table.told.items()},
            )
            for name, table in self.tables.items()
            if old in {one.type for one in table.columns.values()} | {one.type for one in table.told.values()}
        }
        enums = {name: values for name, values in self.enums.items() if name != old}
        return replace(self._having(tables), enums={**enums, new: values})

    def _index_dropped(self, one: DropIndex) -> SchemaState:
        """From the table that has it: scripts need not name the table, and some name the wrong one."""
        name = spelling.table_name(one.table, one.schema, self.usual) if one.table else ""
        named = [self.tables[name]] if name in self.tables else []
        having = [table for table in named if table.has_index(one.name)]
        having = having or [table for table in self.tables.values() if table.has_index(one.name)] or named
        changed = {
            table.name: replace(
                table,
                indexes=without(table.indexes, one.name),
                uniques=without(table.uniques, one.name),
                gone=table.gone | {("index", table.name, one.name)} if table.open else table.gone,
            )
            for table in having
        }
        return self._having(changed)

    def _index_renamed(self, one: RenameIndex) -> SchemaState:
        table = next((table for table in self.tables.values() if table.has_index(one.name)), None)
        if table is None:
            return self

        def renamed(mapping: Mapping[str, T]) -> Mapping[str, T]:
            return {one.new_name if name == one.name else name: value for name, value in mapping.items()}

        indexes = {name: replace(index, name=name) for name, index in renamed(table.indexes).items()}
        return self._having({table.name: replace(table, indexes=indexes, uniques=renamed(table.uniques))})

    def _facts(self, table: TableState) -> Iterable[Fact]:
        yield Fact("table", table.name)
        for column in table.columns.values():
            keyed = column.name in table.primary_key
            yield from spelling.column_facts(table.name, column, self.dialect, key=keyed)
        for one in table.told.values():
            yield from self._told(table.name, one)
        if table.primary_key:
            yield Fact("primary-key", table.name, "", ", ".join(table.primary_key))
        for index in table.indexes.values():
            if not (index.unique and index.columns == table.primary_key):
                yield spelling.index_fact(table.name, index.name, index.columns, unique=index.unique)
        for columns in table.uniques.values():
            if columns != table.primary_key:
                yield spelling.index_fact(table.name, "", columns, unique=True)
        for check in table.checks:
            yield Fact("check", table.name, check)
        for key in table.foreign_keys.values():
            referred = self.tables.get(self._referred(key))
            there = key.referred_columns or (referred.primary_key if referred is not None else ())
            yield spelling.foreign_key_fact(table.name, key.columns, self._referred(key), there, key.on_delete)

    def _told(self, table: str, one: AlterColumn) -> Iterable[Fact]:
        """Of whether it may be null nothing is said: a primary key's column says nothing of it either."""
        yield Fact("column", table, one.column)
        kind = None if one.type is None else spelling.type_of(one.type, self.dialect)
        if kind is not None:
            yield Fact("type", table, one.column, kind)
        if one.drops_default:
            yield Fact("default", table, one.column)
        elif kind is not None and one.default is not None:  # how a default is spelled hangs on the type
            yield Fact("default", table, one.column, spelling.default_of(one.default, kind))
