"""The migration mutex of a PostgreSQL database: Mage's own advisory lock, or one like it for other projects."""

from __future__ import annotations

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from magetui.backends.postgresql.pooler import serving
from magetui.backends.postgresql.settings import READING, set_if_known


class AdvisoryLock:
    """A session-level advisory lock on a connection of its own.

    Polled with `pg_try_advisory_lock`, never waited for: a session that waits inside a statement holds a snapshot,
    and CREATE INDEX CONCURRENTLY waits for every snapshot, which makes a deadlock of the two.
    """

    def __init__(self, engine: Engine, key: int) -> None:
        self._engine = engine.execution_options(**READING)
        self.key = key
        self.session: int | None = None  # the server's number of the one that holds the lock
        self._connection: Connection | None = None

    def try_acquire(self) -> bool:
        if self._connection is None:
            self._connection = self._engine.connect()
            raw = self._connection.connection.dbapi_connection
            self.session = serving(raw)
            # It does nothing but hold the lock, for as long as the run takes (manual, 20.11.1; PostgreSQL 14).
            set_if_known(raw, "set idle_session_timeout = 0", self._connection.dialect.loaded_dbapi.Error)
        sql = "select pg_try_advisory_lock(%(key)s)"
        return bool(self._connection.exec_driver_sql(sql, {"key": self.key}).scalar())

    def release(self) -> None:
        """Give the lock back; the server does so itself where the connection is already gone."""
        if self._connection is None:
            return
        try:
            self._connection.exec_driver_sql("select pg_advisory_unlock(%(key)s)", {"key": self.key})
        except SQLAlchemyError:
            self._connection.invalidate()
        self._connection.close()
        self._connection = None
