"""Connections to SQL Server through pyodbc, pymssql or mssql-python.

A session's name cannot be set after the login, so CONTEXT_INFO holds our application name: every driver can set it. No
session can be made read-only. A reader is read-only because this package sends nothing but SELECT on it
(ApplicationIntent=ReadOnly would connect to a secondary replica, whose data lags behind).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Dialect, Engine
from sqlalchemy.exc import ArgumentError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from magetui.backends.base import CONNECT_TIMEOUT_SECONDS, READ_LOCK_TIMEOUT_MS, READ_STATEMENT_TIMEOUT_MS, WriteHooks
from magetui.backends.mssql.bounded import BoundedCalls
from magetui.backends.mssql.failures import dialect_missing
from magetui.backends.mssql.peers import peers_of, shut_down
from magetui.backends.mssql.query import fetch, name_session, run
from magetui.backends.mssql.transactions import keep_first_error, watch_transactions, writes
from magetui.backends.problems import driver_module
from magetui.model.server import Timeouts

LOGIN_TIMEOUT_ATTRIBUTE = 103  # SQL_ATTR_LOGIN_TIMEOUT
LOGIN_TRIES = 3  # FreeTDS tries two times or more, each time for this long
LOGIN_SECONDS = CONNECT_TIMEOUT_SECONDS // LOGIN_TRIES
MARGIN_SECONDS = 4.0
PEERS = "magetui_peers"  # the key of the server's addresses in a connection's `info`


def reader(url: URL, application_name: str) -> Engine:
    """See `Connections.reader`. FreeTDS has no statement timeout, because its limit is for the complete process."""
    settings = f"set lock_timeout {READ_LOCK_TIMEOUT_MS}; {name_session(application_name)}"
    calls = BoundedCalls(_connect_seconds(url))
    engine = _engine(url, application_name, calls, autocommit=True)
    calls.apply_to(engine)

    def prepare(raw: Any, _record: Any) -> None:
        if engine.dialect.driver in ("pyodbc", "mssqlpython"):
            raw.timeout = READ_STATEMENT_TIMEOUT_MS // 1000
        calls.answered(raw, settings, lambda: run(engine.dialect, raw, settings))

    event.listen(engine, "connect", prepare)
    return engine.execution_options(magetui_reads=True)


def _connect_seconds(url: URL) -> float:
    """Return how long a login may take: longer than the driver's own limit, which the URL may raise."""
    given = url.query.get("login_timeout" if url.get_driver_name() == "pymssql" else "timeout")
    asked = int(given) if isinstance(given, str) and given.isdigit() else 0
    return max(CONNECT_TIMEOUT_SECONDS, asked * LOGIN_TRIES) + MARGIN_SECONDS


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

    def prepare(connection: Connection, *_: Any) -> None:
        if writes(connection) and not connection.info.get("magetui"):
            fetch(connection, settings)
            # A separate query: the end of a prepared statement undoes the settings that a driver made in it.
            [(session, actual)] = fetch(connection, "select @@spid, @@lock_timeout")
            if actual != limit:
                raise InvalidRequestError(
                    f"LOCK_TIMEOUT was set to {limit}, but it is {actual}. Nothing can be run without that limit."
                )
            connection.info.update(magetui=True, magetui_session=session)
            connection.info[PEERS] = peers_of(connection.engine.url)
            keep_first_error(connection.dialect)

    event.listen(engine, "engine_connect", prepare)
    watch_transactions(engine)


def prepare_reader(engine: Engine | type[Engine], application_name: str) -> None:
    """See `Connections.prepare_reader`."""
    raise NotImplementedError("SQL Server has no sessions that cannot write.")


def session_id(connection: Connection) -> int | None:
    """Return the session's number if `prepare_writer` has prepared the connection, else None."""
    session = connection.info.get("magetui_session")
    return session if isinstance(session, int) else None


def abandon(connection: Connection) -> None:
    """See `Connections.abandon`. No driver gives access to its socket, so it is found by the server's address."""
    shut_down(connection.info.get(PEERS, frozenset()))


def _engine(url: URL, application_name: str, calls: BoundedCalls | None = None, **more: Any) -> Engine:
    """Return an engine without a pool; the URL's parameters come before ours. Raises `ImportError` without a driver."""
    driver = url.get_driver_name()
    arguments: dict[str, dict[str, Any]] = {
        "pymssql": {"login_timeout": LOGIN_SECONDS, "appname": application_name},
        "pyodbc": {"timeout": CONNECT_TIMEOUT_SECONDS, "APP": application_name},
        # Its own argument `timeout` limited each query in earlier versions.
        "mssqlpython": {"attrs_before": {LOGIN_TIMEOUT_ATTRIBUTE: CONNECT_TIMEOUT_SECONDS}},
    }
    try:
        given = {key: value for key, value in arguments.get(driver, {}).items() if key not in url.query}
        engine = create_engine(url, poolclass=NullPool, connect_args=given | more, hide_parameters=True)
    except NoSuchModuleError:
        raise ImportError(dialect_missing(url.drivername)) from None

    def connect(dialect: Dialect, _record: Any, positional: Any, named: Any) -> Any:
        parse_error = getattr(driver_module(dialect), "ConnectionStringParseError", ())  # no subclass of DB-API's Error
        try:
            if calls is None:
                return dialect.connect(*positional, **named)
            return calls.connect(lambda: dialect.connect(*positional, **named))
        except parse_error as error:
            raise ArgumentError(str(error)) from error

    event.listen(engine, "do_connect", connect)
    return engine
