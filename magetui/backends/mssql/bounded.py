"""The calls of a reader to its driver, which give up if the server falls silent, so that the program cannot hang.

FreeTDS and mssql-python wait for an answer inside C without a limit, and no driver gives access to its socket. So each
call runs in a thread of its own, and the caller waits where signals are handled. If no answer comes in time, the thread
and its connection are left as they are: to close a connection that another thread is using would crash the driver. Both
end when the system's keepalives find the connection broken, or with the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from magetui.backends.base import READ_STATEMENT_TIMEOUT_MS
from magetui.backends.thread_call import ThreadCall

T = TypeVar("T")

PATIENCE_SECONDS = READ_STATEMENT_TIMEOUT_MS / 1000 + 3  # longer than the drivers' own limit on a statement
CALLS = "magetui_calls"  # the key of the `BoundedCalls` in a connection's `info`


class BoundedCalls:
    """The bounded calls on the connections of one engine."""

    def __init__(self, connect_seconds: float) -> None:
        self._connect_seconds = connect_seconds
        self._left: list[Any] = []  # the connections that are still waiting for an answer

    def apply_to(self, engine: Engine) -> None:
        """Bound how `engine` connects, and let it connect and disconnect without further questions to the server."""
        dialect = engine.dialect

        def close(raw: Any) -> None:
            if not self._is_left(raw):
                type(dialect).do_close(dialect, raw)

        # SQLAlchemy asks a new server about itself, unbounded; our own queries need none of its answers.
        replaced = {"do_close": close, "do_terminate": close, "initialize": lambda _connection: None}
        vars(dialect).update(replaced)
        event.listen(engine, "connect", lambda _raw, record: record.info.update({CALLS: self}))

    def connect(self, work: Callable[[], T]) -> T:
        """Return a new connection. Raises `DBAPIError` if nobody answers."""
        call = ThreadCall(work)
        call.start("connect")
        if not call.wait(self._connect_seconds):
            raise no_answer(None, self._connect_seconds)
        return call.result()

    def answered(self, raw: Any, sql: str, work: Callable[[], T]) -> T:
        """Return the result of `work`, which executes `sql` on `raw`. Raises `DBAPIError` if nobody answers."""
        if self._is_left(raw):
            raise no_answer(sql, PATIENCE_SECONDS)
        call = ThreadCall(work)
        try:
            # The thread starts inside `try`: ctrl+c may arrive now, and the connection would stay in use.
            call.start("reader")
            if not call.wait(PATIENCE_SECONDS):
                raise no_answer(sql, PATIENCE_SECONDS)
        finally:
            if not call.is_done:
                self._left.append(raw)
        return call.result()

    def _is_left(self, raw: Any) -> bool:
        return any(left is raw for left in self._left)


def no_answer(sql: str | None, seconds: float) -> DBAPIError:
    """Return the error for a server that did not answer to `sql`, or to a login (None)."""
    reason = TimeoutError(f"the server has not answered for {seconds:g} s")
    return DBAPIError(sql, None, reason, hide_parameters=True, connection_invalidated=True)


def calls_of(connection: Connection) -> BoundedCalls | None:
    """Return the bounded calls of a reader's connection; None for a connection that migrates."""
    calls = connection.info.get(CALLS)
    return calls if isinstance(calls, BoundedCalls) else None
