"""The facts that a schema shows of a table, which a server reports or operations produce."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from magetui.engine.evidence.table_state import TableState
from magetui.engine.schema.facts import Fact, column_facts, default_of, foreign_key_fact, index_fact, type_of
from magetui.model.operations import AlterColumn
from magetui.model.schema import ForeignKey


def table_facts(
    table: TableState, dialect: str, referred_name: Callable[[ForeignKey], str], tables: Mapping[str, TableState]
) -> Iterable[Fact]:
    """Yield the facts. `referred_name` names the table of a foreign key, as `tables` has it."""
    yield Fact("table", table.name)
    for column in table.columns.values():
        yield from column_facts(table.name, column, dialect, key=column.name in table.primary_key)
    for altered in table.altered.values():
        yield from _altered_facts(table.name, altered, dialect)
    if table.primary_key:
        yield Fact("primary-key", table.name, "", ", ".join(table.primary_key))
    for index in table.indexes.values():
        # An invalid index serves nobody: the operation that makes it is not done.
        if index.valid and not (index.unique and index.columns == table.primary_key):
            yield index_fact(table.name, index.name, index.columns, unique=index.unique)
    for columns in table.uniques.values():
        if columns != table.primary_key:
            yield index_fact(table.name, "", columns, unique=True)
    for check in table.checks:
        yield Fact("check", table.name, check)
    for key in table.foreign_keys.values():
        referred = tables.get(referred_name(key))
        columns = key.referred_columns or (referred.primary_key if referred is not None else ())
        yield foreign_key_fact(table.name, key.columns, referred_name(key), columns, key.on_delete)


def _altered_facts(table: str, column: AlterColumn, dialect: str) -> Iterable[Fact]:
    """Yield what is known of an altered column. Nullability is left out: the column may be of the primary key."""
    yield Fact("column", table, column.column)
    kind = None if column.type is None else type_of(column.type, dialect)
    if kind is not None:
        yield Fact("type", table, column.column, kind)
    if column.drops_default:
        yield Fact("default", table, column.column)
    elif kind is not None and column.default is not None:  # the spelling of a default depends on the type
        yield Fact("default", table, column.column, default_of(column.default, kind))
