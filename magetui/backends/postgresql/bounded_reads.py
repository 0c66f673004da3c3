"""Connections of readers, whose patience ends: a server or proxy that falls silent must not hang the program.

libpq waits for an answer inside C, without end and deaf to ctrl+c. psycopg2's remedy, a wait callback, holds for the
whole process: it would take COPY away from migration scripts, and libpq's own trying of several hosts. So here each
statement of a reader runs in a thread of its own, and the one who asked waits where signals are heard. When that
ends, the socket is shut down under the driver, which then reports a broken connection.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from psycopg2 import OperationalError, extensions
from sqlalchemy import Dialect

from magetui.backends.base import READ_STATEMENT_TIMEOUT_MS

PATIENCE_SECONDS = READ_STATEMENT_TIMEOUT_MS / 1000 + 5  # beyond the server's own limit


class ReaderCursor(extensions.cursor):
    connection: ReaderConnection

    def execute(self, query: Any, vars: Any = None) -> None:
        if self.connection.limits and isinstance(query, str):
            query = self.connection.limits + query
        _answered(self.connection, lambda: super(ReaderCursor, self).execute(query, vars))


class ReaderConnection(extensions.connection):
    """A `connection_factory`: what it sends is answered within `patience` seconds (by default
    `PATIENCE_SECONDS`), or the connection is lost.

    `limits` are SET LOCAL statements that each query is sent with. They are one message, so one transaction (manual,
    55.2.2.1), and end with it: where a pooler lends the session, nothing is left on it for its next client.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = ReaderCursor
        self.limits = ""
        self.patience: float | None = None

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        if options.get("cursor_factory") is extensions.cursor:
            del options["cursor_factory"]  # psycopg2's own reading, of hstore's type, insists on the plain one
        return super().cursor(*arguments, **options)

    def commit(self) -> None:
        _answered(self, super().commit)

    def rollback(self) -> None:
        _answered(self, super().rollback)


def connect(dialect: Dialect, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Open a connection (SQLAlchemy's event `do_connect`), waiting where ctrl+c is heard; libpq keeps the time."""
    made: list[Any] = []
    failed: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            made.append(dialect.connect(*arguments, **options))
        except BaseException as error:  # noqa: BLE001 - it is raised again, where it is waited for
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="connect", daemon=True).start()
    done.wait()
    if failed:
        raise failed[0]
    return made[0]


def _answered(connection: ReaderConnection, work: Callable[[], None]) -> None:
    """Do work that waits for the server; whatever it raises is raised here."""
    if connection.closed:
        work()
        return
    patience = connection.patience or PATIENCE_SECONDS
    failed: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised again, where it is waited for
            failed.append(error)
        finally:
            done.set()

    # A socket of our own to the same peer: the number of the driver's may be another file's by then.
    with closing(socket.socket(fileno=os.dup(connection.fileno()))) as peer:
        try:
            # In here, since ctrl+c may come while the thread begins, and it must not be left at the connection.
            threading.Thread(target=run, name="reader", daemon=True).start()
            answered = done.wait(patience)
        finally:
            if not done.is_set():
                with suppress(OSError):  # it is gone already
                    peer.shutdown(socket.SHUT_RDWR)
                done.wait(patience)
    if not answered:
        raise OperationalError(f"the server, or what is in between, has not answered for {patience:g} s")
    if failed:
        raise failed[0]
