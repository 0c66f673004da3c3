"""Our own queries on SQL Server, on the driver's cursor instead of SQLAlchemy's.

The values are written into the text, because each driver marks parameters in another way. A query may return several
result sets, and the first of them may be empty.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any

from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from magetui.backends.mssql.bounded import calls_of
from magetui.backends.mssql.failures import LOCK_TIMEOUT, UNSEEN, error_number
from magetui.backends.problems import driver_module

CONTEXT_LIMIT = 128  # bytes
UNCOMMITTED_SQL = "set transaction isolation level read uncommitted; {sql}"
COMMITTED_SQL = "set transaction isolation level read committed"


@cache
def statement(name: str, /, **values: str) -> str:
    """Return the text of sql/<name>.sql; SQL literals replace the names in braces."""
    return (files("magetui.backends.mssql") / "sql" / f"{name}.sql").read_text(encoding="utf-8").format(**values)


def fetch(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """Return all rows of a statement that is not the migration's own. Raises SQLAlchemy's `DBAPIError`."""
    raw = connection.connection.dbapi_connection
    if raw is None:
        raise InvalidRequestError("The connection is closed.")
    calls = calls_of(connection)
    if calls is None:
        return run(connection.dialect, raw, sql)
    return calls.answered(raw, sql, lambda: run(connection.dialect, raw, sql))


def fetch_if_allowed(connection: Connection, sql: str) -> list[tuple[Any, ...]] | None:
    """Return all rows; None if this login may not read the view, or if the view is missing or locked."""
    try:
        return fetch(connection, sql)
    except DBAPIError as error:
        if error.connection_invalidated or error_number(error.orig) not in UNSEEN:
            raise
        return None


def fetch_catalog(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """Return all rows of a query on catalog views, which wait for any session that has changed the schema.

    If such a session has not committed, the rows are read as it has left them (SET TRANSACTION ISOLATION LEVEL, READ
    UNCOMMITTED): a diagnosis must be possible while another migration is open. Rows of tables are never read so.
    """
    try:
        return fetch(connection, sql)
    except DBAPIError as error:
        if error.connection_invalidated or error_number(error.orig) != LOCK_TIMEOUT:
            raise
    try:
        return fetch(connection, UNCOMMITTED_SQL.format(sql=sql))
    finally:
        fetch(connection, COMMITTED_SQL)


def run(dialect: Dialect, raw: Any, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of all result sets; an error may come with the last one. Raises SQLAlchemy's `DBAPIError`."""
    driver_error = driver_module(dialect).Error
    cursor = None
    try:
        cursor = raw.cursor()
        cursor.execute(sql)
        rows: list[tuple[Any, ...]] = []
        while True:
            if cursor.description is not None:
                rows += [tuple(row) for row in cursor.fetchall()]
            if not cursor.nextset():
                return rows
    except driver_error as error:
        broken = dialect.is_disconnect(error, raw, None)
        raise DBAPIError.instance(
            sql, None, error, driver_error, hide_parameters=True, connection_invalidated=broken, dialect=dialect
        ) from error
    finally:
        if cursor is not None:
            with suppress(driver_error):
                cursor.close()


def name_session(application_name: str) -> str:
    """Return the statement that stores the application name in the session's CONTEXT_INFO."""
    return f"set context_info 0x{application_name.encode()[:CONTEXT_LIMIT].hex()}"


def application_of(context: bytes | None, program: str | None) -> str | None:
    """Return the application name from CONTEXT_INFO if the session is ours, else the session's program name."""
    name = bytes(context or b"").rstrip(b"\0").decode(errors="replace")
    return name if name.startswith("magetui") else program or None


def literal(value: str | None) -> str:
    """Return the value as an SQL literal. In T-SQL, only a quote has a meaning inside quotes."""
    return "null" if value is None else "N'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    return "[" + name.replace("]", "]]") + "]"
