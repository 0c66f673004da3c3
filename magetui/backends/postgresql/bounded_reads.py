"""Connections of readers, which give up if a server or proxy falls silent, so that the program cannot hang.

libpq waits for an answer inside C, without a limit, and ctrl+c does not reach it. psycopg2's own remedy is a wait
callback, but that holds for the complete process: migration scripts could no longer use COPY, and libpq could no
longer try several hosts. So each statement of a reader runs in a thread of its own, and the caller waits where signals
are handled. When the caller's time is over, the socket is shut down under the driver, which then reports a broken
connection.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from typing import Any

from psycopg2 import OperationalError, extensions
from sqlalchemy.engine import Dialect

from magetui.backends.base import READ_STATEMENT_TIMEOUT_MS
from magetui.backends.thread_call import ThreadCall
from magetui.model.names import literal

OWN_NAMES = "set local search_path = pg_catalog, pg_temp"
QUERY = re.compile(r"(?:\s|--[^\n]*\n)*(?:select|with)\b", re.IGNORECASE)
TEXT_TYPES = (25, 19, 1043, 1042, 18, 705)  # text name varchar bpchar "char" unknown
TEXT_ARRAYS = (1009, 1003, 1015, 1014, 1002)
PATIENCE_SECONDS = READ_STATEMENT_TIMEOUT_MS / 1000 + 5  # longer than the server's own limit


class ReaderCursor(extensions.cursor):
    """The cursor of a `ReaderConnection`."""

    connection: ReaderConnection

    def execute(self, query: Any, vars: Any = None) -> None:
        if isinstance(query, str):
            query = self.connection.limits + self.connection.resolved(query)
        if self.connection.keeps_bytes:
            query, vars = _sent(query), _sent(vars)
        _answered(self.connection, lambda: super(ReaderCursor, self).execute(query, vars))


class ReaderConnection(extensions.connection):
    """A `connection_factory` whose connections break if the server does not answer within `patience` seconds.

    `patience` is `PATIENCE_SECONDS` unless it is set. `limits` are SET LOCAL statements that are sent with each query.
    They are in the same message as the query, so in one transaction (manual, 55.2.2.1), and end with it. A pooler that
    lends the session to its next client leaves none of them behind. `path` is the session's search_path, once known.
    `keeps_bytes`: the database has no encoding (SQL_ASCII), so that a text may be in any, or in none.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.cursor_factory = ReaderCursor
        self.limits = ""
        self.path: str | None = None
        self.keeps_bytes = False
        self.patience: float | None = None

    def cursor(self, *arguments: Any, **options: Any) -> Any:
        if options.get("cursor_factory") is extensions.cursor:
            del options["cursor_factory"]  # psycopg2 insists on the plain cursor when it reads the type of hstore
        return super().cursor(*arguments, **options)

    def prepare(self) -> None:
        """Learn the session's search_path, and how its texts are encoded. In autocommit: a pooler may accept no BEGIN.

        The connection is in UTF-8, into which a server converts every encoding but SQL_ASCII (manual, 23.3.4). Such
        texts are read as Latin-1, which any byte is, and then as UTF-8, in which an invalid byte becomes a surrogate.
        """
        self.autocommit = True
        if self.get_parameter_status("server_encoding") == "SQL_ASCII":
            _answered(self, lambda: self.set_client_encoding("LATIN1"))
            self.keeps_bytes = True
            text = extensions.new_type(TEXT_TYPES, "TEXT", _received)
            extensions.register_type(text, self)
            extensions.register_type(extensions.new_array_type(TEXT_ARRAYS, "TEXTS", text), self)
        with self.cursor() as cursor:
            cursor.execute("show search_path")
            [self.path] = cursor.fetchone()

    def resolved(self, query: str) -> str:
        """Return a query whose functions, operators and types are PostgreSQL's own, whatever the search_path names.

        A function of a lesser role that is named as one of PostgreSQL's would run with our rights if its parameters fit
        better. So the query is parsed and planned, as a cursor, while search_path is pg_catalog. It runs with the
        session's own search_path, on which `current_schema()` and the spelling of names depend (manual, DECLARE).
        """
        if self.path is None or not self.autocommit or not QUERY.match(query):
            return query
        path = literal(self.path).replace("%", "%%")
        return (
            f"{OWN_NAMES}; declare magetui no scroll cursor for {query}; "
            f"select set_config('search_path', {path}, true); fetch all from magetui"
        )

    def commit(self) -> None:
        _answered(self, super().commit)

    def rollback(self) -> None:
        _answered(self, super().rollback)


def connect(dialect: Dialect, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Any:
    """Open a connection (event `do_connect`) in a thread, so that ctrl+c works. libpq's connect_timeout limits it."""
    call = ThreadCall(lambda: dialect.connect(*arguments, **options))
    call.start("connect")
    call.wait()
    try:
        return call.result()
    except UnicodeDecodeError as error:
        # A server that refuses a login says so in its own language and encoding, which nobody knows yet.
        raise OperationalError(bytes(error.object).decode("utf-8", "replace")) from None


def _received(value: str | bytes | None, _cursor: Any) -> str | None:
    return value.encode("latin-1").decode("utf-8", "surrogateescape") if isinstance(value, str) else None


def _sent(value: Any) -> Any:
    """Return a query or its parameters with texts whose Latin-1 bytes are the wanted ones."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    if isinstance(value, Mapping):
        return {key: _sent(item) for key, item in value.items()}
    return type(value)(map(_sent, value)) if isinstance(value, (list, tuple)) else value


def _answered(connection: ReaderConnection, work: Callable[[], None]) -> None:
    """Do work that waits for the server. Raises what the work raises, or `OperationalError` if no answer comes."""
    try:
        descriptor = None if connection.closed else os.dup(connection.fileno())
    except OSError:  # the thread of a statement that was given up has just closed it
        descriptor = None
    if descriptor is None:
        work()
        return
    patience = connection.patience or PATIENCE_SECONDS
    call = ThreadCall(work)
    # Our own socket object for the same peer: the driver's descriptor may belong to another file by then.
    with closing(socket.socket(fileno=descriptor)) as peer:
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
