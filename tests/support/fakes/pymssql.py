"""Stands for pymssql in front of tests/fake_sqlserver.py: errors as its own `_pymssql.pyx` raises them.

The number comes first, then bytes; of a connection that is not made, both in one tuple.
"""

from __future__ import annotations

import sys
from typing import Any

from tests.support.fakes import dbapi

__version__ = "2.4.6"
apilevel, threadsafety, paramstyle = "2.0", 1, "pyformat"
SKIPS_EMPTY = True
GENERAL = "General SQL Server error: Check messages from the SQL Server"


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
    kind = ProgrammingError if number in (208, 2812) else OperationalError
    said = f"{text}DB-Lib error message 20018, severity 16:\n{GENERAL}\n"
    if number == 18456:
        return kind((number, said.encode()))
    return kind(number, said.encode())


class Connection(dbapi.Connection):
    def autocommit(self, status: bool) -> None:
        self._link.autocommit = status


def connect(*, host: str, user: str, password: str, database: str, appname: str = "pymssql", **_: Any) -> Connection:
    keywords = {"server": host, "uid": user, "pwd": password, "database": database, "app": appname}
    driver = sys.modules[__name__]
    return Connection(dbapi.opened(driver, keywords), driver)
