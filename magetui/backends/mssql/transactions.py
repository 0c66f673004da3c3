"""What a migration's statement leaves behind on SQL Server: results that nobody has read, and the transaction's state.

A batch of several statements returns one result after another, and the error of a later statement is reported when its
result is read (ODBC, SQLMoreResults; pymssql reads on by itself). And an error may end the transaction, or a trigger or
procedure may, without an error. So every batch is read to its end, and the server is asked whether the transaction is
still open (@@TRANCOUNT).
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, ExceptionContext, event
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.exc import DBAPIError

from magetui.backends.mssql.failures import NO_TRANSACTION, error_number
from magetui.backends.mssql.query import fetch, run
from magetui.backends.problems import RunStoppedError

OPEN = "magetui_transaction"  # the key in a connection's `info`: whether a transaction is open; None: unknown
ENDED = "magetui_ended"  # the key in a connection's `info`: the server ended the transaction with an error
COUNT_SQL = "select @@trancount"
NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|N?'(?:[^']|'')*'|\[(?:[^\]]|\]\])*\]", re.DOTALL)
COMMITS, ROLLS_BACK = (re.compile(rf"\b{word}\b", re.IGNORECASE) for word in ("commit", "rollback"))
ENDED_SILENTLY = (
    "After this statement no transaction was open any more, although the statement does not commit. So the server has "
    "probably rolled back everything that this run had not committed. Nothing more was executed."
)
ENDED_BY_ERROR = (
    "An error before this statement made the server roll back the transaction, and the script continued. Everything "
    "that this run had not committed is gone. Nothing more was executed."
)


def watch_transactions(engine: Engine | type[Engine]) -> None:
    """Read every batch of a migration to its end, and stop if the server ended the transaction.

    The statement events raise `RunStoppedError`, or the driver's error of a later statement of the batch.
    """
    event.listen(engine, "before_cursor_execute", _before_execute)
    event.listen(engine, "after_cursor_execute", _after_execute)
    event.listen(engine, "handle_error", _failed)
    event.listen(engine, "commit", _forget)
    event.listen(engine, "rollback", _forget)


def in_transaction(connection: Connection) -> bool | None:
    """See `Connections.in_transaction`."""
    if commits_each_statement(connection):
        return False
    state = connection.info.get(OPEN, True)
    return None if state is None else bool(state)


def commits_each_statement(connection: Connection) -> bool:
    return connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT"


def writes(connection: Connection) -> bool:
    return connection.dialect.name == "mssql" and not connection.get_execution_options().get("magetui_reads")


def keep_first_error(dialect: Dialect) -> None:
    """Let no error of a rollback hide the error before it, and none appear if nothing was left to roll back.

    The server may have rolled back by itself; then ROLLBACK fails with 3903, whose text is in the login's language, and
    mssql-python reports no number. SQLAlchemy has no event around a rollback, and an env.py creates its engines itself.
    """
    if "do_rollback" in vars(dialect):
        return
    roll_back = dialect.do_rollback

    def rolled_back(raw: Any) -> None:
        try:
            roll_back(raw)
        except dialect.loaded_dbapi.Error as error:
            if error_number(error) == NO_TRANSACTION or _count(dialect, raw) == 0:
                return
            first = error.__context__
            if isinstance(first, Exception):
                raise first from error
            raise

    vars(dialect)["do_rollback"] = rolled_back


def _count(dialect: Dialect, raw: Any) -> int | None:
    """Return the number of open transactions; None if the server does not say."""
    try:
        [(count,)] = run(dialect, raw, COUNT_SQL)
    except DBAPIError:
        return None
    return int(count)


def _before_execute(connection: Connection, cursor: Any, *_: Any) -> None:
    if writes(connection):
        if connection.info.pop(ENDED, False):
            raise RunStoppedError(ENDED_BY_ERROR)
        connection.info["magetui_cursor"] = cursor


def _after_execute(
    connection: Connection, cursor: Any, statement: str, _parameters: Any, context: Any, _executemany: bool
) -> None:
    if writes(connection) and _read_to_the_end(cursor, context):
        was_open = connection.info.get(OPEN)
        is_open = _is_open(connection)
        connection.info[OPEN] = is_open
        on_purpose = commits_each_statement(connection) or _commits(statement)
        if was_open and is_open is False and not on_purpose:
            raise RunStoppedError(ENDED_SILENTLY)


def _failed(context: ExceptionContext) -> None:
    """Note whether the failed statement ended the transaction: the script may catch the error and continue."""
    connection = context.connection
    if connection is None or not writes(connection) or context.is_disconnect or context.statement is None:
        return
    if connection.info.get(OPEN) and isinstance(context.original_exception, connection.dialect.loaded_dbapi.Error):
        connection.info[OPEN] = _is_open(connection)
        connection.info[ENDED] = connection.info[OPEN] is False


def _forget(connection: Connection) -> None:
    """Forget the transaction, which SQLAlchemy is ending."""
    for key in (OPEN, ENDED):
        connection.info.pop(key, None)


def _is_open(connection: Connection) -> bool | None:
    """Return whether a transaction is open; None if the server does not say, for example because it is busy."""
    try:
        return bool(fetch(connection, COUNT_SQL)[0][0] > 0)
    except DBAPIError:
        return None


def _commits(statement: str) -> bool:
    """Return whether the statement's text commits, and does not roll back."""
    code = NOT_CODE.sub(" ", statement)
    return COMMITS.search(code) is not None and ROLLS_BACK.search(code) is None


def _read_to_the_end(cursor: Any, context: Any) -> bool:
    """Read every result of the batch, and keep the rows of the first one. Returns False if rows are left to fetch.

    They are left to who asked for them if the statement is a single query, or a stream. After an INSERT, SQLAlchemy
    itself may read on, to the new row's number.
    """
    if getattr(context, "_embedded_scope_identity", False):
        return False
    rowcount = cursor.rowcount  # pyodbc forgets it with the next result
    if cursor.description is not None:
        is_text = context.compiled is None or context.is_text
        if not is_text or any(context.execution_options.get(name) for name in ("stream_results", "yield_per")):
            return False
        description, rows = cursor.description, cursor.fetchall()
        context.cursor_fetch_strategy = FullyBufferedCursorFetchStrategy(cursor, description, rows)
    while cursor.nextset():
        pass
    context.cursor = _ReadCursor(cursor, rowcount)
    return True


class _ReadCursor:
    """A cursor whose results have been read, with the number of rows that the first of them reported."""

    def __init__(self, cursor: Any, rowcount: int) -> None:
        self._cursor, self.rowcount = cursor, rowcount

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)
