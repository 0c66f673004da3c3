"""The PostgreSQL backend: a façade over this package's modules.

See `magetui.backends.base` for what each function returns. Modules that few verbs need are imported when they are
needed, because imports are most of the start-up time.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from magetui.backends.base import READ_LOCK_TIMEOUT_MS, Backend, Mutex, WriteHooks
from magetui.backends.postgresql import (
    catalog,
    connections,
    counts,
    failures,
    server,
    sessions,
    surroundings,
)
from magetui.backends.postgresql.mutex import AdvisoryLock, holder_of
from magetui.model.server import Timeouts

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection

    from magetui.backends.backup import BackupJob, BackupOptions
    from magetui.backends.scratch import Scratch, ScratchRequest
    from magetui.model.schema import FirstRows, Table
    from magetui.model.schema_change import SchemaObject
    from magetui.model.sessions import MutexHolder, StatementProgress

# A replay waits for nobody, because other sessions may queue behind it. On tables without rows no statement is slow.
SCRATCH_TIMEOUTS = Timeouts(lock_ms=READ_LOCK_TIMEOUT_MS, statement_ms=60_000)


class PostgreSQL(Backend):
    """See `Backend`."""

    name = "postgresql"
    backup_suffix = ".dump"
    server_side_timeouts = True

    reader = staticmethod(connections.reader)
    writer = staticmethod(connections.writer)
    prepare_writer = staticmethod(connections.prepare_writer)
    prepare_reader = staticmethod(connections.prepare_reader)
    server = staticmethod(server.read_server)
    password_used = staticmethod(connections.password_used)
    session_id = staticmethod(connections.session_id)
    in_transaction = staticmethod(connections.in_transaction)
    interrupt = staticmethod(connections.interrupt)
    abandon = staticmethod(connections.abandon)
    failure = staticmethod(failures.failure)

    version_tables = staticmethod(catalog.version_tables)
    version_schema = staticmethod(catalog.version_schema)
    leftovers = staticmethod(catalog.leftovers)
    not_owned = staticmethod(catalog.not_owned)
    withheld = staticmethod(catalog.withheld)
    tables = staticmethod(catalog.tables)
    table_details = staticmethod(catalog.table_details)
    enum_types = staticmethod(catalog.enum_types)
    count = staticmethod(counts.count)
    find = staticmethod(surroundings.find)
    castable = staticmethod(surroundings.castable)
    surroundings = staticmethod(surroundings.surroundings)

    lock_names = staticmethod(sessions.lock_names)
    session_waits = staticmethod(sessions.session_waits)
    session_exists = staticmethod(sessions.session_exists)
    cancel = staticmethod(sessions.cancel)
    terminate = staticmethod(sessions.terminate)
    sessions = staticmethod(sessions.sessions)

    def schema_objects(self, connection: Connection) -> tuple[SchemaObject, ...]:
        from magetui.backends.postgresql.objects import schema_objects

        return schema_objects(connection)

    def first_rows(self, connection: Connection, table: Table) -> FirstRows:
        from magetui.backends.postgresql.rows import first_rows

        return first_rows(connection, table)

    def progress(self, connection: Connection, pid: int) -> StatementProgress | None:
        from magetui.backends.postgresql.progress import progress

        return progress(connection, pid)

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:  # noqa: ARG002
        return AdvisoryLock(connections.bounded_engine(url, application_name), key)

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:  # noqa: ARG002
        return connection.dialect.name == self.name and isinstance(mutex, AdvisoryLock) and mutex.is_seen_by(connection)

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        return holder_of(connection, key)

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
