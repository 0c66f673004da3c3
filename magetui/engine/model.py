"""The schema that revisions lead to, worked out from what they do, without a database.

A `Model` is a value: applying an operation gives another one, and tables that it leaves alone are shared. Where a
script cannot be followed, the tables it may have touched are *open* from there on: they have what later operations
give them, and whatever else there is says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from magetui.backends.base import Column, ForeignKey, Index
from magetui.engine import facts as spelling
from magetui.engine.facts import Fact
from magetui.engine.rawoperations import (
    AddEnumValue,
    RenameEnumValue,
    RenameIndex,
    RenameType,
    Unclear,
    UnclearTable,
)
from magetui.engine.rawsql import operations_of
from magetui.runner.operations import (
    AddColumn,
    AddConstraint,
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
    RenameTable,
)

T = TypeVar("T")


@dataclass(frozen=True)
class TableModel:
    """A table. Constraints and indexes are by name; a constraint without one by its columns, in brackets.

    `open`: there may be more than this. `gone`: what an open table no longer has, as places of facts; `told`: what was
    altered of its columns that nothing else is known of. `there`: an open table that is known to be there, if nothing
    else.
    """

    name: str
    columns: Mapping[str, Column] = field(default_factory=dict)
    primary_key: tuple[str, ...] = ()
    indexes: Mapping[str, Index] = field(default_factory=dict)
    uniques: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    foreign_keys: Mapping[str, ForeignKey] = field(default_factory=dict)
    checks: frozenset[str] = frozenset()
    open: bool = False
    gone: frozenset[tuple[str, str, str]] = frozenset()
    told: Mapping[str, AlterColumn] = field(default_factory=dict)
    there: bool = False

    @property
    def is_there(self) -> bool:
        return self.there or not self.open

    def has_index(self, name: str) -> bool:
        """Whether it is known to have an index, or a unique constraint, of that name."""
        return name in self.indexes or name in self.uniques

    def opened(self, *, there: bool = True) -> TableModel:
        """With nothing known of it any more but that it is there, if it was and `there` says so."""
        return TableModel(self.name, open=True, there=there and self.is_there)


@dataclass(frozen=True)
class Model:
    """Tables and enum types by name; `usual` is the schema where unqualified names go.

    `open`: a script may have made or dropped any table. `changed`: the tables that the last operation made another,
    or took away.
    """

    dialect: str
    usual: str | None = None
    tables: Mapping[str, TableModel] = field(default_factory=dict)
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    open: bool = False
    changed: frozenset[str] = frozenset()

    def applying(self, operations: Iterable[Operation]) -> Model:
        """After those operations, `changed` by any of them."""
        model = self
        changed: set[str] = set()
        for operation in operations:
            model = model.after(operation)
            changed |= model.changed
        return replace(model, changed=frozenset(changed))

    def opened(self, one: Unclear) -> Model:
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

    def as_far_as_read(self, operation: Operation) -> Model:
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

    def after(self, operation: Operation) -> Model:
        """After one operation, `changed` by that alone."""
        made = self._after(operation)
        return replace(made, changed=frozenset()) if made.tables is self.tables and made.changed else made

    def _after(self, operation: Operation) -> Model:  # noqa: PLR0911, PLR0912 - a case an operation
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
                    {name: TableModel(name, open=True, there=True) if known is None else known.opened()}
                )
            case Unclear():
                return self.opened(operation)
            case RenameIndex():
                return self._index_renamed(operation)
            case DropIndex():
                return self._index_dropped(operation)
            case AddColumn() | DropColumn() | AlterColumn() | CreateIndex() | AddConstraint() | DropConstraint():
                name = self.name_of(operation)
                table = self.tables.get(name) or TableModel(name, open=True)
                table = replace(table, there=True) if table.open else table  # it would fail on one that is not there
                return self._having({name: self._changed(table, operation)})
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

    def _having(self, changed: Mapping[str, TableModel], without: str | None = None) -> Model:
        tables = {**self.tables, **changed}
        gone = () if without is None or tables.pop(without, None) is None else (without,)
        return Model(self.dialect, self.usual, tables, self.enums, self.open, frozenset({*changed, *gone}))

    def name_of(self, operation: Operation) -> str:
        """The name of an operation's table as `tables` has it."""
        table, schema = getattr(operation, "table", ""), getattr(operation, "schema", None)
        return spelling.table_name(table, schema, self.usual)

    def _type(self, operation: CreateType | DropType | AddEnumValue | RenameEnumValue | RenameType) -> str:
        return spelling.table_name(operation.name, operation.schema, self.usual)

    def _created(self, one: CreateTable) -> Model:
        table = TableModel(
            self.name_of(one),
            columns={column.name: column for column in one.columns},
            primary_key=one.primary_key,
            indexes={index.name: index for index in one.indexes},
            uniques={c.name or _by(c.columns): c.columns for c in one.constraints if c.kind == "unique"},
            foreign_keys={key.name or _by(key.columns): key for key in one.foreign_keys},
            checks=frozenset(c.name for c in one.constraints if c.kind == "check" and c.name),
        )
        return self._having({table.name: table})

    def _renamed(self, one: RenameTable) -> Model:
        old = self.name_of(one)
        new = spelling.table_name(one.new_name, one.schema, self.usual)
        changed = {
            name: self._referring(table, old, one.new_name)
            for name, table in self.tables.items()
            if any(self._referred(key) == old for key in table.foreign_keys.values())
        }
        table = changed.pop(old, None) or self.tables.get(old)
        made = TableModel(new, open=True, there=True) if table is None else replace(table, name=new)
        return self._having({**changed, new: made}, without=old)

    def _referred(self, key: ForeignKey) -> str:
        return spelling.table_name(key.referred_table, key.referred_schema, self.usual)

    def _referring(self, table: TableModel, old: str, new_name: str) -> TableModel:
        """The table with its foreign keys to `old` following the rename."""
        keys = {
            name: replace(key, referred_table=new_name) if self._referred(key) == old else key
            for name, key in table.foreign_keys.items()
        }
        return replace(table, foreign_keys=keys)

    def _type_renamed(self, one: RenameType) -> Model:
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

    def _index_dropped(self, one: DropIndex) -> Model:
        """From the table that has it: scripts need not name the table, and some name the wrong one."""
        name = spelling.table_name(one.table, one.schema, self.usual) if one.table else ""
        named = [self.tables[name]] if name in self.tables else []
        having = [table for table in named if table.has_index(one.name)]
        having = having or [table for table in self.tables.values() if table.has_index(one.name)] or named
        changed = {
            table.name: replace(
                table,
                indexes=_without(table.indexes, one.name),
                uniques=_without(table.uniques, one.name),
                gone=table.gone | {("index", table.name, one.name)} if table.open else table.gone,
            )
            for table in having
        }
        return self._having(changed)

    def _index_renamed(self, one: RenameIndex) -> Model:
        table = next((table for table in self.tables.values() if table.has_index(one.name)), None)
        if table is None:
            return self

        def renamed(mapping: Mapping[str, T]) -> Mapping[str, T]:
            return {one.new_name if name == one.name else name: value for name, value in mapping.items()}

        indexes = {name: replace(index, name=name) for name, index in renamed(table.indexes).items()}
        return self._having({table.name: replace(table, indexes=indexes, uniques=renamed(table.uniques))})

    def _changed(self, table: TableModel, operation: Operation) -> TableModel:  # noqa: PLR0911 - a case each
        match operation:
            case AddColumn():
                name = operation.column.name
                return replace(
                    table,
                    columns={**table.columns, name: operation.column},
                    gone=table.gone - {_column(table, name)},
                    told=_without(table.told, name),
                )
            case DropColumn():
                return self._column_dropped(table, operation.column)
            case AlterColumn():
                return self._column_altered(table, operation)
            case CreateIndex():
                name = operation.index.name
                return replace(
                    table,
                    indexes={**table.indexes, name: operation.index},
                    gone=table.gone - {("index", table.name, name)},
                )
            case AddConstraint():
                return _constrained(table, operation)
            case DropConstraint():
                return _relaxed(table, operation)
            case _:
                return table

    def _column_dropped(self, table: TableModel, name: str) -> TableModel:
        """What stands on a column goes with it (manual, ALTER TABLE: indexes and table constraints)."""
        return replace(
            table,
            columns=_without(table.columns, name),
            primary_key=() if name in table.primary_key else table.primary_key,
            indexes={n: one for n, one in table.indexes.items() if name not in one.columns},
            uniques={n: columns for n, columns in table.uniques.items() if name not in columns},
            foreign_keys={n: key for n, key in table.foreign_keys.items() if name not in key.columns},
            told=_without(table.told, name),
            gone=table.gone | {_column(table, name)} if table.open else table.gone,
        )

    def _column_altered(self, table: TableModel, one: AlterColumn) -> TableModel:
        column = table.columns.get(one.column)
        if column is None:
            return _told(table if table.open else table.opened(), one)
        default = None if one.drops_default else one.default if one.default is not None else column.default
        made = Column(
            one.new_name or column.name,
            one.type or column.type,
            column.nullable if one.nullable is None else one.nullable,
            default,
        )
        columns = {c.name: c for c in (made if c is column else c for c in table.columns.values())}
        if made.name == column.name:
            return replace(table, columns=columns)

        def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(made.name if name == column.name else name for name in names)

        return replace(
            table,
            columns=columns,
            primary_key=renamed(table.primary_key),
            indexes={n: replace(index, columns=renamed(index.columns)) for n, index in table.indexes.items()},
            uniques={n: renamed(names) for n, names in table.uniques.items()},
            foreign_keys={n: replace(key, columns=renamed(key.columns)) for n, key in table.foreign_keys.items()},
        )

    def _facts(self, table: TableModel) -> Iterable[Fact]:
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


