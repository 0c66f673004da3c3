"""Names for the constraints that a script leaves to PostgreSQL. Later scripts drop them by these names.

A constraint keeps its name when its table or a column is renamed, so the name is chosen when the constraint is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from magetui.model import operations as ops
from magetui.model.identifiers import chosen_name

if TYPE_CHECKING:
    from magetui.engine.evidence.table_state import TableState

T = TypeVar("T", ops.CreateTable, ops.AddConstraint)
LABELS = {"primary": "pkey", "unique": "key", "foreign": "fkey"}


def with_chosen_names(operation: T, others: Iterable[TableState]) -> T:
    """Return the operation with a name for each constraint; `others` are the tables of the same schema."""
    taken: set[str] | None = None

    def chosen(name: str | None, kind: str, columns: tuple[str, ...]) -> str | None:
        nonlocal taken
        if name or kind not in LABELS:
            return name
        taken = set(_names(others)) if taken is None else taken
        name = chosen_name(operation.table, () if kind == "primary" else columns, LABELS[kind], taken)
        taken.add(name)
        return name

    if isinstance(operation, ops.AddConstraint):
        key = operation.foreign_key
        columns = operation.columns if key is None else key.columns
        return replace(operation, name=chosen(operation.name, operation.constraint, columns))
    return replace(
        operation,
        primary_key_name=chosen(operation.primary_key_name, "primary", ()) if operation.primary_key else None,
        constraints=tuple(replace(c, name=chosen(c.name, c.kind, c.columns)) for c in operation.constraints),
        foreign_keys=tuple(replace(k, name=chosen(k.name, "foreign", k.columns)) for k in operation.foreign_keys),
    )


def _names(tables: Iterable[TableState]) -> Iterator[str]:
    for table in tables:
        yield from (*table.uniques, *table.foreign_keys, *table.indexes, *table.checks)
        yield from (table.primary_key_name,) if table.primary_key_name else ()
