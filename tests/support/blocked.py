"""Sessions of a PostgreSQL database that wait for one another, until the test ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg2
from psycopg2 import extensions

from tests.support.databases import PostgresDatabase
from tests.support.postgres import PASSWORD, USER
from tests.support.waiting import eventually

WAITS = "SELECT 1 FROM pg_locks WHERE NOT granted AND pid = {pid}"


class Sessions:
    """Sessions that run their statements in one transaction each, which stays open."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self._connections: list[extensions.connection] = []
        self._threads: list[threading.Thread] = []

    def holding(
        self, *statements: str, application: str = "mage-server", user: str = USER, password: str = PASSWORD
    ) -> extensions.connection:
        """Return a session that has run the statements."""
        database = self._database
        connection = database.server.connect(database.name, application_name=application, user=user, password=password)
        self._connections.append(connection)
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        return connection

    def waiting(self, statement: str, *before: str, application: str = "mage-scheduler") -> int:
        """Return the pid of a session whose `statement` waits for a lock."""
        pid = self.running(statement, *before, application=application)
        eventually(lambda: self._database.rows(WAITS.format(pid=pid)))
        return pid

    def running(self, statement: str, *before: str, application: str = "mage-scheduler") -> int:
        """Return the pid of a session that runs `statement`."""
        connection = self.holding(*before, application=application)

        def run() -> None:
            with (
                suppress(psycopg2.Error),
                connection.cursor() as cursor,
            ):  # the test may cancel the statement or end the session
                cursor.execute(statement)

        self._threads.append(threading.Thread(target=run, daemon=True))
        self._threads[-1].start()
        return connection.info.backend_pid

    def close(self) -> None:
        """End all sessions."""
        pids = ", ".join(str(session.info.backend_pid) for session in self._connections if not session.closed)
        if pids:
            self._database.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN ({pids})")
        for thread in self._threads:
            thread.join(timeout=20)
        for connection in self._connections:
            connection.close()


@contextmanager
def sessions(database: PostgresDatabase) -> Iterator[Sessions]:
    """Yield sessions of the database, and end them afterwards."""
    group = Sessions(database)
    try:
        yield group
    finally:
        group.close()
