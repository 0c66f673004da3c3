"""Queries on the driver's own cursor, past SQLAlchemy."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from importlib.resources import files
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from magetui.backends.mssql.failures import NO_TRANSACTION, UNSEEN, error_number

CONTEXT_LIMIT = 128  # bytes


@cache
def _statement_text(name: str) -> str:
    return (files("magetui.backends.mssql") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def statement(name: str, /, **values: str) -> str:
    """The text of sql/<name>.sql, with SQL literals for its names in braces."""
    return _statement_text(name).format(**values)


def fetch(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a statement, past SQLAlchemy: it is none of the migration's. Raises SQLAlchemy's `DBAPIError`."""
    raw = connection.connection.dbapi_connection
    if raw is None:
        raise InvalidRequestError("The connection is closed.")
    return run(connection.dialect, raw, sql)


def fetch_if_allowed(connection: Connection, sql: str) -> list[tuple[Any, ...]] | None:
    """The rows; None where the view is forbidden to this login, not there, or locked: then less is shown."""
    try:
        return fetch(connection, sql)
    except DBAPIError as error:
        if error.connection_invalidated or error_number(error.orig) not in UNSEEN:
            raise
        return None


def run(dialect: Dialect, raw: Any, sql: str) -> list[tuple[Any, ...]]:
    """The rows of the one result set that has any, of however many there are; an error may come with the last."""
    driver_error = dialect.loaded_dbapi.Error
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


def forgive_rollback(dialect: Dialect) -> None:
    """Let a rollback be done where the server has done it already.

    After some errors it ends the transaction by itself, and a ROLLBACK then fails with 3903, which would take the
    place of the first error. SQLAlchemy has no event around it, and the engines of an env.py are not ours to make.
    """
    if "do_rollback" in vars(dialect):
        return
    roll_back = dialect.do_rollback

    def forgiving(raw: Any) -> None:
        try:
            roll_back(raw)
        except dialect.loaded_dbapi.Error as error:
            if error_number(error) != NO_TRANSACTION:
                raise

    dialect.do_rollback = forgiving  # type: ignore[method-assign, assignment]


def name_session(application_name: str) -> str:
    return f"set context_info 0x{application_name.encode()[:CONTEXT_LIMIT].hex()}"


def application_of(context: bytes | None, program: str | None) -> str | None:
    """Our own name, where a session has one, else its program's."""
    said = bytes(context or b"").rstrip(b"\0").decode(errors="replace")
    return said if said.startswith("magetui") else program or None


def literal(value: str | None) -> str:
    """As an SQL literal: in T-SQL nothing but a quote has a meaning inside quotes."""
    return "null" if value is None else "N'" + value.replace("'", "''") + "'"


def quoted(name: str) -> str:
    return "[" + name.replace("]", "]]") + "]"
