"""A schema's facts in the very words of its server, for two schemas that were made by servers alike.

Evidence compares what scripts say with what a server says, and keeps to what both spell alike (`facts`). A replayed
schema needs no such care: its defaults, checks and conditions of indexes are compared as texts, and names as well,
since later scripts drop things by name. Only the name of the schema itself is taken out of texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from magetui.engine.schema.facts import Fact, foreign_key_fact, table_name
from magetui.model.schema import EnumType, Index, TableDetail

UNREAD = "…"  # what a backend gives for what it would have to wait for
OWN_INDEX = "sqlite_autoindex_"  # SQLite's own, of a unique constraint
BEFORE_COLUMNS = re.compile(r'^.*?\sON\s+(?:"(?:[^"]|"")+"|[^\s(]+)\s*(?:USING\s+)?', re.IGNORECASE | re.DOTALL)

Spelled = Callable[[str], str]


def without_schemas(schemas: Iterable[str | None]) -> Spelled:
    """What takes the names of these schemas, as qualifiers, out of a text, and evens out its blanks."""
    written = [part for name in schemas if name for part in (name, '"' + name.replace('"', '""') + '"')]
    qualifier = re.compile(rf'(?<![\w$."])(?:{"|".join(map(re.escape, written))})\.') if written else None
    return lambda text: " ".join((qualifier.sub("", text) if qualifier else text).split())


def exact_facts(
    details: Iterable[TableDetail], usual: str | None, spelled: Spelled, types: Spelled | None = None
) -> dict[str, frozenset[Fact]]:
    """The facts of each table, by its name; `usual` is the schema where unqualified names go.

    `types` evens out the names of types where another text than `spelled` makes of them means the same.
    """
    return {
        table_name(one.table.name, one.table.schema, usual): frozenset(_of_table(one, usual, spelled, types or spelled))
        for one in details
    }


def exact_enums(types: Iterable[EnumType], usual: str | None) -> dict[str, tuple[str, ...]]:
    """The values of each enum type, by its name."""
    return {table_name(one.name, one.schema, usual): one.values for one in types}


def enum_facts(name: str, values: Iterable[str]) -> frozenset[Fact]:
    return frozenset({Fact("enum", name), *(Fact("enum-value", name, one, one) for one in values)})


def _of_table(detail: TableDetail, usual: str | None, spelled: Spelled, types: Spelled) -> Iterable[Fact]:
    table = table_name(detail.table.name, detail.table.schema, usual)
    yield Fact("table", table)
    for column in detail.columns:
        yield Fact("column", table, column.name)
        yield Fact("type", table, column.name, types(column.type))
        yield Fact("null", table, column.name, "null" if column.nullable else "not null")
        yield Fact("default", table, column.name, spelled(column.default or ""))
    if detail.primary_key:
        yield Fact("primary-key", table, "", ", ".join(detail.primary_key))
    constraints = set()
    for one in detail.constraints:
        constraints.add(one.name)
        if one.kind == "unique":
            columns = ", ".join(one.columns)
            yield Fact("unique", table, "", columns)
            if one.name:
                yield Fact("name", table, f"unique ({columns})", one.name)
        elif one.name:
            yield Fact("check", table, one.name, spelled(one.definition))
        else:
            yield Fact("check", table, spelled(one.definition))
    for index in detail.indexes:
        if index.name not in constraints and not index.name.startswith(OWN_INDEX):
            yield Fact("index", table, index.name, _described(index, spelled))
    for key in detail.foreign_keys:
        to = table_name(key.referred_table, key.referred_schema, usual)
        yield foreign_key_fact(table, key.columns, to, key.referred_columns, key.on_delete)
        if key.name:
            yield Fact("name", table, f"foreign key ({', '.join(key.columns)})", key.name)


def _described(index: Index, spelled: Spelled) -> str:
    """Its columns, or what its definition says behind the table's name; and what else is to be known of it."""
    said = ", ".join(index.columns)
    if index.definition:
        said = BEFORE_COLUMNS.sub("", spelled(index.definition), count=1)
    return ("unique: " if index.unique else "") + said + ("" if index.valid else "; invalid")
