"""What a migration's statement leaves behind on SQL Server: results that nobody has read, and the transaction's state.

A batch of several statements returns one result after another, and the error of a later statement is reported when its
result is read (ODBC, SQLMoreResults; pymssql reads on by itself). And an error may end the transaction, or a trigger or
procedure may, without an error. So every batch is read to its end, and the server is asked whether the transaction is
still the same one.
"""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, Engine, ExceptionContext
from sqlalchemy.engine.cursor import FullyBufferedCursorFetchStrategy
from sqlalchemy.exc import DBAPIError

from magetui.backends.mssql.cancelling import cancellable, make_cancellable
from magetui.backends.mssql.failures import NO_TRANSACTION, driver_errors, error_number
from magetui.backends.mssql.query import fetch, run
from magetui.model.server import RunStoppedError

IDENTITY = "magetui_identity"  # the key in a connection's `info`: the `_identity` of its transaction
INSIDE = "magetui_inside"  # the key in a connection's `info`: whether the last statement is in the open transaction
ENDED = "magetui_ended"  # the key in a connection's `info`: an error made the server end the transaction
NAMED = "magetui_named"  # the key in a connection's `info`: whether this server numbers transactions
# ODBC drivers begin the next transaction by themselves, so @@TRANCOUNT alone does not tell that the last one has ended.
# CURRENT_TRANSACTION_ID exists since SQL Server 2016, and on Azure SQL Database.
NAMED_SQL = """
select case when cast(serverproperty('ProductMajorVersion') as int) >= 13 then 1
            when cast(serverproperty('EngineEdition') as int) in (5, 8) then 1 else 0 end
"""
COUNT_SQL = "select @@trancount"
IDENTITY_SQL = "select case when @@trancount > 0 then current_transaction_id() else 0 end"
NOT_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|N?'(?:[^']|'')*'|\[(?:[^\]]|\]\])*\]", re.DOTALL)
COMMITS, ROLLS_BACK = (re.compile(rf"\b{word}\b", re.IGNORECASE) for word in ("commit", "rollback"))
ENDED_SILENTLY = (
    "The run's transaction ended with this statement, although the statement does not commit. The server has probably "
    "rolled back everything that this run had not committed. Nothing more was executed."
)
ENDED_BY_ERROR = (
    "An error before this statement made the server roll back the transaction, and the script continued. Everything "
    "that this run had not committed is gone. Nothing more was executed."
)


def watch_transactions(engine: Engine | type[Engine]) -> None:
    """Read every batch of a migration to its end, and stop if the server ended the transaction.

    The statement events raise `RunStoppedError`, or the driver's error of a later statement of the batch.
    """
    make_cancellable(engine, writes)
    event.listen(engine, "before_cursor_execute", _before_execute)
    event.listen(engine, "after_cursor_execute", _after_execute)
    event.listen(engine, "handle_error", _failed)
    event.listen(engine, "commit", _forget)
    event.listen(engine, "rollback", _forget)


def in_transaction(connection: Connection) -> bool | None:
    """See `Connections.in_transaction`."""
    if commits_each_statement(connection):
        return False
    state = connection.info.get(INSIDE, True)
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
        except driver_errors(dialect) as error:
            if error_number(error) == NO_TRANSACTION or _count(dialect, raw) == 0:
                if dialect.driver == "pymssql":
                    run(dialect, raw, "begin tran")  # pymssql begins the next transaction only after a rollback
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


def _before_execute(connection: Connection, *_: Any) -> None:
    if not writes(connection):
        return
    if connection.info.pop(ENDED, False):
        raise RunStoppedError(ENDED_BY_ERROR)
    if IDENTITY not in connection.info:
        connection.info[IDENTITY] = _identity(connection)


def _after_execute(
    connection: Connection, cursor: Any, statement: str, _parameters: Any, context: Any, _executemany: bool
) -> None:
    if not writes(connection):
        return
    with cancellable(connection).executing(cursor):
        is_read = _read_to_the_end(cursor, context)
    if not is_read:
        return
    before, now = connection.info.get(IDENTITY), _identity(connection)
    ended = bool(before) and now is not None and now != before
    connection.info[IDENTITY] = now
    connection.info[INSIDE] = None if now is None else bool(now) and not ended
    if ended and not commits_each_statement(connection) and not _commits(statement):
        raise RunStoppedError(ENDED_SILENTLY)


def _failed(context: ExceptionContext) -> None:
    """Note whether the failed statement ended the transaction: the script may catch the error and continue."""
    connection = context.connection
    if connection is None or not writes(connection) or context.is_disconnect or context.statement is None:
        return
    before = connection.info.get(IDENTITY)
    if before and isinstance(context.original_exception, driver_errors(connection.dialect)):
        now = _identity(connection)
        connection.info[IDENTITY] = now
        connection.info[ENDED] = now is not None and now != before


def _forget(connection: Connection) -> None:
    """Forget the transaction, which SQLAlchemy is ending."""
    for key in (IDENTITY, INSIDE, ENDED):
        connection.info.pop(key, None)


def _identity(connection: Connection) -> int | None:
    """Return the number of the open transaction (1 on a server without numbers), 0 without a transaction.

    Returns None if the server does not say, for example because the connection is busy.
    """
    try:
        if NAMED not in connection.info:
            connection.info[NAMED] = bool(fetch(connection, NAMED_SQL)[0][0])
        if connection.info[NAMED]:
            return int(fetch(connection, IDENTITY_SQL)[0][0])
        return int(fetch(connection, COUNT_SQL)[0][0] > 0)
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
