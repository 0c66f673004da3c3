"""Catalog queries: they return the driver's own tuples, and are repeated once if a lock stopped the first attempt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from magetui.backends import query

INSUFFICIENT_PRIVILEGE = "42501"
LOCK_NOT_AVAILABLE = "55P03"
# The table was locked, or dropped (internal error, undefined table), after the query had read pg_locks. The second
# attempt sees the lock, or no longer sees the table.
WORTH_A_SECOND_TRY = frozenset({LOCK_NOT_AVAILABLE, "XX000", "42P01"})


@cache
def statement(name: str) -> str:
    """Return the text of sql/<name>.sql.

    `{locked_away}` in it becomes the list of the tables on which another session holds, or awaits, ACCESS EXCLUSIVE.
    """
    text = _text(name)
    return text.replace("{locked_away}", _text("locked_away")) if "{locked_away}" in text else text


def _text(name: str) -> str:
    return (files("magetui.backends.postgresql") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def fetch(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return all rows of a query. `%(name)s` is a parameter, `%%` a percent sign. Raises SQLAlchemy's `DBAPIError`."""
    try:
        return query.fetch(connection, sql, parameters)
    except DBAPIError as error:
        if sqlstate(error) not in WORTH_A_SECOND_TRY:
            raise
    return query.fetch(connection, sql, parameters)


def sqlstate(error: DBAPIError) -> str | None:
    """Return the error code of the manual's appendix A; None if the error is not the server's."""
    return getattr(error.orig, "pgcode", None)


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier. The percent sign is doubled for psycopg2."""
    return query.identifier(name).replace("%", "%%")


def folded(name: str) -> str:
    """Return an identifier of an SQL text in the catalog's form: unquoted, or in lower case (manual, 4.1.1)."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
