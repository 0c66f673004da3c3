"""Stands for pyodbc in front of tests/fake_sqlserver.py: a SQLSTATE, and a text with the number in brackets."""

from __future__ import annotations

import sys
from typing import Any

from tests.support.fake_sqlserver import CANCELLED
from tests.support.fakes import dbapi

version = "5.3.0"
apilevel, threadsafety, paramstyle = "2.0", 1, "qmark"
SKIPS_EMPTY = False
SQL_WVARCHAR, SQL_VARCHAR, SQL_WLONGVARCHAR, SQL_DECIMAL, SQL_TYPE_TIMESTAMP, SQL_LONGVARBINARY = range(6)
Cursor = dbapi.Cursor


class Error(Exception):
    pass


class InterfaceError(Error):
    pass


class DatabaseError(Error):
    pass


class OperationalError(DatabaseError):
    pass


class ProgrammingError(DatabaseError):
    pass


class IntegrityError(DatabaseError):
    pass


DataError = InternalError = NotSupportedError = DatabaseError


def shaped(number: int, text: str) -> Exception:
    if number == CANCELLED:
        return Error("HY008", f"[HY008] [Microsoft][ODBC Driver 18 for SQL Server]{text} (0) (SQLExecDirectW)")
    state, kind = {18456: ("28000", InterfaceError), 208: ("42S02", ProgrammingError)}.get(
        number, ("42000", ProgrammingError)
    )
    said = f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{text} ({number}) (SQLExecDirectW)"
    return kind(state, said)


class Connection(dbapi.Connection):
    timeout = 0

    @property
    def autocommit(self) -> bool:
        return self._link.autocommit

    @autocommit.setter
    def autocommit(self, status: bool) -> None:
        self._link.autocommit = status

    def add_output_converter(self, _kind: int, _function: Any) -> None:
        """There is no DATETIMEOFFSET here."""


def connect(connection_string: str, **more: Any) -> Connection:
    keywords = {**dbapi.keywords_of(connection_string), "app": str(more.get("APP", "pyodbc"))}
    driver = sys.modules[__name__]
    return Connection(dbapi.opened(driver, keywords), driver)
