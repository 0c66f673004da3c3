"""Connections to SQL Server through pyodbc, pymssql, pytds or mssql-python.

A session's name cannot be set after the login, so CONTEXT_INFO holds our application name: every driver can set it. No
session can be made read-only. A reader is read-only because this package sends nothing but SELECT on it
(ApplicationIntent=ReadOnly would connect to a secondary replica, whose data lags behind).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from magetui.backends.base import CONNECT_TIMEOUT_SECONDS, READ_LOCK_TIMEOUT_MS, READ_STATEMENT_TIMEOUT_MS, WriteHooks
from magetui.backends.mssql.failures import dialect_missing
from magetui.backends.mssql.query import fetch, forgive_rollback, name_session, run
from magetui.model.server import Timeouts

LOGIN_TIMEOUT_ATTRIBUTE = 103  # SQL_ATTR_LOGIN_TIMEOUT


def reader(url: URL, application_name: str) -> Engine:
    """See `Connections.reader`. FreeTDS has no statement timeout, because its limit is for the complete process."""
    settings = f"set lock_timeout {READ_LOCK_TIMEOUT_MS}; {name_session(application_name)}"
    engine = _engine(url, application_name, isolation_level="AUTOCOMMIT")

    def prepare(raw: Any, _record: Any) -> None:
        if engine.dialect.driver in ("pyodbc", "mssqlpython"):
            raw.timeout = READ_STATEMENT_TIMEOUT_MS // 1000
        run(engine.dialect, raw, settings)

    event.listen(engine, "connect", prepare)
    return engine.execution_options(magetui_reads=True)


def writer(url: URL, application_name: str) -> Engine:
    return _engine(url, application_name)


def prepare_writer(
    engine: Engine | type[Engine],
    timeouts: Timeouts,
    hooks: WriteHooks,  # noqa: ARG001 - the server does the waiting, and the watcher asks it
    application_name: str,
) -> None:
    """See `Connections.prepare_writer`. Connections raise `InvalidRequestError` if LOCK_TIMEOUT cannot be set."""
    # For SQL Server 0 means not to wait at all, and -1 to wait without a limit (SET LOCK_TIMEOUT).
    limit = timeouts.lock_ms or -1
    settings = f"set lock_timeout {limit}; {name_session(application_name)}"

    def prepare(connection: Connection) -> None:
        if _writes(connection) and not connection.info.get("magetui"):
            fetch(connection, settings)
            # A separate query: the end of a prepared statement undoes the settings that a driver made in it.
            [(session, actual)] = fetch(connection, "select @@spid, @@lock_timeout")
            if actual != limit:
                raise InvalidRequestError(
                    f"LOCK_TIMEOUT was set to {limit}, but it is {actual}. Nothing can be run without that limit."
                )
            connection.info.update(magetui=True, magetui_session=session)
            forgive_rollback(connection.dialect)

    def before_execute(connection: Connection, cursor: Any, *_: Any) -> None:
        if _writes(connection):
            connection.info["magetui_cursor"] = cursor

    def after_execute(connection: Connection, cursor: Any, *_: Any) -> None:
        """Ask whether a transaction is open, unless rows are still to be fetched: then nothing was changed."""
        if _writes(connection) and cursor.description is None:
            try:
                connection.info["magetui_transaction"] = fetch(connection, "select @@trancount")[0][0] > 0
            except DBAPIError:
                connection.info["magetui_transaction"] = False  # unknown: the statement may be committed

    event.listen(engine, "engine_connect", prepare)
    event.listen(engine, "before_cursor_execute", before_execute)
    event.listen(engine, "after_cursor_execute", after_execute)


def session_id(connection: Connection) -> int | None:
    """Return the session's number if `prepare_writer` has prepared the connection, else None."""
    session = connection.info.get("magetui_session")
    return session if isinstance(session, int) else None


def in_transaction(connection: Connection) -> bool:
    if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return False
    return bool(connection.info.get("magetui_transaction", True))


def _writes(connection: Connection) -> bool:
    return connection.dialect.name == "mssql" and not connection.get_execution_options().get("magetui_reads")


def _engine(url: URL, application_name: str, **more: Any) -> Engine:
    """Return an engine without a pool; the URL's parameters come before ours. Raises `ImportError` without a driver."""
    arguments: dict[str, dict[str, Any]] = {
        # FreeTDS tries two times or more, each time for this long.
        "pymssql": {"login_timeout": CONNECT_TIMEOUT_SECONDS // 3, "appname": application_name},
        "pytds": {"login_timeout": CONNECT_TIMEOUT_SECONDS, "appname": application_name},
        "pyodbc": {"timeout": CONNECT_TIMEOUT_SECONDS, "APP": application_name},
        # Its own argument `timeout` limited each query in earlier versions.
        "mssqlpython": {"attrs_before": {LOGIN_TIMEOUT_ATTRIBUTE: CONNECT_TIMEOUT_SECONDS}},
    }
    try:
        known = arguments.get(url.get_driver_name(), {})
        given = {key: value for key, value in known.items() if key not in url.query}
        engine = create_engine(url, poolclass=NullPool, connect_args=given, hide_parameters=True, **more)
    except NoSuchModuleError:
        raise ImportError(dialect_missing(url.drivername)) from None

    def connect(dialect: Dialect, _record: Any, positional: Any, named: Any) -> Any:
        parse_error = getattr(dialect.loaded_dbapi, "ConnectionStringParseError", ())  # no subclass of DB-API's Error
        try:
            return dialect.connect(*positional, **named)
        except parse_error as error:
            raise ArgumentError(str(error)) from error

    event.listen(engine, "do_connect", connect)
    return engine
