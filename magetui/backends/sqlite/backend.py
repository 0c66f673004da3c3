"""SQLite through Python's own driver: readers that cannot write, DDL in a real transaction, waits that can be seen.

Two of the driver's habits are set right here. It does not open a transaction before DDL, which would leave half of
a failed upgrade behind: `prepare_writer` turns its transaction control off and says BEGIN IMMEDIATE itself. And it
waits for locks inside C, deaf and silent: here a lock is waited for in short tries, so that the countdown is live
and a cancellation is heard. What is read from the schema stands in `sqlite_catalog`.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from magetui.backends.backup import BackupFailedError, BackupJob, BackupOptions
from magetui.backends.base import READ_LOCK_TIMEOUT_MS, Mutex, WriteHooks
from magetui.backends.scratch import Place, Scratch
from magetui.backends.sqlite import catalog
from magetui.backends.sqlite.async_driver import Driver, driver_of
from magetui.backends.sqlite.mutex import LockFile, holder_of
from magetui.model.schema import Counted, EnumType, Leftover, Table, TableDetail, VersionTable, Wanted
from magetui.model.server import Failure, ServerFacts, Timeouts
from magetui.model.sessions import MutexHolder, Session, StatementProgress

TRY_MS = 50

FOREIGN_KEYS_OFF = re.compile(
    r"\s*pragma\s+(?:\w+\s*\.\s*)?foreign_keys\s*[=(]\s*['\"]?(?:off|0|false|no)\b", re.IGNORECASE
)
READS = re.compile(r"\s*(?:select|pragma)\b", re.IGNORECASE)
FOREIGN_KEYS_STAY_ON = (
    "SQLite ignores PRAGMA foreign_keys in the middle of a transaction, and rows could be lost: "
    "migrate up to the revision before this one first, then on."
)
IN_MEMORY = "The database is in memory alone: there is nothing to be backed up."


class SQLite:
    """See `Backend`."""

    name = "sqlite"
    backup_suffix = ".db"
    server_side_timeouts = False

    def reader(self, url: URL, application_name: str) -> Engine:  # noqa: ARG002
        def connect() -> sqlite3.Connection:
            path = database_path(url)
            there = path is not None and path.exists()
            connection = _open_reader(path) if path and there else sqlite3.connect(":memory:")  # not there: empty
            connection.execute("pragma query_only = on")
            return connection

        return create_engine(
            "sqlite://",
            creator=connect,
            poolclass=NullPool,
            hide_parameters=True,
            execution_options={"magetui_reads": True},
        )

    def writer(self, url: URL, application_name: str) -> Engine:  # noqa: ARG002
        return create_engine(url.set(drivername="sqlite"), poolclass=NullPool, hide_parameters=True)

    def prepare_writer(
        self,
        engine: Engine | type[Engine],
        timeouts: Timeouts,
        hooks: WriteHooks,
        application_name: str,  # noqa: ARG002 - SQLite knows no names
    ) -> None:
        writers: dict[str, Driver] = {}  # by file, the connection that began to write it

        def prepare(connection: Connection) -> None:
            raw = _writing(connection)
            if raw is not None and not connection.info.get("magetui"):
                connection.info["magetui"] = True
                raw.isolation_level = None
                raw.execute(f"pragma busy_timeout = {TRY_MS}")

        def begin(connection: Connection) -> None:
            raw = _writing(connection)
            autocommit = connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
            if raw is not None and not raw.in_transaction and not autocommit:
                connection.info["magetui_wrote"] = False
                file = _file_of(raw)
                writer = writers.get(file)
                if file and writer is not None and writer is not raw and _is_in_transaction(writer):
                    raw.execute("begin")  # a script's second connection would wait for our own lock
                    return
                writers[file] = raw
                _in_short_tries(raw, "begin immediate", timeouts, hooks)

        def execute(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
            """Let a script turn foreign keys off, which SQLite ignores inside a transaction (sqlite.org/pragma.html).

            A batch operation that rebuilds a table would else delete the rows that refer to it.
            """
            raw = _writing(connection)
            if raw is None or not raw.in_transaction:
                return
            if not FOREIGN_KEYS_OFF.match(statement):
                connection.info["magetui_wrote"] = connection.info.get("magetui_wrote") or not READS.match(statement)
                return
            if not raw.execute("pragma foreign_keys").fetchone()[0]:
                return
            if connection.info.get("magetui_wrote"):
                raise sqlite3.OperationalError(FOREIGN_KEYS_STAY_ON)
            raw.execute("rollback")
            raw.execute("pragma foreign_keys = off")
            _in_short_tries(raw, "begin immediate", timeouts, hooks)

        def commit(connection: Connection) -> None:
            raw = _writing(connection)
            if raw is not None and raw.in_transaction:
                _in_short_tries(raw, "commit", timeouts, hooks)  # readers hold a commit up

        event.listen(engine, "engine_connect", prepare)
        event.listen(engine, "begin", begin)
        event.listen(engine, "before_cursor_execute", execute)
        event.listen(engine, "commit", commit)

    def server(self, connection: Connection) -> ServerFacts:
        path = next(
            (Path(row[2]) for row in connection.exec_driver_sql("pragma database_list") if row[1] == "main"),
            None,
        )
        read_only = None
        if path is not None and path.name:
            if not os.access(path, os.W_OK):
                read_only = f"You may read the file {path} but not write it."
            elif not os.access(path.parent, os.W_OK):
                read_only = f"SQLite needs to make a journal in {path.parent}, where you may not write."
        return ServerFacts(
            version=sqlite3.sqlite_version,
            database=str(path) if path is not None and path.name else ":memory:",
            schema="main",
            user=None,
            read_only=read_only,
        )

    def password_used(self, connection: Connection) -> str | None:  # noqa: ARG002 - a file has none
        return None

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

    def enum_types(self, connection: Connection) -> tuple[EnumType, ...]:  # noqa: ARG002
        return ()

    def definitions(self, connection: Connection) -> tuple[str, ...]:
        return catalog.definitions(connection)

    def count(
        self, connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int
    ) -> tuple[Counted, ...]:
        from magetui.backends.sqlite.counts import count

        return count(connection, table, wanted, limit_ms)

    def sessions(self, connection: Connection) -> tuple[Session, ...]:
        return catalog.sessions(connection)

    def session_waits(self, connection: Connection, pid: int) -> bool:  # noqa: ARG002
        return False  # waits are told by `WriteHooks.waited`

    def session_exists(self, connection: Connection, pid: int, application_name: str) -> bool:  # noqa: ARG002
        return False

    def progress(self, connection: Connection, pid: int) -> StatementProgress | None:  # noqa: ARG002
        return None  # SQLite tells nobody how far it is

    def cancel(self, connection: Connection, pid: int, began: str | None = None) -> bool:  # noqa: ARG002
        return False  # a process, not a session of a server: it is not ours to signal

    def terminate(self, connection: Connection, pid: int, began: str | None = None) -> bool:  # noqa: ARG002
        return False

    def session_id(self, connection: Connection) -> int | None:  # noqa: ARG002
        return None

    def interrupt(self, running: Connection, watching: Connection | None) -> None:  # noqa: ARG002
        raw = driver_of(running)
        if raw is not None:
            with suppress(sqlite3.ProgrammingError):  # it has just been closed
                raw.interrupt()

    def abandon(self, connection: Connection) -> None:
        """There is no line to a file."""

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:  # noqa: ARG002
        return LockFile(database_path(url), note)

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:  # noqa: ARG002
        path = database_path(url)
        raw = driver_of(connection)
        if raw is None or path is None:
            return False
        files = [row[2] for row in raw.execute("pragma database_list") if row[1] == "main"]
        return bool(files and files[0]) and path.exists() and path.samefile(files[0])

    def in_transaction(self, connection: Connection) -> bool:
        raw = driver_of(connection)
        return raw is None or raw.in_transaction

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        return holder_of(database_path(url))

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:  # noqa: ARG002
        from magetui.backends.sqlite.copy import Copy

        path = database_path(url)
        if path is None or not path.exists():
            raise BackupFailedError("nothing", f"There is no file {path} to be backed up." if path else IN_MEMORY)
        log = path.with_name(path.name + "-wal")
        size = path.stat().st_size + (log.stat().st_size if log.exists() else 0)
        return Copy(path.absolute(), size, options, lambda: _open_reader(path))

    def scratch(self, url: URL, place: Place) -> AbstractContextManager[Scratch]:  # noqa: ARG002
        from magetui.backends.sqlite.scratch import scratch

        engine = create_engine("sqlite://", poolclass=StaticPool, hide_parameters=True)
        self.prepare_writer(engine, Timeouts(), WriteHooks(), place.application_name)
        return scratch(engine)

    def outreach(self, sql: str, schemas: Collection[str]) -> str | None:  # noqa: ARG002
        from magetui.backends.sqlite.scratch import outreach

        return outreach(sql)

    def failure(self, error: BaseException) -> Failure:
        original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        message = str(original).strip()
        if isinstance(original, PermissionError):
            return Failure("not-readable", message)
        if "locked" in message and isinstance(original, sqlite3.OperationalError):
            return Failure("lock-timeout", message)
        if "interrupted" in message:
            return Failure("cancelled", message)
        if "file is not a database" in message or "malformed" in message:
            return Failure("not-a-database", message)
        if "unable to open database file" in message:
            return Failure("not-readable", message)
        return Failure("failed" if isinstance(original, sqlite3.Error) else "other", message)


def database_path(url: URL) -> Path | None:
    """The file of a SQLite URL; None for a database in memory. `file:` URIs are taken by their path."""
    database = url.database
    if not database or database == ":memory:" or url.query.get("mode") == "memory":
        return None
    if not database.startswith("file:"):
        return Path(database)
    path = unquote(re.split("[?#]", database.removeprefix("file:"))[0])
    return None if path == ":memory:" else Path(path)


def _open_reader(path: Path) -> sqlite3.Connection:
    """Open the file read-only; where a killed writer left a journal to be rolled back, let SQLite do that first.

    A read-only connection may not roll a hot journal back (sqlite.org/lockingv3.html, 4.0) and could read nothing;
    any ordinary reader would do it, and it only restores what was committed.
    """
    if not os.access(path, os.R_OK):
        raise PermissionError(f"You may not read the file {path}.")
    timeout = READ_LOCK_TIMEOUT_MS / 1000
    location = f"file:{quote(str(path.absolute()))}"
    connection = sqlite3.connect(f"{location}?mode=ro", uri=True, timeout=timeout, check_same_thread=False)
    try:
        connection.execute("select 1 from sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return connection  # each statement meets the lock for itself; who holds it can be seen all the same
        connection.close()
        if not os.access(path, os.W_OK):
            raise
        connection = sqlite3.connect(f"{location}?mode=rw", uri=True, timeout=timeout, check_same_thread=False)
    return connection


def _writing(connection: Connection) -> Driver | None:
    """The driver's connection, where it is of this kind of database and not one of our readers."""
    return None if connection.get_execution_options().get("magetui_reads") else driver_of(connection)


def _file_of(raw: Driver) -> str:
    """The file of a connection as SQLite names it; empty for a database in memory."""
    return next((row[2] or "" for row in raw.execute("pragma database_list") if row[1] == "main"), "")


def _is_in_transaction(raw: Driver) -> bool:
    try:
        return raw.in_transaction
    except sqlite3.ProgrammingError:
        return False  # it is closed


def _in_short_tries(raw: Driver, statement: str, timeouts: Timeouts, hooks: WriteHooks) -> None:
    """Run a statement that may meet a lock, in tries of `TRY_MS`, until the lock timeout is over."""
    started = time.monotonic()
    while True:
        try:
            raw.execute(statement)
        except sqlite3.OperationalError as error:
            elapsed_ms = int((time.monotonic() - started) * 1000)
            if "locked" not in str(error) or (timeouts.lock_ms and elapsed_ms >= timeouts.lock_ms):
                raise
            hooks.waited(elapsed_ms)
        else:
            hooks.obtained()
            return
