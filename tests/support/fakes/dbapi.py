"""The common part of the fake drivers: the DB-API (PEP 249) in front of a session of the fake SQL Server."""

from __future__ import annotations

import re
from typing import Any

from tests.support.fakes.link import Link, Result, ServerError


class Error(Exception):
    """The base class of the DB-API's errors; only mssql-python sets `ddbc_error`."""

    ddbc_error = ""


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


class Cursor:
    """A DB-API cursor; `driver` is the driver's module, whose `shaped` makes the driver's errors."""

    def __init__(self, link: Link, driver: Any) -> None:
        self._link, self._driver = link, driver
        self._results: list[Result] = []
        self.description: list[tuple[Any, ...]] | None = None
        self.rowcount = -1

    def execute(self, sql: str, parameters: Any = None) -> Cursor:
        try:
            self._results = self._link.run(_written(sql, parameters))
        except ServerError as error:
            raise self._driver.shaped(error.number, error.text) from None
        # FreeTDS skips to the first result with columns; an ODBC driver returns an empty result first.
        while self._driver.SKIPS_EMPTY and len(self._results) > 1 and self._results[0][0] is None:
            self._results.pop(0)
        self._show()
        return self

    def _show(self) -> None:
        names, rows = self._results[0]
        self.description = None if names is None else [(name, None, None, None, None, None, None) for name in names]
        self._rows = list(rows)
        self.rowcount = self._link.rowcount

    def nextset(self) -> bool | None:
        self._results.pop(0)
        if not self._results:
            return None
        self._show()
        return True

    def fetchall(self) -> list[tuple[Any, ...]]:
        if self.description is None:
            raise self._driver.shaped(0, "No results. Previous SQL was not a query.")
        rows, self._rows = self._rows, []
        return rows

    def fetchone(self) -> tuple[Any, ...] | None:
        return self._rows.pop(0) if self._rows else None

    def setinputsizes(self, _sizes: Any) -> None:
        """Do nothing: the types are SQLite's."""

    def cancel(self) -> None:
        """Cancel the statement, from another thread while this one is in `execute`. Only pyodbc has this method."""
        self._link.cancelled = True

    def close(self) -> None:
        """Do nothing: a cursor has no resources."""


def _written(sql: str, parameters: Any) -> str:
    """Return the text with the values of its parameters, as FreeTDS sends it."""
    if not parameters:
        return sql
    if isinstance(parameters, dict):
        return sql % {name: _literal(value) for name, value in parameters.items()}
    values = iter(parameters)
    return re.sub(r"\?", lambda _: _literal(next(values)), sql)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "N'" + str(value).replace("'", "''") + "'"


class Connection:
    """A DB-API connection without `autocommit`, which the drivers define in different ways."""

    def __init__(self, link: Link, driver: Any) -> None:
        self._link, self._driver = link, driver

    def cursor(self) -> Cursor:
        return Cursor(self._link, self._driver)

    def commit(self) -> None:
        self._link.commit()

    def rollback(self) -> None:
        try:
            self._link.rollback()
        except ServerError as error:
            raise self._driver.shaped(error.number, error.text) from None

    def close(self) -> None:
        self._link.close()


class OdbcConnection(Connection):
    """A connection of the drivers that use ODBC: `autocommit` is a property."""

    timeout = 0

    @property
    def autocommit(self) -> bool:
        return self._link.autocommit

    @autocommit.setter
    def autocommit(self, status: bool) -> None:
        self._link.autocommit = status


def opened(driver: Any, keywords: dict[str, str]) -> Link:
    """Return a session for a connection string's keywords in lower case. Raises the driver's error."""
    try:
        return Link(
            keywords["database"], keywords["uid"], keywords.get("pwd", ""), keywords.get("app", driver.__name__)
        )
    except ServerError as error:
        raise driver.shaped(error.number, error.text) from None


def keywords_of(connection_string: str) -> dict[str, str]:
    """Return the keywords of an ODBC connection string ([MS-ODBCSTR]: a brace inside braces is written twice)."""
    matches = re.finditer(r"\s*([^=;]+?)\s*=\s*(?:\{((?:[^}]|\}\})*)\}|([^;]*))\s*(?:;|$)", connection_string)
    return {
        name.lower(): (braced or "").replace("}}", "}") or plain or ""
        for name, braced, plain in (match.groups() for match in matches)
    }
