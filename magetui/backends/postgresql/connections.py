"""Connections to PostgreSQL: readers that cannot write or block, and writers with timeouts.

Facts are from the PostgreSQL manual, chapters 20.3 (connections and authentication), 20.11 (client connection
defaults) and 34.1 (libpq's connection parameters).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.pool import NullPool

from magetui.backends.base import CONNECT_TIMEOUT_SECONDS, READ_LOCK_TIMEOUT_MS, READ_STATEMENT_TIMEOUT_MS, WriteHooks
from magetui.backends.postgresql import pooler
from magetui.backends.postgresql.sessions import cancel
from magetui.backends.problems import driver_module
from magetui.model.names import literal

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from magetui.model.server import Timeouts

# A migration that computes in Python between two statements is idle in its transaction for that time.
READER_IDLE_MS, WRITER_IDLE_MS = 60_000, 1_800_000
NOTICE_A_LOST_CLIENT = (
    "client_connection_check_interval = 2000",
    "tcp_keepalives_idle = 15",
    "tcp_keepalives_interval = 5",
    "tcp_keepalives_count = 4",
)
NO_TRANSACTION_TIMEOUT = "transaction_timeout = 0"  # of a role, from PostgreSQL 17 on: it would end a long migration
USER_TIMEOUT_MS, LIBPQ_WITH_USER_TIMEOUT = 30_000, 120_000

READ_ONLY = "default_transaction_read_only = on"
READ_LIMITS = (
    "row_security = off",  # a policy would hide rows, and run functions of whoever wrote it
    "cursor_tuple_fraction = 1",  # a reader's queries are cursors, and all their rows are fetched
    f"lock_timeout = {READ_LOCK_TIMEOUT_MS}",
    f"statement_timeout = {READ_STATEMENT_TIMEOUT_MS}",
    f"idle_in_transaction_session_timeout = {READER_IDLE_MS}",
)
# `magetui_reads` marks a connection that is not the migration's own, so that the migration's events ignore it.
READING: Mapping[str, Any] = {"isolation_level": "AUTOCOMMIT", "magetui_reads": True}
SESSION = "magetui_session"  # the key of the session's number in a connection's `info`
TRANSACTION_STATUS_IDLE = 0  # libpq's PQTRANS_IDLE


def reader(url: URL, application_name: str) -> Engine:
    """See `Connections.reader`. Through a pooler, each query brings its own limits with it."""
    engine = _bounded(url, application_name).execution_options(**READING)

    def prepared(*given: Any) -> Any:
        raw = _connected(*given)
        pooled = pooler.is_pooled(raw, pooler.serving(raw))
        # PgBouncer makes this one setting for each client, and adopts the session's for a client that has none.
        settings = ("application_name = ''",) if pooled else (READ_ONLY, *READ_LIMITS)
        with raw.cursor() as cursor:
            cursor.execute("; ".join(f"set {setting}" for setting in settings))
        if pooled:
            raw.limits = "".join(f"set local {limit}; " for limit in ("transaction_read_only = on", *READ_LIMITS))
        return raw

    event.listen(engine, "do_connect", prepared)
    return engine


def writer(url: URL, application_name: str) -> Engine:
    return _engine(url, application_name)


def bounded_engine(url: URL, application_name: str) -> Engine:
    """Return an engine without a pool whose connections break if the server does not answer; see `bounded_reads`."""
    engine = _bounded(url, application_name)
    event.listen(engine, "do_connect", _connected)
    return engine


def _bounded(url: URL, application_name: str) -> Engine:
    from magetui.backends.postgresql.bounded_reads import ReaderConnection

    url = url.difference_update_query(["client_encoding"])
    return _engine(url, application_name, connection_factory=ReaderConnection, client_encoding="UTF8")


def _connected(*given: Any) -> Any:
    from magetui.backends.postgresql.bounded_reads import connect

    raw = connect(*given)
    raw.prepare()
    return raw


def prepare_writer(engine: Engine | type[Engine], timeouts: Timeouts, hooks: WriteHooks, application_name: str) -> None:
    """See `Connections.prepare_writer`. The settings are committed, so a rollback does not undo them."""
    settings = (
        f"set lock_timeout = {timeouts.lock_ms}",
        f"set statement_timeout = {timeouts.statement_ms}",
        f"set idle_in_transaction_session_timeout = {WRITER_IDLE_MS}",
        f"set application_name = {literal(application_name)}",
    )

    def prepare(connection: Connection, *_: Any) -> None:
        reads = connection.get_execution_options().get("magetui_reads")
        if connection.dialect.name == "postgresql" and not reads and not connection.info.get("magetui"):
            connection.info["magetui"] = True
            raw = connection.connection.dbapi_connection
            session = pooler.serving(raw)
            if pooler.is_pooled(raw, session):
                hooks.pooled()
            connection.info[SESSION] = session
            for setting in settings if connection.dialect.is_async else ("; ".join(settings),):
                _set_on(raw, setting)  # asyncpg accepts one statement at a time
            # Let the server notice that its client is gone. Otherwise the session of a killed child would finish its
            # statement, perhaps for hours, and hold locks for a transaction that nobody can commit (manual, 20.3.2:
            # PostgreSQL 14, on Linux), and that of a host without network for the two hours of the system's keepalives.
            for setting in (*NOTICE_A_LOST_CLIENT, NO_TRANSACTION_TIMEOUT):
                set_if_known(raw, f"set {setting}", driver_module(connection.dialect).Error)

    event.listen(engine, "engine_connect", prepare)


def prepare_reader(engine: Engine | type[Engine], application_name: str) -> None:
    """See `Connections.prepare_reader`. A statement may take longer than a reader's, as env.py reads all catalogs."""
    settings = (
        f"set {READ_ONLY}",
        f"set lock_timeout = {READ_LOCK_TIMEOUT_MS}",
        f"set statement_timeout = {READER_IDLE_MS}",
        f"set idle_in_transaction_session_timeout = {READER_IDLE_MS}",
        f"set application_name = {literal(application_name)}",
    )

    def prepare(connection: Connection, *_: Any) -> None:
        reads = connection.get_execution_options().get("magetui_reads")
        if connection.dialect.name == "postgresql" and not reads and not connection.info.get("magetui"):
            connection.info["magetui"] = True
            for setting in settings:  # asyncpg accepts one statement at a time
                _set_on(connection.connection.dbapi_connection, setting)

    event.listen(engine, "engine_connect", prepare)


