"""The SQL Server backend: a façade over this package's modules. Experimental, since no test has met a server.

It rests on Microsoft's documentation (Transact-SQL reference: SET LOCK_TIMEOUT, sp_getapplock, APPLOCK_TEST, KILL, the
catalog views, sys.dm_exec_sessions, sys.dm_exec_requests, sys.dm_tran_locks) and on the source code of the drivers.
See `magetui.backends.base` for what each function returns.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, suppress

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from magetui.backends.backup import BackupFailedError, BackupJob, BackupOptions
from magetui.backends.base import Mutex
from magetui.backends.mssql import catalog, connections, counts, failures, server, sessions
from magetui.backends.mssql.mutex import AppLock, holder_of
from magetui.backends.mssql.query import fetch
from magetui.backends.scratch import Scratch, ScratchRequest, ScratchUnavailableError
from magetui.model.schema import Counted, EnumType, Table, Wanted
from magetui.model.server import Failure, ServerFacts
from magetui.model.sessions import MutexHolder, Session, StatementProgress

NO_BACKUP = (
    "magetui makes no backup of SQL Server yet: the server writes a backup to its own disk. In any client: "
    "BACKUP DATABASE [{database}] TO DISK = N'…' WITH COPY_ONLY, CHECKSUM"
)
NO_SCRATCH = "magetui builds no scratch schema on SQL Server yet."


class SQLServer:
    """See `Backend`."""

    name = "mssql"
    backup_suffix = ".bak"
    server_side_timeouts = False

    def __init__(self) -> None:
        self._killed = False  # whether `interrupt` ended a run's own session

    # -- Connections

    reader = staticmethod(connections.reader)
    writer = staticmethod(connections.writer)
    prepare_writer = staticmethod(connections.prepare_writer)
    session_id = staticmethod(connections.session_id)
    in_transaction = staticmethod(connections.in_transaction)

    def server(self, connection: Connection) -> ServerFacts:
        return server.read_server(connection)

    def password_used(self, connection: Connection) -> None:  # noqa: ARG002 - drivers use the URL's password only
        return None

    def interrupt(self, running: Connection, watching: Connection | None) -> None:
        """Cancel the statement if the driver can do so from another thread (pyodbc), else end our own session.

        If the login may not end it, the run ends at its next statement, or by its lock timeout.
        """
        cursor = connections.running_cursor(running)
        if running.dialect.driver == "pyodbc" and cursor is not None:
            with suppress(running.dialect.loaded_dbapi.Error):  # the cursor has just been closed
                cursor.cancel()
        elif watching is not None and (session := connections.session_id(running)) is not None:
            with suppress(PermissionError):
                self._killed = sessions.terminate(watching, session) or self._killed

    def abandon(self, connection: Connection) -> None:
        """Do nothing: no driver gives access to its socket. The drivers notice a lost server by their keepalives."""

    def failure(self, error: BaseException) -> Failure:
        return failures.failure(error, killed=self._killed)

    # -- Catalog

    version_tables = staticmethod(catalog.version_tables)
    leftovers = staticmethod(catalog.leftovers)
    not_owned = staticmethod(catalog.not_owned)
    tables = staticmethod(catalog.tables)
    table_details = staticmethod(catalog.table_details)

    def enum_types(self, connection: Connection) -> tuple[EnumType, ...]:  # noqa: ARG002
        return ()

    def definitions(self, connection: Connection) -> tuple[str, ...]:  # noqa: ARG002
        return ()  # Alembic's SQL does not depend on the existing schema

    def count(
        self, connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int
    ) -> tuple[Counted, ...]:
        return counts.count(connection, table, wanted, limit_ms)

    # -- Sessions

    def sessions(self, connection: Connection) -> tuple[Session, ...]:
        return sessions.sessions(connection)

    def session_waits(self, connection: Connection, pid: int) -> bool:
        return sessions.session_waits(connection, pid)

    def session_exists(self, connection: Connection, pid: int, application_name: str) -> bool:
        return sessions.session_exists(connection, pid, application_name)

    def progress(self, connection: Connection, pid: int) -> StatementProgress | None:  # noqa: ARG002
        return None  # percent_complete covers backups and similar commands, but no schema change

    def cancel(self, connection: Connection, pid: int, began: str | None = None) -> bool:  # noqa: ARG002
        return False  # SQL Server has no such statement: KILL ends the session

    def terminate(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        return sessions.terminate(connection, pid, began)

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:  # noqa: ARG002
        return AppLock(connections.reader(url, application_name), key)

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:  # noqa: ARG002
        return connection.dialect.name == self.name and isinstance(mutex, AppLock) and mutex.is_seen_by(connection)

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        return holder_of(connection, key)

    # -- Backups and scratch databases

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:  # noqa: ARG002
        [(database,)] = fetch(connection, "select db_name()")
        raise BackupFailedError("failed", NO_BACKUP.format(database=database.replace("]", "]]")))

    def scratch(self, url: URL, request: ScratchRequest) -> AbstractContextManager[Scratch]:  # noqa: ARG002
        raise ScratchUnavailableError(NO_SCRATCH)

    def outreach(self, sql: str, schemas: Collection[str]) -> str | None:  # noqa: ARG002
        return None  # nothing is replayed
