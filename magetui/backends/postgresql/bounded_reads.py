"""Connections of readers, which give up if a server or proxy falls silent, so that the program cannot hang.

libpq waits for an answer inside C, without a limit, and ctrl+c does not reach it. psycopg2's own remedy is a wait
callback, but that holds for the complete process: migration scripts could no longer use COPY, and libpq could no
longer try several hosts. So each statement of a reader runs in a thread of its own, and the caller waits where signals
are handled. When the caller's time is over, the socket is shut down under the driver, which then reports a broken
connection.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from psycopg2 import OperationalError, extensions
from sqlalchemy import Dialect

from magetui.backends.base import READ_STATEMENT_TIMEOUT_MS
from magetui.backends.thread_call import ThreadCall

PATIENCE_SECONDS = READ_STATEMENT_TIMEOUT_MS / 1000 + 5  # longer than the server's own limit


class ReaderCursor(extensions.cursor):
    """The cursor of a `ReaderConnection`."""

    connection: ReaderConnection

    def execute(self, query: Any, vars: Any = None) -> None:
        if self.connection.limits and isinstance(query, str):
            query = self.connection.limits + query
        _answered(self.connection, lambda: super(ReaderCursor, self).execute(query, vars))


class ReaderConnection(extensions.connection):
    """A `connection_factory` whose connections break if the server does not answer within `patience` seconds.

    `patience` is `PATIENCE_SECONDS` unless it is set. `limits` are SET LOCAL statements that are sent with each query.
    They are in the same message as the query, so in one transaction (manual, 55.2.2.1), and end with it. A pooler that
    lends the session to its next client leaves none of them behind.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = ReaderCursor
        self.limits = ""
        self.patience: float | None = None

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        if options.get("cursor_factory") is extensions.cursor:
            del options["cursor_factory"]  # psycopg2 insists on the plain cursor when it reads the type of hstore
        return super().cursor(*arguments, **options)

    def commit(self) -> None:
        _answered(self, super().commit)

    def rollback(self) -> None:
        _answered(self, super().rollback)


def connect(dialect: Dialect, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Open a connection (event `do_connect`) in a thread, so that ctrl+c works. libpq's connect_timeout limits it."""
    call = ThreadCall(lambda: dialect.connect(*arguments, **options))
    call.start("connect")
    call.wait()
    return call.result()


def _answered(connection: ReaderConnection, work: Callable[[], None]) -> None:
    """Do work that waits for the server. Raises what the work raises, or `OperationalError` if no answer comes."""
    if connection.closed:
        work()
        return
    patience = connection.patience or PATIENCE_SECONDS
    call = ThreadCall(work)
    # Our own socket object for the same peer: the driver's descriptor may belong to another file by then.
    with closing(socket.socket(fileno=os.dup(connection.fileno()))) as peer:
        try:
            # The thread starts inside `try`: ctrl+c may arrive now, and must not leave the thread on the connection.
            call.start("reader")
            answered = call.wait(patience)
        finally:
            if not call.is_done:
                with suppress(OSError):  # the connection is already gone
                    peer.shutdown(socket.SHUT_RDWR)
                call.wait(patience)
    if not answered:
        raise OperationalError(f"the server, or a proxy in front of it, has not answered for {patience:g} s")
    call.result()