def _by(columns: tuple[str, ...]) -> str:
    return f"({', '.join(columns)})"


def _column(table: TableModel, name: str) -> tuple[str, str, str]:
    return ("column", table.name, name)


def _told(table: TableModel, one: AlterColumn) -> TableModel:
    """An open table with what is known of a column of its own once that was altered."""
    before = table.told.get(one.column, AlterColumn(table.name, None, one.column))
    name = one.new_name or one.column
    said = replace(
        before,
        column=name,
        type=one.type or before.type,
        default=None if one.drops_default else one.default if one.default is not None else before.default,
        drops_default=one.drops_default or (before.drops_default and one.default is None),
    )
    gone = table.gone - {_column(table, name)}
    if name != one.column:
        gone |= {_column(table, one.column)}
    return replace(table, told={**_without(table.told, one.column), name: said}, gone=gone)


def _without(mapping: Mapping[str, T], name: str) -> Mapping[str, T]:
    return {key: value for key, value in mapping.items() if key != name} if name in mapping else mapping


def _constrained(table: TableModel, one: AddConstraint) -> TableModel:
    if one.constraint == "primary":
        return replace(table, primary_key=one.columns)
    if one.constraint == "unique":
        return replace(table, uniques={**table.uniques, one.name or _by(one.columns): one.columns})
    if one.constraint == "foreign" and one.foreign_key is not None:
        name = one.name or _by(one.foreign_key.columns)
        return replace(table, foreign_keys={**table.foreign_keys, name: one.foreign_key})
    return replace(table, checks=table.checks | {one.name}) if one.name else table


def _relaxed(table: TableModel, one: DropConstraint) -> TableModel:
    """Without that constraint. One that nobody has named is looked for as PostgreSQL would name it (and SQLAlchemy)."""
    name = one.name or ""
    if one.constraint == "primary" or name == f"{table.name}_pkey":
        return replace(table, primary_key=())
    if name in table.checks:
        return replace(table, checks=table.checks - {name})
    for key, columns in table.uniques.items():
        if key == name or (key.startswith("(") and name == f"{table.name}_{'_'.join(columns)}_key"):
            return replace(table, uniques=_without(table.uniques, key))
    for key, foreign in table.foreign_keys.items():
        if key == name or (key.startswith("(") and name == f"{table.name}_{'_'.join(foreign.columns)}_fkey"):
            return replace(table, foreign_keys=_without(table.foreign_keys, key))
    if one.constraint == "check" or table.open:
        return table
    return table.opened()  # it had one that is not known here
