"""The objects of a schema, made from the details of its tables, for a dialect without a query of its own for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from magetui.model.schema_change import SchemaObject

if TYPE_CHECKING:
    from magetui.model.schema import TableDetail


def objects_of(details: Iterable[TableDetail]) -> Iterator[SchemaObject]:
    """Yield the tables with their columns, indexes, foreign keys and other constraints."""
    for detail in details:
        table = ".".join(filter(None, (detail.table.schema, detail.table.name)))
        key = ", ".join(detail.primary_key)
        yield SchemaObject("table", table, {"owner": detail.table.owner or "", "primary key": key})
        for column in detail.columns:
            null = "null" if column.nullable else "not null"
            aspects = {"type": column.type, "null": null, "default": column.default or ""}
            yield SchemaObject("column", f"{table}.{column.name}", aspects, table)
        for index in detail.indexes:
            state = "valid" if index.valid else "invalid"
            aspects = {"state": state, "columns": ", ".join(index.columns), "unique": str(index.unique)}
            yield SchemaObject("index", f"{table}.{index.name}", aspects, table)
        for foreign_key in detail.foreign_keys:
            columns, referred = (", ".join(names) for names in (foreign_key.columns, foreign_key.referred_columns))
            refers = f"{columns} to {foreign_key.referred_table} ({referred}) {foreign_key.on_delete or ''}"
            yield SchemaObject("constraint", f"{table}.{foreign_key.name or refers}", {"refers": refers}, table)
        for constraint in detail.constraints:
            name = f"{table}.{constraint.name or constraint.definition}"
            yield SchemaObject("constraint", name, {"definition": constraint.definition}, table)
