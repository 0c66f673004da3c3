"""Answers that several backends give: why a table was not counted or is no version table, and an error's origin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DBAPIError

from magetui.model.schema import Counted, Table, Wanted

NO_TIME_TO_COUNT = "there was no time left to count"
COUNTING_TOOK_TOO_LONG = "counting took too long"
NO_TIME_TO_LOOK = "there was no time left to look at the rows"
LOOKING_TOOK_TOO_LONG = "looking at the rows took too long"
READING_TOOK_TOO_LONG = "reading the rows took too long"
DATABASE_IS_LOCKED = "somebody has the database locked"
TABLE_IS_LOCKED = "somebody has the table locked"


def no_version_column(table: str) -> str:
    """Return why a table with the version table's name is no version table."""
    return f"{table} has no column version_num, so it is not a version table of Alembic's."


def not_counted(table: Table, wanted: Sequence[Wanted], problem: str) -> tuple[Counted, ...]:
    """Return the estimated number of rows; there is no estimate for columns and values."""
    return tuple(Counted(None if item.column else table.rows, exact=False, problem=problem) for item in wanted)


def driver_module(dialect: Dialect) -> Any:
    """Return the module of a dialect's driver."""
    return dialect.dbapi  # SQLAlchemy 1.4 has no `loaded_dbapi`


def original(error: BaseException) -> BaseException:
    """Return the driver's error in an error of SQLAlchemy."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
