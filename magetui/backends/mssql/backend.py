"""The SQL Server backend: a façade over this package's modules. Experimental, since no test has met a server.

It rests on Microsoft's documentation (Transact-SQL reference: SET LOCK_TIMEOUT, sp_getapplock, APPLOCK_TEST, KILL, the
catalog views, sys.dm_exec_sessions, sys.dm_exec_requests, sys.dm_tran_locks) and on the source code of the drivers.
See `magetui.backends.base` for what each function returns.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress

from sqlalchemy.engine import URL, Connection

from magetui.backends.backup import BackupFailedError, BackupJob, BackupOptions
from magetui.backends.base import Backend, Mutex
from magetui.backends.mssql import catalog, connections, counts, failures, server, sessions, transactions
from magetui.backends.mssql.cancelling import cancellable
from magetui.backends.mssql.mutex import AppLock, holder_of
from magetui.backends.mssql.query import fetch, identifier
from magetui.backends.problems import driver_module
from magetui.backends.scratch import Scratch, ScratchRequest, ScratchUnavailableError
from magetui.model.server import Failure
from magetui.model.sessions import MutexHolder

NO_BACKUP = (
    "magetui makes no backup of SQL Server yet: the server writes a backup to its own disk. In any client: {command}"
)
BACKUP_COMMAND = "BACKUP DATABASE {database} TO DISK = N'…' WITH COPY_ONLY, CHECKSUM"
NO_SCRATCH = "magetui builds no scratch schema on SQL Server yet."


class SQLServer(Backend):
    """See `Backend`."""

    name = "mssql"
    backup_suffix = ".bak"
    server_side_timeouts = False

    def __init__(self) -> None:
        self._killed = False  # whether `interrupt` ended a run's own session

    reader = staticmethod(connections.reader)
    writer = staticmethod(connections.writer)
    prepare_writer = staticmethod(connections.prepare_writer)
    prepare_reader = staticmethod(connections.prepare_reader)
    server = staticmethod(server.read_server)
    session_id = staticmethod(connections.session_id)
    in_transaction = staticmethod(transactions.in_transaction)
    abandon = staticmethod(connections.abandon)

    def interrupt(self, running: Connection, watching: Connection | None) -> None:
        """Cancel the statement if the driver can do so from another thread (pyodbc), else try to end our session."""
        if running.dialect.driver == "pyodbc":
            cancellable(running).cancel(driver_module(running.dialect).Error)
        elif watching is not None and (session := self.session_id(running)) is not None:
            with suppress(PermissionError):
                self._killed = self.terminate(watching, session) or self._killed

    def failure(self, error: BaseException) -> Failure:
        return failures.failure(error, killed=self._killed)

    version_tables = staticmethod(catalog.version_tables)
    leftovers = staticmethod(catalog.leftovers)
    not_owned = staticmethod(catalog.not_owned)
    tables = staticmethod(catalog.tables)
    table_details = staticmethod(catalog.table_details)
    count = staticmethod(counts.count)

    session_waits = staticmethod(sessions.session_waits)
    session_exists = staticmethod(sessions.session_exists)
    terminate = staticmethod(sessions.terminate)  # SQL Server cannot cancel a statement: KILL ends the session
    sessions = staticmethod(sessions.sessions)

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:  # noqa: ARG002
        return AppLock(connections.reader(url, application_name), key)

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:  # noqa: ARG002
        return connection.dialect.name == self.name and isinstance(mutex, AppLock) and mutex.is_seen_by(connection)

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        return holder_of(connection, key)

    def other_backup(self, database: str) -> str | None:
        return f"in any client, {BACKUP_COMMAND.format(database=identifier(database))}"

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:  # noqa: ARG002
        [(database,)] = fetch(connection, "select db_name()")
        command = BACKUP_COMMAND.format(database=identifier(database))
        raise BackupFailedError("failed", NO_BACKUP.format(command=command))

    def scratch(self, url: URL, request: ScratchRequest) -> AbstractContextManager[Scratch]:  # noqa: ARG002
        raise ScratchUnavailableError(NO_SCRATCH)
