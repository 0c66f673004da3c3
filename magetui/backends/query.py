"""Queries on SQLAlchemy's cursor that return the driver's own tuples, and parts of catalogs that are read from them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection

from magetui.model.schema import Table, TableDetail

Key = TypeVar("Key", bound=Hashable)


def fetch(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return all rows as the driver's tuples: SQLAlchemy's own would cost more than the objects made from them."""
    result = connection.exec_driver_sql(sql, dict(parameters))
    assert result.cursor is not None
    rows: list[tuple[Any, ...]] = list(result.cursor.fetchall())
    result.close()
    return rows


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def table_details(listed: Iterable[tuple[Key, Table]], *parts: Mapping[Key, Sequence[Any]]) -> tuple[TableDetail, ...]:
    """Return the details of the listed tables. `parts` has the fields of `TableDetail` in their order, by key."""
    return tuple([TableDetail(table, *(tuple(part.get(key, ())) for part in parts)) for key, table in listed])
