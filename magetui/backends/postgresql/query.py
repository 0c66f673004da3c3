"""Running a catalog query: as the driver's own tuples, and once more where the first try met a lock."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

INSUFFICIENT_PRIVILEGE = "42501"
LOCK_NOT_AVAILABLE = "55P03"
# The table was locked, or dropped (internal error, undefined table), after the query had looked. The second
# try sees the lock, or no longer sees the table.
WORTH_A_SECOND_TRY = frozenset({LOCK_NOT_AVAILABLE, "XX000", "42P01"})


@cache
def statement(name: str) -> str:
    """The text of sql/<name>.sql.

    `{locked_away}` in it stands for a common table expression with the tables that somebody has, or waits to
    have, ACCESS EXCLUSIVE on: on the table, one of its indexes, its TOAST table or that one's index.
    """
    text = _text(name)
    return text.replace("{locked_away}", _text("locked_away")) if "{locked_away}" in text else text


def _text(name: str) -> str:
    return (files("magetui.backends.postgresql") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def fetch(connection: Connection, sql: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """All rows of a query; parameters are psycopg2's `%(name)s`, and a literal percent sign is doubled.

    The rows are the driver's tuples: for thousands of tables SQLAlchemy's own rows would cost more than what
    is made of them. Raises SQLAlchemy's `DBAPIError`.
    """
    for last_try in (False, True):
        try:
            result = connection.exec_driver_sql(sql, dict(parameters))
        except DBAPIError as error:
            if last_try or sqlstate(error) not in WORTH_A_SECOND_TRY:
                raise
        else:
            break
    assert result.cursor is not None
    rows: list[tuple[Any, ...]] = list(result.cursor.fetchall())
    result.close()
    return rows


def sqlstate(error: DBAPIError) -> str | None:
    """The five characters of the manual's appendix A; None where the server did not speak."""
    return getattr(error.orig, "pgcode", None)
