"""Exact facts of a schema, as its server spells them, for two schemas that the same kind of server made.

A replayed schema can be compared exactly: its defaults, checks and index conditions as texts, and also names, because
later scripts drop things by name. Only the name of the schema itself is removed from texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from magetui.engine.schema.facts import Fact, foreign_key_fact, table_name

if TYPE_CHECKING:
    from magetui.model.schema import EnumType, Index, TableDetail

UNREAD = "…"  # a backend returns it for a text that it would have to wait for
OWN_INDEX = "sqlite_autoindex_"  # the index that SQLite makes for a unique constraint
BEFORE_COLUMNS = re.compile(r'^.*?\sON\s+(?:"(?:[^"]|"")+"|[^\s(]+)\s*(?:USING\s+)?', re.IGNORECASE | re.DOTALL)

Spelled = Callable[[str], str]


def without_schemas(schemas: Iterable[str | None]) -> Spelled:
    """Return a function that removes these schemas as qualifiers from a text, and normalises its blanks."""
    written = [part for name in schemas if name for part in (name, '"' + name.replace('"', '""') + '"')]
    qualifier = re.compile(rf'(?<![\w$."])(?:{"|".join(map(re.escape, written))})\.') if written else None
    return lambda text: " ".join((qualifier.sub("", text) if qualifier else text).split())


def exact_facts(
    details: Iterable[TableDetail], default_schema: str | None, spelled: Spelled, types: Spelled | None = None
) -> dict[str, frozenset[Fact]]:
    """Return the facts of each table by its name. `types` spells the types, if that differs from other texts."""
    return {
        table_name(detail.table.name, detail.table.schema, default_schema): frozenset(
            _of_table(detail, default_schema, spelled, types or spelled)
        )
        for detail in details
    }


def exact_enums(types: Iterable[EnumType], default_schema: str | None) -> dict[str, tuple[str, ...]]:
    return {table_name(enum.name, enum.schema, default_schema): enum.values for enum in types}


def enum_facts(name: str, values: Iterable[str]) -> frozenset[Fact]:
    return frozenset({Fact("enum", name), *(Fact("enum-value", name, value, value) for value in values)})


def _of_table(detail: TableDetail, default_schema: str | None, spelled: Spelled, types: Spelled) -> Iterable[Fact]:
    table = table_name(detail.table.name, detail.table.schema, default_schema)
    yield Fact("table", table)
    for column in detail.columns:
        yield Fact("column", table, column.name)
        yield Fact("type", table, column.name, types(column.type))
        if column.name not in detail.primary_key:  # there it says nothing: SQLite reports what the script wrote
            yield Fact("null", table, column.name, "null" if column.nullable else "not null")
        yield Fact("default", table, column.name, spelled(column.default or ""))
    if detail.primary_key:
        yield Fact("primary-key", table, "", ", ".join(detail.primary_key))
    constraints = set()
    for constraint in detail.constraints:
        constraints.add(constraint.name)
        if constraint.kind == "unique":
            columns = ", ".join(constraint.columns)
            yield Fact("unique", table, "", columns)
            if constraint.name:
                yield Fact("name", table, f"unique ({columns})", constraint.name)
        elif constraint.name:
            yield Fact("check", table, constraint.name, spelled(constraint.definition))
        else:
            yield Fact("check", table, spelled(constraint.definition))
    for index in detail.indexes:
        if index.name not in constraints and not index.name.startswith(OWN_INDEX):
            yield Fact("index", table, index.name, _described(index, spelled))
    for key in detail.foreign_keys:
        to = table_name(key.referred_table, key.referred_schema, default_schema)
        yield foreign_key_fact(table, key.columns, to, key.referred_columns, key.on_delete)
        if key.name:
            yield Fact("name", table, f"foreign key ({', '.join(key.columns)})", key.name)


def _described(index: Index, spelled: Spelled) -> str:
    """Return the columns of an index, or its definition after the table's name; and whether it is unique or invalid."""
    columns = ", ".join(index.columns)
    if index.definition:
        columns = BEFORE_COLUMNS.sub("", spelled(index.definition), count=1)
    return ("unique: " if index.unique else "") + columns + ("" if index.valid else "; invalid")
