"""The state of one table that a sequence of operations produces. Like the state of the schema, it is a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from magetui.engine.schema.facts import table_name
from magetui.model import operations as ops
from magetui.model.schema import Column, ForeignKey, Index, TableDetail

T = TypeVar("T")
Name = tuple[str | None, str]  # a schema, None if the dialect or the database has no default one; and a table
NAMELESS: Name = (None, "")


@dataclass(frozen=True)
class TableState:
    """A table. Constraints and indexes are by name; a constraint without a name is by its columns, in brackets.

    `path`: the schema and the table. `open`: the table may have more parts than these. `gone`: the parts that an open
    table no longer has, as places of facts. `doubtful`: the parts that may exist or not, as places of facts. `altered`:
    what was altered of the columns of which nothing else is known. `exists`: an open table that is known to exist.
    `live`: the table of the database that this one was, and `live_columns` its columns by the names that they have now.
    """

    name: str
    columns: Mapping[str, Column] = field(default_factory=dict)
    primary_key: tuple[str, ...] = ()
    primary_key_name: str | None = None  # None: it is not known, or there is no primary key
    indexes: Mapping[str, Index] = field(default_factory=dict)
    uniques: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    foreign_keys: Mapping[str, ForeignKey] = field(default_factory=dict)
    checks: Mapping[str, str] = field(default_factory=dict)  # the conditions by name
    open: bool = False
    gone: frozenset[tuple[str, str, str]] = frozenset()
    altered: Mapping[str, ops.AlterColumn] = field(default_factory=dict)
    exists: bool = False
    doubtful: frozenset[tuple[str, str, str]] = frozenset()
    path: Name = NAMELESS
    live: Name | None = None
    live_columns: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def created(cls, name: str, path: Name, table: ops.CreateTable | TableDetail) -> TableState:
        """Return the state of a table that was created, or that a server reports."""
        return cls(
            name,
            columns={column.name: column for column in table.columns},
            primary_key=table.primary_key,
            primary_key_name=table.primary_key_name if isinstance(table, ops.CreateTable) else None,
            indexes={index.name: index for index in table.indexes},
            uniques={c.name or by_columns(c.columns): c.columns for c in table.constraints if c.kind == "unique"},
            foreign_keys={key.name or by_columns(key.columns, key): key for key in table.foreign_keys},
            checks={c.name: c.definition for c in table.constraints if c.kind == "check" and c.name},
            path=path,
        )

    @classmethod
    def read(cls, detail: TableDetail, default_schema: str | None) -> TableState:
        path = detail.table.schema, detail.table.name
        table = cls.created(table_name(path[1], path[0], default_schema), path, detail)
        return replace(table, live=path, live_columns={name: name for name in table.columns})

    @property
    def is_known(self) -> bool:
        return self.exists or not self.open

    def has_index(self, name: str) -> bool:
        """Return True if the table is known to have an index, or a constraint with an index, of that name."""
        return name in self.indexes or name in self.uniques or name == self.primary_key_name

    def column_type(self, column: str) -> str | None:
        if column in self.columns:
            return self.columns[column].type
        return self.altered[column].type if column in self.altered else None

    def is_not_null(self, column: str) -> bool:
        """Return True if the column is known to hold no nulls."""
        return column in self.primary_key or (column in self.columns and not self.columns[column].nullable)

    def foreign_key(self, name: str | None) -> str | None:
        """Return the key in `foreign_keys` of a foreign key; None if it is not known."""
        if name in self.foreign_keys:
            return name
        meant = [key for key, foreign in self.foreign_keys.items() if _is_meant(key, foreign.columns, name or "")]
        return meant[0] if len(meant) == 1 else None

    def opened(self, *, exists: bool = True) -> TableState:
        """Return the table with nothing known of it but that it exists, if it did and `exists` says so."""
        return TableState(self.name, open=True, exists=exists and self.is_known, path=self.path)

    def rebuilt(self) -> TableState:
        """Return the table after a batch operation has copied it.

        Alembic makes the copy from the reflected table. Whether its checks are reflected depends on the release of
        SQLAlchemy, and on the names of the checks.
        """
        if not self.checks:
            return self
        return replace(self, doubtful=self.doubtful.union(("check", self.name, check) for check in self.checks))

    def renamed(self, name: str, path: Name) -> TableState:
        gone, doubtful = (frozenset((kind, name, part) for kind, _, part in p) for p in (self.gone, self.doubtful))
        return replace(self, name=name, path=path, gone=gone, doubtful=doubtful)

    def after(self, operation: ops.Operation) -> TableState:  # noqa: PLR0911 - a case each
        """Return the table after an operation on it; itself if the operation leaves it alone."""
        match operation:
            case ops.AddColumn(if_not_exists=True) if operation.column.name in self.columns:
                return self
            case ops.CreateIndex(if_not_exists=True) if operation.index.name in self.indexes:
                return self
            case ops.AddColumn():
                name = operation.column.name
                return replace(
                    self,
                    columns={**self.columns, name: operation.column},
                    gone=self.gone - {_column(self, name)},
                    altered=without(self.altered, name),
                )
            case ops.DropColumn():
                return self._column_dropped(operation.column)
            case ops.AlterColumn():
                return self._column_altered(operation)
            case ops.CreateIndex():
                name = operation.index.name
                gone = self.gone - {("index", self.name, name)}
                return replace(self, indexes={**self.indexes, name: operation.index}, gone=gone)
            case ops.AddConstraint():
                return self._constraint_added(operation)
            case ops.DropConstraint():
                return self._constraint_dropped(operation)
            case ops.RenameConstraint():
                return self._constraint_renamed(operation.name, operation.new_name)
            case _:
                return self

    def _constraint_renamed(self, name: str, new: str) -> TableState:
        """Return the table with the constraint renamed; itself if it is a NOT NULL, or a constraint not known here."""
        key = self.foreign_key(name)
        keys = self.foreign_keys
        if key is not None:
            keys = {**without(keys, key), new: replace(keys[key], name=new)}
        return replace(
            self,
            primary_key_name=new if self.primary_key_name == name else self.primary_key_name,
            uniques=renamed_in(self.uniques, name, new),
            checks=renamed_in(self.checks, name, new),
            foreign_keys=keys,
        )

    def _column_dropped(self, name: str) -> TableState:
        """Return the table without the column, its indexes and its constraints (manual, ALTER TABLE)."""
        return replace(
            self,
            columns=without(self.columns, name),
            primary_key=() if name in self.primary_key else self.primary_key,
            primary_key_name=None if name in self.primary_key else self.primary_key_name,
            checks={n: text for n, text in self.checks.items() if not _mentions(text, name)},
            indexes={n: index for n, index in self.indexes.items() if name not in index.columns},
            uniques={n: columns for n, columns in self.uniques.items() if name not in columns},
            foreign_keys={n: key for n, key in self.foreign_keys.items() if name not in key.columns},
            altered=without(self.altered, name),
            gone=self.gone | {_column(self, name)} if self.open else self.gone,
            live_columns=without(self.live_columns, name),
        )

    def _column_altered(self, operation: ops.AlterColumn) -> TableState:
        column = self.columns.get(operation.column)
        if column is None:
            return _altered(self if self.open else self.opened(), operation)
        changed = Column(
            operation.new_name or column.name,
            operation.type or column.type,
            column.nullable if operation.nullable is None else operation.nullable,
            _default(operation, column.default),
        )
        columns = {c.name: c for c in (changed if c is column else c for c in self.columns.values())}
        if changed.name == column.name:
            return replace(self, columns=columns)

        def rename(name: str) -> str:
            return changed.name if name == column.name else name

        def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(map(rename, names))

        return replace(
            self,
            columns=columns,
            primary_key=renamed(self.primary_key),
            checks={n: _word(column.name).sub(lambda _: changed.name, text) for n, text in self.checks.items()},
            indexes={n: replace(index, columns=renamed(index.columns)) for n, index in self.indexes.items()},
            uniques={n: renamed(names) for n, names in self.uniques.items()},
            foreign_keys={n: replace(key, columns=renamed(key.columns)) for n, key in self.foreign_keys.items()},
            live_columns={rename(name): live for name, live in self.live_columns.items()},
        )

    def _constraint_added(self, operation: ops.AddConstraint) -> TableState:
        if operation.constraint == "primary":
            return replace(self, primary_key=operation.columns, primary_key_name=operation.name)
        if operation.constraint == "unique":
            name = operation.name or by_columns(operation.columns)
            return replace(self, uniques={**self.uniques, name: operation.columns})
        if operation.constraint == "foreign" and operation.foreign_key is not None:
            name = operation.name or by_columns(operation.foreign_key.columns, operation.foreign_key)
            return replace(self, foreign_keys={**self.foreign_keys, name: operation.foreign_key})
        if not operation.name:
            return self
        checks = {**self.checks, operation.name: operation.definition or ""}
        return replace(self, checks=checks, doubtful=self.doubtful - {("check", self.name, operation.name)})

    def _constraint_dropped(self, operation: ops.DropConstraint) -> TableState:
        """Return the table without that constraint."""
        name = operation.name or ""
        own = self.primary_key_name or f"{self.path[1] or self.name}_pkey"
        if operation.constraint == "primary" or name == own:
            return replace(self, primary_key=(), primary_key_name=None, indexes=without(self.indexes, name))
        if name in self.checks:
            return replace(self, checks=without(self.checks, name))
        for key, columns in self.uniques.items():
            if key == name or _is_meant(key, columns, name):
                return replace(self, uniques=without(self.uniques, key), indexes=without(self.indexes, name))
        foreign = self.foreign_key(name)
        if foreign is not None:
            return replace(self, foreign_keys=without(self.foreign_keys, foreign))
        is_unaffected = operation.constraint == "check" or self.open
        return self if is_unaffected else self.opened()  # it had a constraint that is not known here


def by_columns(columns: tuple[str, ...], foreign: ForeignKey | None = None) -> str:
    """Return the key of a constraint that has no name."""
    return f"({', '.join(columns)}){f' to {foreign.referred_table}' if foreign else ''}"


def _is_meant(key: str, columns: tuple[str, ...], name: str) -> bool:
    """Return True if a constraint without a name may be meant by `name`.

    Alembic's batch operations on SQLite name it by a convention, which contains the columns.
    """
    return key.startswith("(") and f"_{'_'.join(columns)}_" in f"_{name}_"


def renamed_in(mapping: Mapping[str, T], old: str, new: str) -> Mapping[str, T]:
    """Return the mapping with the key `old` as `new`, in its place."""
    return {new if name == old else name: value for name, value in mapping.items()}


def without(mapping: Mapping[str, T], name: str) -> Mapping[str, T]:
    """Return the mapping without that key; itself if it does not have the key."""
    return {key: value for key, value in mapping.items() if key != name} if name in mapping else mapping


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")


def _mentions(text: str, column: str) -> bool:
    return column in text and _word(column).search(text) is not None


def _column(table: TableState, name: str) -> tuple[str, str, str]:
    return ("column", table.name, name)


def _default(operation: ops.AlterColumn, before: str | None) -> str | None:
    if operation.drops_default:
        return None
    return before if operation.default is None else operation.default


def _altered(table: TableState, operation: ops.AlterColumn) -> TableState:
    """Return an open table with what is known of one of its own columns after it was altered."""
    before = table.altered.get(operation.column, ops.AlterColumn(table.name, None, operation.column))
    name = operation.new_name or operation.column
    column = replace(
        before,
        column=name,
        type=operation.type or before.type,
        default=_default(operation, before.default),
        drops_default=operation.drops_default or (before.drops_default and operation.default is None),
    )
    gone = table.gone - {_column(table, name)}
    if name != operation.column:
        gone |= {_column(table, operation.column)}
    return replace(table, altered={**without(table.altered, operation.column), name: column}, gone=gone)
