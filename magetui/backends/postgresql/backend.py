"""The PostgreSQL backend: a façade over this package's modules.

See `magetui.backends.base` for what each function returns. Modules that few verbs need are imported when they are
needed, because imports are most of the start-up time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from magetui.backends.backup import BackupJob, BackupOptions
from magetui.backends.base import READ_LOCK_TIMEOUT_MS, Mutex, WriteHooks
from magetui.backends.postgresql import catalog, connections, failures, progress, server, sessions
from magetui.backends.postgresql.mutex import AdvisoryLock, holder_of
from magetui.backends.scratch import Scratch, ScratchRequest
from magetui.model.schema import Counted, Table, Wanted
from magetui.model.server import ServerFacts, Timeouts
from magetui.model.sessions import MutexHolder, Session, StatementProgress

# A replay waits for nobody, because other sessions may queue behind it. On tables without rows no statement is slow.
SCRATCH_TIMEOUTS = Timeouts(lock_ms=READ_LOCK_TIMEOUT_MS, statement_ms=60_000)


class PostgreSQL:
    """See `Backend`."""

    name = "postgresql"
    backup_suffix = ".dump"
    server_side_timeouts = True

    # -- Connections

    reader = staticmethod(connections.reader)
    writer = staticmethod(connections.writer)
    prepare_writer = staticmethod(connections.prepare_writer)
    password_used = staticmethod(connections.password_used)
    session_id = staticmethod(connections.session_id)
    in_transaction = staticmethod(connections.in_transaction)
    interrupt = staticmethod(connections.interrupt)
    abandon = staticmethod(connections.abandon)
    failure = staticmethod(failures.failure)

    def server(self, connection: Connection) -> ServerFacts:
        return server.read_server(connection)

    # -- Catalog

    version_tables = staticmethod(catalog.version_tables)
    leftovers = staticmethod(catalog.leftovers)
    not_owned = staticmethod(catalog.not_owned)
    tables = staticmethod(catalog.tables)
    table_details = staticmethod(catalog.table_details)
    enum_types = staticmethod(catalog.enum_types)

    def definitions(self, connection: Connection) -> tuple[str, ...]:  # noqa: ARG002
        return ()  # Alembic's SQL does not depend on the existing schema

    def count(
        self, connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int
    ) -> tuple[Counted, ...]:
        from magetui.backends.postgresql.counts import count

        return count(connection, table, wanted, limit_ms)

    # -- Sessions

    def sessions(self, connection: Connection) -> tuple[Session, ...]:
        return sessions.sessions(connection)

    def session_waits(self, connection: Connection, pid: int) -> bool:
        return sessions.session_waits(connection, pid)

    def session_exists(self, connection: Connection, pid: int, application_name: str) -> bool:
        return sessions.session_exists(connection, pid, application_name)

    def progress(self, connection: Connection, pid: int) -> StatementProgress | None:
        return progress.progress(connection, pid)

    def cancel(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        return sessions.cancel(connection, pid, began)

    def terminate(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        return sessions.terminate(connection, pid, began)

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:  # noqa: ARG002
        return AdvisoryLock(connections.bounded_engine(url, application_name), key)

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:  # noqa: ARG002
        return connection.dialect.name == self.name and isinstance(mutex, AdvisoryLock) and mutex.is_seen_by(connection)

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        return holder_of(connection, key)

    # -- Backups and scratch databases

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:
        from magetui.backends.postgresql.dump import Dump, Origin, PgDump

        origin = Origin.read(connection)
        return Dump(url, origin, PgDump.locate(options.pg_dump, origin), options)

    def scratch(self, url: URL, request: ScratchRequest) -> AbstractContextManager[Scratch]:
        from magetui.backends.postgresql.scratch import refuse_pooler, scratch

        engine = self.writer(url, request.application_name)
        self.prepare_writer(engine, SCRATCH_TIMEOUTS, WriteHooks(pooled=refuse_pooler), request.application_name)
        return scratch(engine, request)

    def outreach(self, sql: str, schemas: Collection[str]) -> str | None:
        from magetui.backends.postgresql.scratch import outreach

        return outreach(sql, schemas)
