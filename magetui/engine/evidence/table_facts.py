"""The facts that a schema shows of a table state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from magetui.engine.schema.facts import Fact, column_facts, default_of, foreign_key_fact, index_fact, type_of
from magetui.model.schema import ForeignKey

if TYPE_CHECKING:
    from magetui.engine.evidence.table_state import TableState

Referred = Callable[[ForeignKey], tuple[str, tuple[str, ...]]]


def table_facts(table: TableState, dialect: str, referred: Referred) -> Iterator[Fact]:
    """Yield the facts of a table. `referred` returns the table and the columns that a foreign key refers to."""
    yield Fact("table", table.name)
    yield from _column_facts(table, dialect)
    if table.primary_key:
        yield Fact("primary-key", table.name, "", ", ".join(table.primary_key))
    for index in table.indexes.values():
        # An invalid index serves nobody: the operation that makes it is not done.
        if index.valid and not (index.unique and index.columns == table.primary_key):
            yield index_fact(table.name, index.name, index.columns, unique=index.unique)
    for columns in table.uniques.values():
        if columns != table.primary_key:
            yield index_fact(table.name, "", columns, unique=True)
    for check in (Fact("check", table.name, name) for name in table.checks):
        if check.place not in table.doubtful:
            yield check
    for key in table.foreign_keys.values():
        yield foreign_key_fact(table.name, key.columns, *referred(key), key.on_delete)


def _column_facts(table: TableState, dialect: str) -> Iterator[Fact]:
    for column in table.columns.values():
        yield from column_facts(table.name, column, dialect, key=column.name in table.primary_key)
    for altered in table.altered.values():  # nothing is known of nulls: the column may be of the primary key
        yield Fact("column", table.name, altered.column)
        kind = None if altered.type is None else type_of(altered.type, dialect)
        if kind is not None:
            yield Fact("type", table.name, altered.column, kind)
        if altered.drops_default:
            yield Fact("default", table.name, altered.column)
        elif kind is not None and altered.default is not None:  # the spelling of a default depends on the type
            yield Fact("default", table.name, altered.column, default_of(altered.default, kind))
