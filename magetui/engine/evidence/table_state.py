"""One table as the scripts make it, worked out from what they do. Like the schema's model, it is a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from magetui.model.operations import (
    AddColumn,
    AddConstraint,
    AlterColumn,
    CreateIndex,
    DropColumn,
    DropConstraint,
    Operation,
)
from magetui.model.schema import Column, ForeignKey, Index

T = TypeVar("T")


@dataclass(frozen=True)
class TableState:
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

    def opened(self, *, there: bool = True) -> TableState:
        """With nothing known of it any more but that it is there, if it was and `there` says so."""
        return TableState(self.name, open=True, there=there and self.is_there)

    def after(self, operation: Operation) -> TableState:  # noqa: PLR0911 - a case each
        """What it is once an operation on it is done; itself where that leaves it alone."""
        match operation:
            case AddColumn():
                name = operation.column.name
                return replace(
                    self,
                    columns={**self.columns, name: operation.column},
                    gone=self.gone - {_column(self, name)},
                    told=without(self.told, name),
                )
            case DropColumn():
                return self._column_dropped(operation.column)
            case AlterColumn():
                return self._column_altered(operation)
            case CreateIndex():
                name = operation.index.name
                return replace(
                    self,
                    indexes={**self.indexes, name: operation.index},
                    gone=self.gone - {("index", self.name, name)},
                )
            case AddConstraint():
                return _constrained(self, operation)
            case DropConstraint():
                return _relaxed(self, operation)
            case _:
                return self

    def _column_dropped(self, name: str) -> TableState:
        """What stands on a column goes with it (manual, ALTER TABLE: indexes and table constraints)."""
        return replace(
            self,
            columns=without(self.columns, name),
            primary_key=() if name in self.primary_key else self.primary_key,
            indexes={n: one for n, one in self.indexes.items() if name not in one.columns},
            uniques={n: columns for n, columns in self.uniques.items() if name not in columns},
            foreign_keys={n: key for n, key in self.foreign_keys.items() if name not in key.columns},
            told=without(self.told, name),
            gone=self.gone | {_column(self, name)} if self.open else self.gone,
        )

    def _column_altered(self, one: AlterColumn) -> TableState:
        column = self.columns.get(one.column)
        if column is None:
            return _told(self if self.open else self.opened(), one)
        default = None if one.drops_default else one.default if one.default is not None else column.default
        made = Column(
            one.new_name or column.name,
            one.type or column.type,
            column.nullable if one.nullable is None else one.nullable,
            default,
        )
        columns = {c.name: c for c in (made if c is column else c for c in self.columns.values())}
        if made.name == column.name:
            return replace(self, columns=columns)

        def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(made.name if name == column.name else name for name in names)

        return replace(
            self,
            columns=columns,
            primary_key=renamed(self.primary_key),
            indexes={n: replace(index, columns=renamed(index.columns)) for n, index in self.indexes.items()},
            uniques={n: renamed(names) for n, names in self.uniques.items()},
            foreign_keys={n: replace(key, columns=renamed(key.columns)) for n, key in self.foreign_keys.items()},
        )


def by_columns(columns: tuple[str, ...]) -> str:
    """What a constraint that has no name is kept under."""
    return f"({', '.join(columns)})"


def _column(table: TableState, name: str) -> tuple[str, str, str]:
    return ("column", table.name, name)


def _told(table: TableState, one: AlterColumn) -> TableState:
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
    return replace(table, told={**without(table.told, one.column), name: said}, gone=gone)


def without(mapping: Mapping[str, T], name: str) -> Mapping[str, T]:
    """The mapping without that key; itself where it has not."""
    return {key: value for key, value in mapping.items() if key != name} if name in mapping else mapping


def _constrained(table: TableState, one: AddConstraint) -> TableState:
    if one.constraint == "primary":
        return replace(table, primary_key=one.columns)
    if one.constraint == "unique":
        return replace(table, uniques={**table.uniques, one.name or by_columns(one.columns): one.columns})
    if one.constraint == "foreign" and one.foreign_key is not None:
        name = one.name or by_columns(one.foreign_key.columns)
        return replace(table, foreign_keys={**table.foreign_keys, name: one.foreign_key})
    return replace(table, checks=table.checks | {one.name}) if one.name else table


def _relaxed(table: TableState, one: DropConstraint) -> TableState:
    """Without that constraint. One that nobody has named is looked for as PostgreSQL would name it (and SQLAlchemy)."""
    name = one.name or ""
    if one.constraint == "primary" or name == f"{table.name}_pkey":
        return replace(table, primary_key=())
    if name in table.checks:
        return replace(table, checks=table.checks - {name})
    for key, columns in table.uniques.items():
        if key == name or (key.startswith("(") and name == f"{table.name}_{'_'.join(columns)}_key"):
            return replace(table, uniques=without(table.uniques, key))
    for key, foreign in table.foreign_keys.items():
        if key == name or (key.startswith("(") and name == f"{table.name}_{'_'.join(foreign.columns)}_fkey"):
            return replace(table, foreign_keys=without(table.foreign_keys, key))
    if one.constraint == "check" or table.open:
        return table
    return table.opened()  # it had one that is not known here
