"""PostgreSQL through psycopg2: connections that cannot hurt, the advisory lock Mage takes, what errors mean.

What is read from the catalogs stands in `postgresql_catalog`. Facts rest on the PostgreSQL manual: chapters 13.3
(explicit locking), 20.11 (client connection defaults), 54 (system views) and appendix A (error codes).
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from magetui.backends.backup import BackupJob, BackupOptions
from magetui.backends.base import (
    CONNECT_TIMEOUT_SECONDS,
    READ_LOCK_TIMEOUT_MS,
    READ_STATEMENT_TIMEOUT_MS,
    Mutex,
    WriteHooks,
)
from magetui.backends.postgresql import catalog, pooler, progress
from magetui.backends.postgresql.async_driver import asyncpg_of, socket_of
from magetui.backends.postgresql.failures import unconnected
from magetui.backends.postgresql.mutex import AdvisoryLock
from magetui.backends.postgresql.server import read_server
from magetui.backends.postgresql.settings import READING, set_if_known, set_on
from magetui.backends.scratch import Place, Scratch
from magetui.model.schema import Counted, EnumType, Leftover, Table, TableDetail, VersionTable, Wanted
from magetui.model.server import Failure, ServerFacts, StatementCause, Timeouts
from magetui.model.sessions import MutexHolder, Session, StatementProgress

STATEMENT_CODES: Mapping[str, StatementCause] = {
    "55P03": "lock-timeout",
    "57P01": "lost",  # admin_shutdown
    "57P02": "lost",  # crash_shutdown
    "57P03": "lost",  # cannot_connect_now
    "57P05": "lost",  # idle_session_timeout
    "25P03": "lost",  # idle_in_transaction_session_timeout
}
CLIENT_CHECK_MS = 2_000
# A migration that computes in Python between two statements is idle in its transaction for as long.
READER_IDLE_MS, WRITER_IDLE_MS = 60_000, 1_800_000
SERVER_KEEPALIVES = {"tcp_keepalives_idle": 15, "tcp_keepalives_interval": 5, "tcp_keepalives_count": 4}
# A replay waits for nobody, since others may queue behind it; on tables without rows no statement takes long.
SCRATCH_TIMEOUTS = Timeouts(lock_ms=READ_LOCK_TIMEOUT_MS, statement_ms=60_000)
USER_TIMEOUT_MS, LIBPQ_WITH_USER_TIMEOUT = 30_000, 120_000

READ_ONLY = "default_transaction_read_only = on"
READ_LIMITS = (
    f"lock_timeout = {READ_LOCK_TIMEOUT_MS}",
    f"statement_timeout = {READ_STATEMENT_TIMEOUT_MS}",
    f"idle_in_transaction_session_timeout = {READER_IDLE_MS}",
)
SESSION = "magetui_session"  # in a connection's `info`: the server's number of it

# `magetui_reads` marks connections that are not the migration's own, so that its events pass them over.

TRANSACTION_STATUS_IDLE = 0  # libpq's PQTRANS_IDLE

SIGNAL_SQL = """
select {function}(pid) from pg_stat_activity
where pid = %(pid)s and (%(began)s::text is null or backend_start::text = %(began)s or backend_start is null)
"""
# A bigint key shows in pg_locks as two halves with objsubid 1 (manual, 54.12).
HOLDER_SQL = """
select l.pid from pg_locks l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and l.granted and d.datname = current_database() and l.objsubid = 1
  and ((l.classid::bigint << 32) | l.objid::bigint) = %(key)s
