"""PostgreSQL through psycopg2: connections that cannot hurt, the advisory lock Mage takes, what errors mean.

What is read from the catalogs stands in `postgresql_catalog`. Facts rest on the PostgreSQL manual: chapters 13.3
(explicit locking), 20.11 (client connection defaults), 54 (system views) and appendix A (error codes).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from magetui.backends import postgresql_catalog as catalog
from magetui.backends.base import (
    CONNECT_TIMEOUT_SECONDS,
    READ_LOCK_TIMEOUT_MS,
    READ_STATEMENT_TIMEOUT_MS,
    ConnectCause,
    Failure,
    Leftover,
    Mutex,
    MutexHolder,
    ServerFacts,
    Session,
    StatementCause,
    Table,
    TableDetail,
    Timeouts,
    VersionTable,
    WriteHooks,
)

# libpq reports a failed connection in words only (no SQLSTATE), so words are what there is to go by.
CONNECT_WORDS: tuple[tuple[ConnectCause, str], ...] = (
    ("name", r"could not translate host name|Name or service not known|nodename nor servname"),
    ("timeout", r"timeout expired|timed out"),
    ("too-many-connections", r"too many clients|remaining connection slots|too many connections"),
    ("password", r"password authentication failed|no password supplied|authentication failed|pg_hba\.conf"),
    ("no-database", r'database ".*" does not exist'),
    ("tls", r"SSL|certificate|TLS"),
    ("refused", r"Connection refused|No such file or directory|No route to host|Network is unreachable"),
    ("bad-url", r"invalid (dsn|connection option|port|integer value|sslmode)|invalid URI"),
)
STATEMENT_CODES: Mapping[str, StatementCause] = {
    "55P03": "lock-timeout",
    "57P01": "lost",  # admin_shutdown
    "57P02": "lost",  # crash_shutdown
    "57P03": "lost",  # cannot_connect_now
    "57P05": "lost",  # idle_session_timeout
    "25P03": "lost",  # idle_in_transaction_session_timeout
}
CLIENT_CHECK_MS = 2_000
USER_TIMEOUT_MS, LIBPQ_WITH_USER_TIMEOUT = 30_000, 120_000
SEARCH_PATH_NAME = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,\s]+))\s*(?:,|$)')

# `magetui_reads` marks connections that are not the migration's own, so that its events pass them over.
READING: Mapping[str, Any] = {"isolation_level": "AUTOCOMMIT", "magetui_reads": True}

TRANSACTION_STATUS_IDLE = 0  # libpq's PQTRANS_IDLE

SERVER_SQL = """
select current_setting('server_version'), current_database(), current_schema(), current_user,
       current_setting('search_path'), pg_is_in_recovery(),
       (select reset_val from pg_settings where name = 'default_transaction_read_only'),
       array(select nspname::text from pg_namespace)
"""
# A bigint key shows in pg_locks as two halves with objsubid 1 (manual, 54.12).
HOLDER_SQL = """
select l.pid from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and l.granted and d.datname = current_database() and l.objsubid = 1
  and ((l.classid::bigint << 32) | l.objid::bigint) = %(key)s and l.pid <> pg_backend_pid()
