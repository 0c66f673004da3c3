"""The migration mutex of a PostgreSQL database: an advisory lock, with Mage's own key for a Mage project."""

from __future__ import annotations

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from magetui.backends.postgresql.connections import READING, set_if_known
from magetui.backends.postgresql.pooler import serving
from magetui.backends.problems import driver_module
from magetui.model.sessions import MutexHolder

# pg_locks shows a bigint key as two numbers of 32 bits, with objsubid 1 (manual, 54.12).
HOLDER_SQL = """
select l.pid from pg_lock_status() l join pg_database d on d.oid = l.database
where l.locktype = 'advisory' and l.granted and d.datname = current_database() and l.objsubid = 1
  and ((l.classid::bigint << 32) | l.objid::bigint) = %(key)s
"""


class AdvisoryLock:
    """A session-level advisory lock on its own connection; see `Mutex`.

    `pg_try_advisory_lock` is polled, because a blocking wait can deadlock. A session that waits inside a statement
    holds a database snapshot, and CREATE INDEX CONCURRENTLY waits for every such snapshot.
    """

    def __init__(self, engine: Engine, key: int) -> None:
        self._engine = engine.execution_options(**READING)
        self.key = key
        self.session: int | None = None  # the server's number of the session that holds the lock
        self._connection: Connection | None = None

    def try_acquire(self) -> bool:
        if self._connection is None:
            self._connection = self._engine.connect()
            raw = self._connection.connection.dbapi_connection
            self.session = serving(raw)
            # The session only holds the lock, for the complete run (manual, 20.11.1; PostgreSQL 14).
            set_if_known(raw, "set idle_session_timeout = 0", driver_module(self._connection.dialect).Error)
        sql = "select pg_try_advisory_lock(%(key)s)"
        return bool(self._connection.exec_driver_sql(sql, {"key": self.key}).scalar())

    def release(self) -> None:
        """Release the lock. If the connection is already gone, the server has released it."""
        if self._connection is None:
            return
        try:
            self._connection.exec_driver_sql("select pg_advisory_unlock(%(key)s)", {"key": self.key})
        except SQLAlchemyError:
            self._connection.invalidate()
        self._connection.close()
        self._connection = None

    def is_seen_by(self, connection: Connection) -> bool:
        """Return whether a connection sees our session hold the lock. The driver's own cursor bypasses the log."""
        raw = connection.connection.dbapi_connection
        if raw is None:
            return False
        cursor = raw.cursor()
        cursor.execute(HOLDER_SQL.replace("%(key)s", f"{self.key:d}"))  # drivers differ in how they mark parameters
        holder = cursor.fetchone()
        cursor.close()
        return holder is not None and holder[0] == self.session


def holder_of(connection: Connection, key: int) -> MutexHolder | None:
    """Return the holder of the advisory lock `key` in the connection's database; None if the lock is free."""
    pid = connection.exec_driver_sql(HOLDER_SQL, {"key": key}).scalar()
    return None if pid is None else MutexHolder(pid)
