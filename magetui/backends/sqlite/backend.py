"""The SQLite backend: a façade over this package's modules.

See `magetui.backends.base` for what each function returns. SQLite has no server, so it has no sessions to cancel or
end: other users of the file are processes.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, Connection
from sqlalchemy.pool import StaticPool

from magetui.backends.backup import BackupFailedError, BackupJob, BackupOptions
from magetui.backends.base import Backend, Mutex, WriteHooks
from magetui.backends.scratch import Scratch, ScratchRequest
from magetui.backends.sqlite import catalog, connections, counts, failures, sessions, surroundings
from magetui.backends.sqlite.async_driver import driver_of
from magetui.backends.sqlite.files import DATABASE_LIST_SQL, database_path, main_file
from magetui.backends.sqlite.mutex import LockFile, holder_of
from magetui.model.schema import FirstRows, Table
from magetui.model.server import Timeouts
from magetui.model.sessions import MutexHolder

IN_MEMORY = "The database is in memory alone, so there is no file to back up."


class SQLite(Backend):
    """See `Backend`. `WriteHooks.waited` reports waits, and no process is signalled."""

    name = "sqlite"
    backup_suffix = ".db"
    server_side_timeouts = False

    reader = staticmethod(connections.reader)
    writer = staticmethod(connections.writer)
    prepare_writer = staticmethod(connections.prepare_writer)
    prepare_reader = staticmethod(connections.prepare_reader)
    server = staticmethod(connections.server)
    in_transaction = staticmethod(connections.in_transaction)
    interrupt = staticmethod(connections.interrupt)
    failure = staticmethod(failures.failure)

    version_tables = staticmethod(catalog.version_tables)
    leftovers = staticmethod(catalog.leftovers)
    tables = staticmethod(catalog.tables)
    table_details = staticmethod(catalog.table_details)
    definitions = staticmethod(catalog.definitions)
    schema_objects = staticmethod(catalog.schema_objects)
    count = staticmethod(counts.count)
    find = staticmethod(surroundings.find)
    surroundings = staticmethod(surroundings.surroundings)

    sessions = staticmethod(sessions.sessions)

    def first_rows(self, connection: Connection, table: Table) -> FirstRows:
        from magetui.backends.sqlite.rows import first_rows

        return first_rows(connection, table)

    def lock_names(self, connection: Connection, table: Table) -> None:
        """See `Sessions.lock_names`: SQLite locks the complete file."""

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:  # noqa: ARG002
        return LockFile(database_path(url), note)

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:  # noqa: ARG002
        path = database_path(url)
        raw = driver_of(connection)
        if raw is None or path is None:
            return False
        file = main_file(raw.execute(DATABASE_LIST_SQL))
        return bool(file) and path.exists() and path.samefile(file)

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        return holder_of(database_path(url))

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:  # noqa: ARG002
        from magetui.backends.sqlite.copy import Copy

        path = database_path(url)
        if path is None or not path.exists():
            raise BackupFailedError("nothing", f"There is no file {path} to back up." if path else IN_MEMORY)
        log = path.with_name(path.name + "-wal")
        size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
        return Copy(path.absolute(), size, options, lambda: connections.open_reader(path))

    def scratch(self, url: URL, request: ScratchRequest) -> AbstractContextManager[Scratch]:  # noqa: ARG002
        from magetui.backends.sqlite.scratch import scratch

        engine = create_engine("sqlite://", poolclass=StaticPool, hide_parameters=True)
        self.prepare_writer(engine, Timeouts(), WriteHooks(), request.application_name)
        return scratch(engine)

    def outreach(self, sql: str, schemas: Collection[str]) -> str | None:  # noqa: ARG002
        from magetui.backends.sqlite.scratch import outreach

        return outreach(sql)
