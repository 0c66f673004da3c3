"""What is known of a database's tables while a run is thought through, operation by operation.

Whether a lock reaches another table, or a change writes a table anew, hangs on the foreign keys and types that are
there when it is its turn: the live ones at first, then those that the operations before it leave behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from magetui.model.schema import Column, ForeignKey, Index, Table, TableDetail

Name = tuple[str | None, str]  # schema and table
NOTHING: Mapping[Name, TableDetail] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at one point of a run.

    `whole`: `tables` is every table there is, so that what is not in it does not exist. `created`: the tables of the
    open transaction, which nobody else can see and so nobody waits for. `schema`: where unqualified names go.
    """

    tables: Mapping[Name, TableDetail] = field(default_factory=lambda: NOTHING)
    whole: bool = False
    created: frozenset[Name] = frozenset()
    schema: str | None = None

    @classmethod
    def read(cls, details: Iterable[TableDetail], schema: str | None) -> Known:
        """From what `Backend.table_details` said of the whole database, and its current schema."""
        return cls({(one.table.schema, one.table.name): one for one in details}, whole=True, schema=schema)

    # -- asked

    def name(self, schema: str | None, table: str) -> Name:
        return schema or self.schema, table

    def referred(self, name: Name) -> Iterator[tuple[ForeignKey, Name]]:
        """The foreign keys of a table that refer to another one, each with that other one."""
        detail = self.tables.get(name)
        for key in detail.foreign_keys if detail else ():
            other = self.name(key.referred_schema, key.referred_table)
            if other != name:
                yield key, other

    def referring(self, name: Name) -> Iterator[tuple[ForeignKey, Name]]:
        """The foreign keys of other tables that refer to this one, each with its table."""
        for other, detail in self.tables.items():
            for key in detail.foreign_keys:
                if other != name and self.name(key.referred_schema, key.referred_table) == name:
                    yield key, other

    def column_type(self, name: Name, column: str) -> str | None:
        detail = self.tables.get(name)
        return next((one.type for one in detail.columns if one.name == column), None) if detail else None

    def is_not_null(self, name: Name, column: str) -> bool:
        detail = self.tables.get(name)
        if detail is None:
            return False
        return column in detail.primary_key or any(c.name == column and not c.nullable for c in detail.columns)

    def table_of_index(self, schema: str | None, index: str) -> Name | None:
        for name, detail in self.tables.items():
            if name[0] == (schema or self.schema) and any(one.name == index for one in detail.indexes):
                return name
        return None

    # -- made

    def committed(self) -> Known:
        """After a commit: what was created can be seen, and waited for."""
        return replace(self, created=frozenset())

    def with_table(self, name: Name, detail: TableDetail | None = None) -> Known:
        """With a new table; without a detail, one that has no foreign keys, and more is not known."""
        bare = TableDetail(Table(*name, rows=None, bytes=None), (), (), (), (), ())
        return replace(self, tables={**self.tables, name: detail or bare}, created=self.created | {name})

    def without_table(self, name: Name) -> Known:
        tables = {key: value for key, value in self.tables.items() if key != name}
        for _, other in self.referring(name):
            kept = tuple(
                k for k in tables[other].foreign_keys if self.name(k.referred_schema, k.referred_table) != name
            )
            tables[other] = replace(tables[other], foreign_keys=kept)
        return replace(self, tables=tables, created=self.created - {name})

    def with_name(self, name: Name, new: Name) -> Known:
        """With a table under another name, or in another schema."""
        tables: dict[Name, TableDetail] = {}
        for key, detail in self.tables.items():
            keys = tuple(
                replace(one, referred_schema=new[0], referred_table=new[1])
                if self.name(one.referred_schema, one.referred_table) == name
                else one
                for one in detail.foreign_keys
            )
            tables[new if key == name else key] = replace(detail, foreign_keys=keys)
        created = (self.created - {name}) | ({new} if name in self.created else set())
        return replace(self, tables=tables, created=created)

    def with_column(self, name: Name, column: Column) -> Known:
        """With a column added, or changed into this one."""
        detail = self.tables.get(name)
        if detail is None:
            return self
        others = tuple(one for one in detail.columns if one.name != column.name)
        return self._with(name, replace(detail, columns=(*others, column)))

    def without_column(self, name: Name, column: str) -> Known:
        """Without a column, and what rested on it."""
        detail = self.tables.get(name)
        if detail is None:
            return self
        changed = replace(
            detail,
            columns=tuple(one for one in detail.columns if one.name != column),
            primary_key=() if column in detail.primary_key else detail.primary_key,
            indexes=tuple(one for one in detail.indexes if column not in one.columns),
            foreign_keys=tuple(one for one in detail.foreign_keys if column not in one.columns),
            constraints=tuple(one for one in detail.constraints if column not in one.columns),
        )
        return self._with(name, changed)

    def with_column_name(self, name: Name, column: str, new: str) -> Known:
        detail = self.tables.get(name)
        if detail is None:
            return self

        def renamed(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(new if one == column else one for one in columns)

        changed = replace(
            detail,
            columns=tuple(replace(one, name=new) if one.name == column else one for one in detail.columns),
            primary_key=renamed(detail.primary_key),
            indexes=tuple(replace(one, columns=renamed(one.columns)) for one in detail.indexes),
            foreign_keys=tuple(replace(one, columns=renamed(one.columns)) for one in detail.foreign_keys),
            constraints=tuple(replace(one, columns=renamed(one.columns)) for one in detail.constraints),
        )
        tables = {**self.tables, name: changed}
        for _, other in self.referring(name):
            keys = tuple(
                replace(key, referred_columns=renamed(key.referred_columns))
                if self.name(key.referred_schema, key.referred_table) == name
                else key
                for key in tables[other].foreign_keys
            )
            tables[other] = replace(tables[other], foreign_keys=keys)
        return replace(self, tables=tables)

    def with_foreign_key(self, name: Name, key: ForeignKey) -> Known:
        detail = self.tables.get(name)
        if detail is None:
            return self
        named = key if key.name else replace(key, name="_".join((name[1], *key.columns, "fkey")))  # the server's habit
        return self._with(name, replace(detail, foreign_keys=(*detail.foreign_keys, named)))

    def without_constraint(self, name: Name, constraint: str | None) -> Known:
        detail = self.tables.get(name)
        if detail is None:
            return self
        changed = replace(
            detail,
            foreign_keys=tuple(one for one in detail.foreign_keys if one.name != constraint),
            constraints=tuple(one for one in detail.constraints if one.name != constraint),
            indexes=tuple(one for one in detail.indexes if one.name != constraint),
        )
        return self._with(name, changed)

    def with_index(self, name: Name, index: Index) -> Known:
        detail = self.tables.get(name)
        return self if detail is None else self._with(name, replace(detail, indexes=(*detail.indexes, index)))

    def without_index(self, name: Name, index: str) -> Known:
        detail = self.tables.get(name)
        if detail is None:
            return self
        return self._with(name, replace(detail, indexes=tuple(one for one in detail.indexes if one.name != index)))

    def _with(self, name: Name, detail: TableDetail) -> Known:
        return replace(self, tables={**self.tables, name: detail})