def password_used(connection: Connection) -> str | None:
    raw: Any = connection.connection.dbapi_connection
    return raw.info.password or None


def session_id(connection: Connection) -> int | None:
    """Return the number that the server gave when asked, else that from the login, which may be a pooler's own."""
    session = connection.info.get(SESSION)
    return session if isinstance(session, int) else pooler.pid_at_login(connection.connection.dbapi_connection)


def in_transaction(connection: Connection) -> bool:
    if (driver := _asyncpg_of(connection)) is not None:
        return bool(driver.is_in_transaction())
    info = getattr(connection.connection.dbapi_connection, "info", None)
    return getattr(info, "transaction_status", None) != TRANSACTION_STATUS_IDLE


def interrupt(running: Connection, watching: Connection | None) -> None:
    """See `Connections.interrupt`. Without a second connection, libpq sends the cancel request."""
    pid = session_id(running)
    if watching is not None and pid is not None:
        cancel(watching, pid)
    elif (raw := running.connection.dbapi_connection) is not None and hasattr(raw, "cancel"):
        with suppress(driver_module(running.dialect).Error):  # the connection has just been closed
            raw.cancel()


def abandon(connection: Connection) -> None:
    raw = connection.connection.dbapi_connection
    driver = _asyncpg_of(connection)
    if driver is None and (raw is None or getattr(raw, "closed", True)):
        return
    # asyncpg has no public function for its socket.
    descriptor = driver._transport.get_extra_info("socket").fileno() if driver is not None else raw.fileno()  # type: ignore[union-attr]
    # Our own socket object for the same peer: the driver's descriptor may belong to another file by then.
    with closing(socket.socket(fileno=os.dup(descriptor))) as peer, suppress(OSError):
        peer.shutdown(socket.SHUT_RDWR)


def _asyncpg_of(connection: Connection) -> Any | None:
    """Return the driver's own connection if it is asyncpg's and open, else None. Other drivers wrap libpq."""
    if connection.dialect.driver != "asyncpg":
        return None
    driver: Any = connection.connection.driver_connection
    return None if driver is None or driver.is_closed() else driver


def _engine(url: URL, application_name: str, **more: Any) -> Engine:
    """Return an engine without a pool. The URL's own parameters take precedence over ours."""
    from psycopg2 import extensions

    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 4,
        "application_name": application_name,
        **more,
    }
    if extensions.libpq_version() >= LIBPQ_WITH_USER_TIMEOUT:
        arguments["tcp_user_timeout"] = USER_TIMEOUT_MS  # keepalives do nothing while data waits to be sent
    with suppress(OSError, RuntimeError):  # RuntimeError: there is no home directory
        if Path(os.environ.get("PGPASSFILE") or "~/.pgpass").expanduser().stat().st_mode & 0o077:
            # libpq ignores a file that others may read, and says so on stderr each time, in the middle of a screen.
            arguments["passfile"] = f"{os.devnull}/none"
    given = {key: value for key, value in arguments.items() if key not in url.query}
    return create_engine(
        url.set(drivername="postgresql+psycopg2"), poolclass=NullPool, connect_args=given, hide_parameters=True
    )


def set_if_known(raw: Any, setting: str, driver_error: type[Exception]) -> None:
    """Run a SET statement on a DB-API connection; ignore an error, for servers that do not know the setting."""
    try:
        _set_on(raw, setting)
    except driver_error:
        raw.rollback()


def _set_on(raw: Any, settings: str) -> None:
    """Run SET statements on a DB-API connection and commit them, so that a later rollback does not undo them."""
    cursor = raw.cursor()
    cursor.execute(settings)
    cursor.close()
    raw.commit()
