"""Queries on SQLAlchemy's cursor that return the driver's own tuples, and parts of catalogs that are read from them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from magetui.model.schema import Table, TableDetail
from magetui.model.surroundings import Found

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, CursorResult

SHOWN_ROWS = 3
SHOWN_CHARACTERS = 60
Key = TypeVar("Key", bound=Hashable)


def fetch(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return all rows as the driver's tuples: SQLAlchemy's own would cost more than the objects made from them."""
    result = connection.exec_driver_sql(sql, dict(parameters))
    assert result.cursor is not None
    rows: list[tuple[Any, ...]] = list(result.cursor.fetchall())
    result.close()
    return rows


def found(result: CursorResult[Any]) -> Found:
    """Return some of a query's rows, of which the last column is the number of all rows."""
    rows = [tuple(row) for row in result]
    if not rows:
        return Found()
    return Found(rows[0][-1], tuple(result.keys())[:-1], tuple(tuple(map(_shown, row[:-1])) for row in rows))


def first_rows(sql: str) -> str:
    """Return a query for the first rows of another one, each with the number of all its rows."""
    return f"select *, count(*) over () from ({sql.rstrip('; ')}) found limit {SHOWN_ROWS}"


def _shown(value: object) -> str | None:
    text = " ".join(str(value).split())
    cut = text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
    return None if value is None else cut


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def table_details(listed: Iterable[tuple[Key, Table]], *parts: Mapping[Key, Sequence[Any]]) -> tuple[TableDetail, ...]:
    """Return the details of the listed tables. `parts` has the fields of `TableDetail` in their order, by key."""
    return tuple([TableDetail(table, *(tuple(part.get(key, ())) for part in parts)) for key, table in listed])
