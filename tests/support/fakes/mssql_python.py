"""A fake of Microsoft's mssql-python in front of the fake SQL Server: an error has a text and no number."""

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
__version__ = "1.16.0"
apilevel, threadsafety, paramstyle = "2.0", 1, "pyformat"
SKIPS_EMPTY = False


class ConnectionStringParseError(Exception):
    """No subclass of the DB-API's Error, as in the driver."""


def pooling(**_: Any) -> None:
    """Do nothing; SQLAlchemy calls this to turn pooling off."""


def shaped(number: int, text: str) -> Exception:
    is_login = number == 18456
    driver_error = "Invalid authorization specification" if is_login else "Syntax error or access violation"
    ddbc_error = f"[Microsoft][SQL Server]{text}"
    kind: type[Error] = OperationalError if is_login else ProgrammingError
    error = kind(f"Driver Error: {driver_error}; DDBC Error: {ddbc_error}")
    error.ddbc_error = ddbc_error
    return error


def connect(connection_string: str, **_: Any) -> dbapi.OdbcConnection:
    keywords = dbapi.keywords_of(connection_string)
    if reserved := {"app", "driver"} & set(keywords):
        raise ConnectionStringParseError(
            f"Connection string parsing failed:\n  Reserved keyword '{min(reserved)}' is controlled by the driver"
        )
    driver = sys.modules[__name__]
    return dbapi.OdbcConnection(dbapi.opened(driver, keywords), driver)
