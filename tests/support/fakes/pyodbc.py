"""A fake of pyodbc in front of the fake SQL Server: an error has a SQLSTATE and a text with the number."""

from __future__ import annotations

import sys
from typing import Any

from tests.support.fakes import dbapi
from tests.support.fakes.dbapi import (
    Cursor,
    DatabaseError,
    DataError,
    Error,
    IntegrityError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from tests.support.fakes.link import CANCELLED

__all__ = [
    "Cursor",
    "DataError",
    "DatabaseError",
    "Error",
    "IntegrityError",
    "InterfaceError",
    "InternalError",
    "NotSupportedError",
    "OperationalError",
    "ProgrammingError",
]
version = "5.3.0"
apilevel, threadsafety, paramstyle = "2.0", 1, "qmark"
SKIPS_EMPTY = False
SQL_WVARCHAR, SQL_VARCHAR, SQL_WLONGVARCHAR, SQL_DECIMAL, SQL_TYPE_TIMESTAMP, SQL_LONGVARBINARY = range(6)


def shaped(number: int, text: str) -> Exception:
    if number == CANCELLED:
        return Error("HY008", f"[HY008] [Microsoft][ODBC Driver 18 for SQL Server]{text} (0) (SQLExecDirectW)")
    states: dict[int, tuple[str, type[Error]]] = {18456: ("28000", InterfaceError), 208: ("42S02", ProgrammingError)}
    state, kind = states.get(number, ("42000", ProgrammingError))
    message = f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{text} ({number}) (SQLExecDirectW)"
    return kind(state, message)


class Connection(dbapi.OdbcConnection):
    def add_output_converter(self, _kind: int, _function: Any) -> None:
        """Do nothing: the fake server has no DATETIMEOFFSET."""


def connect(connection_string: str, **more: Any) -> Connection:
    keywords = {**dbapi.keywords_of(connection_string), "app": str(more.get("APP", "pyodbc"))}
    driver = sys.modules[__name__]
    return Connection(dbapi.opened(driver, keywords), driver)