"""


class PostgreSQL:
    """See `Backend`."""

    name = "postgresql"
    backup_suffix = ".dump"
    server_side_timeouts = True

    def reader(self, url: URL, application_name: str) -> Engine:
        from magetui.backends.postgresql.bounded_reads import ReaderConnection, connect

        engine = self._engine(url, application_name, connection_factory=ReaderConnection).execution_options(**READING)

        def prepared(*given: Any) -> Any:
            raw = connect(*given)
            raw.autocommit = True  # a pooler may take no BEGIN
            pooled = pooler.is_pooled(raw, pooler.serving(raw))
            # The one setting that PgBouncer makes for its clients, and takes over from one that has none.
            settings = ("application_name = ''",) if pooled else (READ_ONLY, *READ_LIMITS)
            with raw.cursor() as cursor:
                cursor.execute("; ".join(f"set {setting}" for setting in settings))
            if pooled:
                raw.limits = "".join(f"set local {limit}; " for limit in ("transaction_read_only = on", *READ_LIMITS))
            return raw

        event.listen(engine, "do_connect", prepared)
        return engine

    def writer(self, url: URL, application_name: str) -> Engine:
        return self._engine(url, application_name)

    def prepare_writer(
        self,
        engine: Engine | type[Engine],
        timeouts: Timeouts,
        hooks: WriteHooks,
        application_name: str,
    ) -> None:
        settings = (
            f"set lock_timeout = {timeouts.lock_ms}",
            f"set statement_timeout = {timeouts.statement_ms}",
            f"set idle_in_transaction_session_timeout = {WRITER_IDLE_MS}",
            f"set application_name = {_quoted(application_name)}",
        )

        def prepare(connection: Connection) -> None:
            ours = connection.get_execution_options().get("magetui_reads")
            if connection.dialect.name == self.name and not ours and not connection.info.get("magetui"):
                connection.info["magetui"] = True
                raw = connection.connection.dbapi_connection
                session = pooler.serving(raw)
                if pooler.is_pooled(raw, session):
                    hooks.pooled()
                connection.info[SESSION] = session
                for setting in settings if connection.dialect.is_async else ("; ".join(settings),):
                    set_on(raw, setting)  # asyncpg takes one at a time
                _let_server_notice(raw, connection.dialect.loaded_dbapi.Error)

        event.listen(engine, "engine_connect", prepare)

    def server(self, connection: Connection) -> ServerFacts:
        return read_server(connection)

    def password_used(self, connection: Connection) -> str | None:
        raw: Any = connection.connection.dbapi_connection
        return raw.info.password or None

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

    def enum_types(self, connection: Connection) -> tuple[EnumType, ...]:
        return catalog.enum_types(connection)

    def definitions(self, connection: Connection) -> tuple[str, ...]:  # noqa: ARG002 - Alembic renders without them
        return ()

    def count(
        self, connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int
    ) -> tuple[Counted, ...]:
        from magetui.backends.postgresql.counts import count

        return count(connection, table, wanted, limit_ms)

    def sessions(self, connection: Connection) -> tuple[Session, ...]:
        return catalog.sessions(connection)

    def session_waits(self, connection: Connection, pid: int) -> bool:
        # The function under pg_stat_activity, which looks at this session alone.
        sql = "select wait_event_type = 'Lock' from pg_stat_get_activity(%(pid)s)"
        return bool(connection.exec_driver_sql(sql, {"pid": pid}).scalar())

    def session_exists(self, connection: Connection, pid: int, application_name: str) -> bool:
        sql = "select 1 from pg_stat_activity where pid = %(pid)s and application_name = %(name)s"
        return connection.exec_driver_sql(sql, {"pid": pid, "name": application_name}).first() is not None

    def progress(self, connection: Connection, pid: int) -> StatementProgress | None:
        return progress.progress(connection, pid)

    def cancel(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        return self._signal(connection, "pg_cancel_backend", pid, began)

    def terminate(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        return self._signal(connection, "pg_terminate_backend", pid, began)

    def _signal(self, connection: Connection, function: str, pid: int, began: str | None) -> bool:
        # By its beginning too: the number may be another session's by now. Who may not see that, sees null.
        sql = SIGNAL_SQL.format(function=function)
        return bool(connection.exec_driver_sql(sql, {"pid": pid, "began": began}).scalar())

    def session_id(self, connection: Connection) -> int | None:
        # As it was asked for: the number that the driver was told at its login may be a pooler's own.
        known = connection.info.get(SESSION)
        return known if isinstance(known, int) else pooler.told_at_login(connection.connection.dbapi_connection)

    def interrupt(self, running: Connection, watching: Connection | None) -> None:
        pid = self.session_id(running)
        if watching is not None and pid is not None:
            self.cancel(watching, pid)
        elif (raw := running.connection.dbapi_connection) is not None and hasattr(raw, "cancel"):
            with suppress(running.dialect.loaded_dbapi.Error):  # it has just been closed
                raw.cancel()

    def abandon(self, connection: Connection) -> None:
        raw = connection.connection.dbapi_connection
        driver = asyncpg_of(connection)
        if driver is None and (raw is None or getattr(raw, "closed", True)):
            return
        descriptor = socket_of(driver) if driver is not None else raw.fileno()  # type: ignore[union-attr]  # or it had returned
        # A socket of our own to the same peer: the number of the driver's may be another file's by then.
        with closing(socket.socket(fileno=os.dup(descriptor))) as peer, suppress(OSError):
            peer.shutdown(socket.SHUT_RDWR)

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:  # noqa: ARG002
        from magetui.backends.postgresql.bounded_reads import ReaderConnection

        return AdvisoryLock(self._engine(url, application_name, connection_factory=ReaderConnection), key)

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
        if (driver := asyncpg_of(connection)) is not None:
            return bool(driver.is_in_transaction())
        info = getattr(connection.connection.dbapi_connection, "info", None)
        return getattr(info, "transaction_status", None) != TRANSACTION_STATUS_IDLE

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        pid = connection.exec_driver_sql(HOLDER_SQL, {"key": key}).scalar()
        if pid is None:
            return None
        session = next((s for s in self.sessions(connection) if s.pid == pid), None)
        return MutexHolder(pid=pid, session=session)

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:
        from magetui.backends.postgresql.dump import Dump, Origin, PgDump

        origin = Origin.read(connection)
        return Dump(url, origin, PgDump.found(options.pg_dump, origin), options)

    def scratch(self, url: URL, place: Place) -> AbstractContextManager[Scratch]:
        from magetui.backends.postgresql.scratch import refuse_pooler, scratch

        engine = self.writer(url, place.application_name)
        self.prepare_writer(engine, SCRATCH_TIMEOUTS, WriteHooks(pooled=refuse_pooler), place.application_name)
        return scratch(engine, place)

    def outreach(self, sql: str, schemas: Collection[str]) -> str | None:
        from magetui.backends.postgresql.scratch import outreach

        return outreach(sql, schemas)

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
                return Failure("lost", message, silent="has not answered for" in message)
            return unconnected(message)
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
        if _is_open_to_others(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass"):
            # libpq passes it over, and would say so on stderr each time, in the middle of a screen.
            arguments["passfile"] = f"{os.devnull}/none"
        given = {key: value for key, value in arguments.items() if key not in url.query}
        return create_engine(
            url.set(drivername="postgresql+psycopg2"),
            poolclass=NullPool,
            connect_args=given,
            hide_parameters=True,
        )


def _is_open_to_others(file: str | Path) -> bool:
    """Whether libpq would not read a password file, since others might."""
    try:
        return bool(Path(file).stat().st_mode & 0o077)
    except OSError:
        return False


def _let_server_notice(raw: Any, driver_error: type[Exception]) -> None:
    """Let the server notice that its client is gone, while a statement runs and between statements.

    Else the session of a killed child would finish its statement, for hours perhaps, holding locks for a transaction
    that nobody can commit any more (manual, 20.3.2: PostgreSQL 14, on Linux); and that of a host which is cut off
    would hold them until the system's own keepalives, of two hours.
    """
    set_if_known(raw, f"set client_connection_check_interval = {CLIENT_CHECK_MS}", driver_error)
    for name, value in SERVER_KEEPALIVES.items():
        set_if_known(raw, f"set {name} = {value}", driver_error)


def _quoted(text: str) -> str:
    """`text` as an SQL literal; for SET, which takes no parameters. A percent sign is doubled for no driver."""
    return "'" + text.replace("'", "''") + "'"