"""


class PostgreSQL:
    """See `Backend`."""

    name = "postgresql"
    server_side_timeouts = True

    def reader(self, url: URL, application_name: str) -> Engine:
        from magetui.backends.postgresql_patience import ReaderConnection

        engine = self._engine(url, application_name, connection_factory=ReaderConnection).execution_options(**READING)
        settings = (
            "set default_transaction_read_only = on; "
            f"set lock_timeout = {READ_LOCK_TIMEOUT_MS}; "
            f"set statement_timeout = {READ_STATEMENT_TIMEOUT_MS}"
        )
        event.listen(engine, "connect", lambda raw, _record: _set_on(raw, settings))
        return engine

    def writer(self, url: URL, application_name: str) -> Engine:
        return self._engine(url, application_name)

    def prepare_writer(self, engine: Engine | type[Engine], timeouts: Timeouts, hooks: WriteHooks) -> None:  # noqa: ARG002
        settings = f"set lock_timeout = {timeouts.lock_ms}; set statement_timeout = {timeouts.statement_ms}"

        def prepare(connection: Connection) -> None:
            ours = connection.get_execution_options().get("magetui_reads")
            if connection.dialect.name == self.name and not ours and not connection.info.get("magetui"):
                connection.info["magetui"] = True
                raw = connection.connection.dbapi_connection
                _set_on(raw, settings)
                _notice_our_death(raw, connection.dialect.loaded_dbapi.Error)

        event.listen(engine, "engine_connect", prepare)

    def server(self, connection: Connection) -> ServerFacts:
        row = connection.exec_driver_sql(SERVER_SQL).one()
        version, database, schema, user, search_path, in_recovery, read_only_default, schemas = row
        wanted = [quoted.replace('""', '"') or plain for quoted, plain in SEARCH_PATH_NAME.findall(search_path)]
        missing = tuple(name for name in wanted if name not in (*schemas, "$user"))
        read_only = None
        if in_recovery:
            read_only = "The server is a standby, in recovery: it replays another server and takes no writes."
        elif read_only_default == "on":
            read_only = "default_transaction_read_only is on for this role or database: the server takes no writes."
        return ServerFacts(
            version=version.split()[0],
            database=database,
            schema=schema,
            user=user,
            missing_schemas=missing,
            read_only=read_only,
        )

    def version_tables(self, connection: Connection, name: str, schema: str | None) -> tuple[VersionTable, ...]:
        return catalog.version_tables(connection, name, schema)

    def leftovers(self, connection: Connection) -> tuple[Leftover, ...]:
        return catalog.leftovers(connection)

    def not_owned(self, connection: Connection) -> tuple[Table, ...]:
        return catalog.not_owned(connection)

    def tables(self, connection: Connection, schema: str | None = None) -> tuple[Table, ...]:
        return catalog.tables(connection, schema)

    def table_details(
        self, connection: Connection, schema: str | None = None, name: str | None = None
    ) -> tuple[TableDetail, ...]:
        return catalog.table_details(connection, schema, name)

    def sessions(self, connection: Connection) -> tuple[Session, ...]:
        return catalog.sessions(connection)

    def session_waits(self, connection: Connection, pid: int) -> bool:
        sql = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %(pid)s"
        return bool(connection.exec_driver_sql(sql, {"pid": pid}).scalar())

    def session_exists(self, connection: Connection, pid: int, application_name: str) -> bool:
        sql = "select 1 from pg_stat_activity where pid = %(pid)s and application_name = %(name)s"
        return connection.exec_driver_sql(sql, {"pid": pid, "name": application_name}).first() is not None

    def cancel(self, connection: Connection, pid: int) -> bool:
        return bool(connection.exec_driver_sql("select pg_cancel_backend(%(pid)s)", {"pid": pid}).scalar())

    def terminate(self, connection: Connection, pid: int) -> bool:
        return bool(connection.exec_driver_sql("select pg_terminate_backend(%(pid)s)", {"pid": pid}).scalar())

    def session_id(self, connection: Connection) -> int | None:
        info = getattr(connection.connection.dbapi_connection, "info", None)
        pid = getattr(info, "backend_pid", None)
        return pid if isinstance(pid, int) else None

    def interrupt(self, running: Connection, watching: Connection | None) -> None:
        pid = self.session_id(running)
        if watching is not None and pid is not None:
            self.cancel(watching, pid)
        elif (raw := running.connection.dbapi_connection) is not None and hasattr(raw, "cancel"):
            with suppress(running.dialect.loaded_dbapi.Error):  # it has just been closed
                raw.cancel()

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:  # noqa: ARG002
        return AdvisoryLock(self._engine(url, application_name), key)

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:  # noqa: ARG002
        """By the mutex: only on that server, in that database, is it seen to be held by our own session."""
        if connection.dialect.name != self.name or not isinstance(mutex, AdvisoryLock):
            return False
        raw = connection.connection.dbapi_connection
        if raw is None:
            return False
        cursor = raw.cursor()  # past SQLAlchemy: it is no statement of the migration's
        cursor.execute(HOLDER_SQL.replace("%(key)s", f"{mutex.key:d}"))  # whichever driver's way of parameters
        holder = cursor.fetchone()
        cursor.close()
        return holder is not None and holder[0] == mutex.session

    def in_transaction(self, connection: Connection) -> bool:
        info = getattr(connection.connection.dbapi_connection, "info", None)
        return getattr(info, "transaction_status", None) != TRANSACTION_STATUS_IDLE

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        pid = connection.exec_driver_sql(HOLDER_SQL, {"key": key}).scalar()
        if pid is None:
            return None
        session = next((s for s in self.sessions(connection) if s.pid == pid), None)
        return MutexHolder(pid=pid, session=session)

    def failure(self, error: BaseException) -> Failure:
        original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        message = str(original).strip()
        code = getattr(original, "pgcode", None) or getattr(original, "sqlstate", None)
        if code is None:
            if isinstance(original, ModuleNotFoundError):
                return Failure("driver-missing", message)
            # First: what breaks a connection may be TLS, or time, as for one that is never made.
            broken = isinstance(error, DBAPIError) and error.connection_invalidated
            if broken or re.search(r"server closed the connection|connection already closed|SSL SYSCALL", message):
                return Failure("lost", message)
            for cause, words in CONNECT_WORDS:
                if re.search(words, message):
                    return Failure(cause, message)
            return Failure("other", message)
        if code == "57014":  # query_canceled: by its statement timeout, or by somebody
            timed_out = "statement timeout" in message
            return Failure("statement-timeout" if timed_out else "cancelled", message)
        return Failure(STATEMENT_CODES.get(code, "lost" if code.startswith("08") else "failed"), message)

    def _engine(self, url: URL, application_name: str, **more: Any) -> Engine:
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
            arguments["tcp_user_timeout"] = USER_TIMEOUT_MS  # keepalives say nothing while data waits to be sent
        given = {key: value for key, value in arguments.items() if key not in url.query}
        return create_engine(
            url.set(drivername="postgresql+psycopg2"),
            poolclass=NullPool,
            connect_args=given,
            hide_parameters=True,
        )


class AdvisoryLock:
    """A session-level advisory lock on a connection of its own.

    Polled with `pg_try_advisory_lock`, never waited for: a session that waits inside a statement holds a snapshot,
    and CREATE INDEX CONCURRENTLY waits for every snapshot, which makes a deadlock of the two.
    """

    def __init__(self, engine: Engine, key: int) -> None:
        self._engine = engine.execution_options(**READING)
        self.key = key
        self._connection: Connection | None = None

    @property
    def session(self) -> int | None:
        """The server's number of the session that holds the lock."""
        info = getattr(self._connection.connection.dbapi_connection, "info", None) if self._connection else None
        return getattr(info, "backend_pid", None)

    def try_acquire(self) -> bool:
        if self._connection is None:
            self._connection = self._engine.connect()
            raw = self._connection.connection.dbapi_connection
            # It does nothing but hold the lock, for as long as the run takes (manual, 20.11.1; PostgreSQL 14).
            _set_if_known(raw, "set idle_session_timeout = 0", self._connection.dialect.loaded_dbapi.Error)
        sql = "select pg_try_advisory_lock(%(key)s)"
        return bool(self._connection.exec_driver_sql(sql, {"key": self.key}).scalar())

    def release(self) -> None:
        """Give the lock back; the server does so itself where the connection is already gone."""
        if self._connection is None:
            return
        try:
            self._connection.exec_driver_sql("select pg_advisory_unlock(%(key)s)", {"key": self.key})
        except SQLAlchemyError:
            self._connection.invalidate()
        self._connection.close()
        self._connection = None


def _notice_our_death(raw: Any, driver_error: type[Exception]) -> None:
    """Let the server look, while a statement runs, whether its client is still there (PostgreSQL 14, on Linux).

    Else the session of a killed child would finish its statement, for hours perhaps, holding locks for a transaction
    that nobody can commit any more (manual, 20.3.2).
    """
    _set_if_known(raw, f"set client_connection_check_interval = {CLIENT_CHECK_MS}", driver_error)


def _set_if_known(raw: Any, setting: str, driver_error: type[Exception]) -> None:
    try:
        _set_on(raw, setting)
    except driver_error:
        raw.rollback()  # this server cannot: no harm done


def _set_on(raw: Any, settings: str) -> None:
    """Run SET statements on a DB-API connection so that a later rollback does not undo them."""
    cursor = raw.cursor()
    cursor.execute(settings)
    cursor.close()
    raw.commit()
