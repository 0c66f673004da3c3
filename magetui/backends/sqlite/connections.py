"""Connections to a SQLite file: readers that cannot write, and writers for migrations."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import NullPool

from magetui.backends.base import READ_LOCK_TIMEOUT_MS, WriteHooks
from magetui.backends.sqlite.async_driver import driver_of
from magetui.backends.sqlite.files import DATABASE_LIST_SQL, database_path, main_file
from magetui.backends.sqlite.transactions import Transactions
from magetui.model.server import ServerFacts, Timeouts

# The second and third are for files that somebody else wrote (sqlite.org/security.html).
READ_ONLY = ("query_only = on", "trusted_schema = off", "cell_size_check = on")


def reader(url: URL, application_name: str) -> Engine:  # noqa: ARG001 - SQLite has no application names
    """See `Connections.reader`. If the file does not exist, the connection reads an empty database in memory."""

    def connect() -> sqlite3.Connection:
        path = database_path(url)
        connection = open_reader(path) if path is not None and path.exists() else sqlite3.connect(":memory:")
        for setting in READ_ONLY:
            connection.execute(f"pragma {setting}")
        return connection

    return create_engine(
        "sqlite://",
        creator=connect,
        poolclass=NullPool,
        hide_parameters=True,
        execution_options={"magetui_reads": True},
    )


def writer(url: URL, application_name: str) -> Engine:  # noqa: ARG001
    return create_engine(url.set(drivername="sqlite"), poolclass=NullPool, hide_parameters=True)


def prepare_writer(
    engine: Engine | type[Engine],
    timeouts: Timeouts,
    hooks: WriteHooks,
    application_name: str,  # noqa: ARG001
) -> None:
    Transactions(timeouts, hooks).listen(engine)


def prepare_reader(engine: Engine | type[Engine], application_name: str) -> None:  # noqa: ARG001
    """See `Connections.prepare_reader`."""

    def prepare(connection: Connection, *_: Any) -> None:
        raw = driver_of(connection)
        if raw is not None and not connection.info.get("magetui"):
            connection.info["magetui"] = True
            for setting in READ_ONLY:
                raw.execute(f"pragma {setting}")

    event.listen(engine, "engine_connect", prepare)


def server(connection: Connection) -> ServerFacts:
    """See `Connections.server`. The version is the library's, and the database is the file's path."""
    file = main_file(connection.exec_driver_sql(DATABASE_LIST_SQL))
    return ServerFacts(
        version=sqlite3.sqlite_version,
        database=file or ":memory:",
        schema="main",
        user=None,
        read_only=_read_only(Path(file)) if file else None,
    )


def _read_only(path: Path) -> str | None:
    if not os.access(path, os.W_OK):
        return f"You may read the file {path} but not write it."
    if not os.access(path.parent, os.W_OK):
        return f"SQLite needs to create a journal in {path.parent}, where you may not write."
    return None


def in_transaction(connection: Connection) -> bool:
    raw = driver_of(connection)
    return raw is None or raw.in_transaction


def interrupt(running: Connection, watching: Connection | None) -> None:  # noqa: ARG001
    raw = driver_of(running)
    if raw is not None:
        with suppress(sqlite3.ProgrammingError):  # the connection has just been closed
            raw.interrupt()


def open_reader(path: Path) -> sqlite3.Connection:
    """Open the file read-only. If a killed writer left a journal to roll back, let SQLite roll it back first.

    A read-only connection may not roll a hot journal back (sqlite.org/lockingv3.html, 4.0), so it could read nothing.
    Any ordinary reader would roll it back, and this only restores committed data. Raises `PermissionError` with a
    sentence if the file may not be read.
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
            return connection  # each statement meets the lock itself, and the lock's holder can still be shown
        connection.close()
        if not os.access(path, os.W_OK):
            raise
        connection = sqlite3.connect(f"{location}?mode=rw", uri=True, timeout=timeout, check_same_thread=False)
    return connection
