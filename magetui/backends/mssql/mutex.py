"""The migration mutex of SQL Server: an application lock (sp_getapplock)."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InvalidRequestError, SQLAlchemyError

from magetui.backends.mssql.query import fetch, literal

RESOURCE_LIMIT = 32  # characters of an application lock's name that can be read
TAKE_SQL = """
set nocount on; declare @taken int;
exec @taken = sp_getapplock @Resource = {name}, @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 0,
                            @DbPrincipal = N'public';
select @taken
"""
GIVE_SQL = "exec sp_releaseapplock @Resource = {name}, @LockOwner = N'Session', @DbPrincipal = N'public'"


class AppLock:
    """A lock of sp_getapplock's, owned by a session of its own, and another of a random name to be known by.

    Tried without waiting, again and again: a wait inside a statement could not be cancelled.
    """

    def __init__(self, engine: Engine, key: int) -> None:
        self._engine = engine
        self.name = resource(key)
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
        """Give the locks back; the server does so itself where the session is already gone."""
        if self._connection is None:
            return
        try:
            while self._held:
                fetch(self._connection, GIVE_SQL.format(name=literal(self._held.pop())))
        except SQLAlchemyError:
            self._connection.invalidate()
        self._connection.close()
        self._connection = None


def resource(key: int) -> str:
    return f"magetui {key}"
