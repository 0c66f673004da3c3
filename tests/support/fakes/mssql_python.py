"""Stands for Microsoft's mssql-python in front of tests/fake_sqlserver.py: an error is words alone, no number."""

from __future__ import annotations

import sys
from typing import Any

from tests.support.fakes import dbapi

__version__ = "1.16.0"
apilevel, threadsafety, paramstyle = "2.0", 1, "pyformat"
SKIPS_EMPTY = False


class ConnectionStringParseError(Exception):
    """No DB-API error, in the driver too."""


class Error(Exception):
    def __init__(self, driver_error: str, ddbc_error: str) -> None:
        self.driver_error, self.ddbc_error = driver_error, ddbc_error
        super().__init__(f"Driver Error: {driver_error}; DDBC Error: {ddbc_error}")


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


def pooling(**_: Any) -> None:
    """SQLAlchemy turns it off."""


def shaped(number: int, text: str) -> Exception:
    if number == 18456:
        return OperationalError("Invalid authorization specification", f"[Microsoft][SQL Server]{text}")
    return ProgrammingError("Syntax error or access violation", f"[Microsoft][SQL Server]{text}")


class Connection(dbapi.Connection):
    timeout = 0

    @property
    def autocommit(self) -> bool:
        return self._link.autocommit

    @autocommit.setter
    def autocommit(self, status: bool) -> None:
        self._link.autocommit = status


def connect(connection_string: str, **_: Any) -> Connection:
    keywords = dbapi.keywords_of(connection_string)
    if reserved := {"app", "driver"} & set(keywords):
        raise ConnectionStringParseError(
            f"Connection string parsing failed:\n  Reserved keyword '{min(reserved)}' is controlled by the driver"
        )
    driver = sys.modules[__name__]
    return Connection(dbapi.opened(driver, keywords), driver)
