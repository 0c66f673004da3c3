"""How a run's statement is cancelled from the watcher's thread, with the one driver that can do so: pyodbc.

Microsoft's ODBC driver crashes the process if a statement is closed while SQLCancel is at work on it. So a statement
is in a `Cancellable` while the driver executes it, and its own thread waits for a cancel that is at work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine

CANCELLABLE = "magetui_cancellable"  # the key of the `Cancellable` in a connection's `info`


class Cancellable:
    """The cursor that a connection is executing, if any."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._cursor: Any = None

    @contextmanager
    def executing(self, cursor: Any) -> Iterator[None]:
        self._cursor = cursor
        try:
            yield
        finally:
            with self._turn:
                self._cursor = None

    def cancel(self, driver_error: type[Exception]) -> None:
        """Cancel the statement, if one is executing. Called from another thread."""
        with self._turn, suppress(driver_error):
            if self._cursor is not None:
                self._cursor.cancel()


def cancellable(connection: Connection) -> Cancellable:
    """Return what holds the running cursor; of a connection that is not prepared, nothing ever runs."""
    try:
        found = connection.info.setdefault(CANCELLABLE, Cancellable())
    except NotImplementedError:  # SQLAlchemy's own first questions to a server
        return Cancellable()
    assert isinstance(found, Cancellable)
    return found


def make_cancellable(engine: Engine | type[Engine], applies: Callable[[Connection], bool]) -> None:
    """Let each statement of the connections to which this `applies` be cancelled (SQLAlchemy's dialect events)."""

    def execute(cursor: Any, statement: Any, parameters: Any, context: Any) -> bool:
        return _execute(context, cursor, lambda: context.dialect.do_execute(cursor, statement, parameters, context))

    def execute_many(cursor: Any, statement: Any, parameters: Any, context: Any) -> bool:
        return _execute(context, cursor, lambda: context.dialect.do_executemany(cursor, statement, parameters, context))

    def execute_bare(cursor: Any, statement: Any, context: Any) -> bool:
        return _execute(context, cursor, lambda: context.dialect.do_execute_no_params(cursor, statement, context))

    def _execute(context: Any, cursor: Any, work: Callable[[], None]) -> bool:
        """Execute if it is for us. Returns whether it was."""
        if context is None or not applies(context.root_connection):
            return False
        with cancellable(context.root_connection).executing(cursor):
            work()
        return True

    event.listen(engine, "do_execute", execute)
    event.listen(engine, "do_executemany", execute_many)
    event.listen(engine, "do_execute_no_params", execute_bare)
