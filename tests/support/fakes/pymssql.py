"""A fake of pymssql in front of the fake SQL Server, with the errors that its `_pymssql.pyx` raises.

An error's arguments are the number and the text as bytes. If connecting fails, both are in one tuple.
"""

from __future__ import annotations

import sys
from typing import Any

from tests.support.fakes import dbapi
from tests.support.fakes.dbapi import (
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

__all__ = [
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
__version__ = "2.4.6"
apilevel, threadsafety, paramstyle = "2.0", 1, "pyformat"
SKIPS_EMPTY = True
GENERAL = "General SQL Server error: Check messages from the SQL Server"


def shaped(number: int, text: str) -> Exception:
    kind = ProgrammingError if number in (208, 2812) else OperationalError
    message = f"{text}DB-Lib error message 20018, severity 16:\n{GENERAL}\n".encode()
    return kind((number, message)) if number == 18456 else kind(number, message)


class Connection(dbapi.Connection):
    def autocommit(self, status: bool) -> None:
        self._link.autocommit = status


def connect(*, host: str, user: str, password: str, database: str, appname: str = "pymssql", **_: Any) -> Connection:
    keywords = {"server": host, "uid": user, "pwd": password, "database": database, "app": appname}
    driver = sys.modules[__name__]
    return Connection(dbapi.opened(driver, keywords), driver)
