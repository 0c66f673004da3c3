"""The migration mutex of a SQL Server database: an application lock (sp_getapplock)."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError

from magetui.backends.mssql.query import fetch, fetch_if_allowed, literal
from magetui.model.sessions import MutexHolder

NAME = "magetui {key}"  # of the application lock
RESOURCE_LIMIT = 32  # readable characters of an application lock's name
TAKE_SQL = """
set nocount on; declare @taken int;
exec @taken = sp_getapplock @Resource = {name}, @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 0,
                            @DbPrincipal = N'public';
select @taken
"""
GIVE_SQL = "exec sp_releaseapplock @Resource = {name}, @LockOwner = N'Session', @DbPrincipal = N'public'"
TEST_SQL = "select applock_test(N'public', {name}, N'Exclusive', N'Session')"
# The description is '0:[magetui 1]:(hash)': the principal, 32 characters of the name, and a hash of the name.
HOLDER_SQL = """
select l.request_session_id from sys.dm_tran_locks as l
where l.resource_type = N'APPLICATION' and l.resource_database_id = db_id() and left(l.request_status, 5) = N'GRANT'
  and charindex({bracketed}, l.resource_description) > 0
"""


class AppLock:
    """An application lock, and a second one with a random name, the token, which identifies the holder. See `Mutex`.

    The locks are polled without waiting, because a wait inside a statement could not be cancelled.
    """

    def __init__(self, engine: Engine, key: int) -> None:
        self._engine = engine
        self.name = NAME.format(key=key)
        self.token = f"magetui {uuid4().hex}"[:RESOURCE_LIMIT]
        self._held: list[str] = []
        self._connection: Connection | None = None

    def try_acquire(self) -> bool:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._take(self._connection, self.name) and self._take(self._connection, self.token)

    def _take(self, connection: Connection, name: str) -> bool:
        [(taken,)] = fetch(connection, TAKE_SQL.format(name=literal(name)))
        if taken < -3:
            raise InvalidRequestError(f"sp_getapplock refused the lock {name} ({taken}).")
        if taken >= 0:
            self._held.append(name)
        return bool(taken >= 0)

    def release(self) -> None:
        """Release both locks. If the session is already gone, the server has released them."""
        if self._connection is None:
            return
        try:
            while self._held:
                fetch(self._connection, GIVE_SQL.format(name=literal(self._held.pop())))
        except SQLAlchemyError:
            self._connection.invalidate()
        self._connection.close()
        self._connection = None

    def is_seen_by(self, connection: Connection) -> bool:
        """Return whether a connection sees the token as taken: only in the same database of the same server."""
        return not _is_free(connection, self.token)


def holder_of(connection: Connection, key: int) -> MutexHolder | None:
    """Return the holder of the mutex `key`, without a pid if the login may not see locks; None if it is free."""
    name = NAME.format(key=key)
    holders = fetch_if_allowed(connection, HOLDER_SQL.format(bracketed=literal(f"[{name}]")))
    if holders is None:
        return None if _is_free(connection, name) else MutexHolder(None, note="this login may not see who")
    if not holders:
        return None
    [pid, *_] = holders[0]
    return MutexHolder(pid)


def _is_free(connection: Connection, name: str) -> bool:
    return bool(fetch(connection, TEST_SQL.format(name=literal(name)))[0][0] != 0)
