"""A PostgreSQL database with sessions that hold or wait for locks until the test ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import psycopg2
from psycopg2 import extensions
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from magetui.backends.postgresql.backend import PostgreSQL
from tests.support.postgres import PostgresServer
from tests.support.waiting import eventually

PATIENCE = 30  # seconds that a reader would wait for a lock in the tests that show that it waits for none


class CatalogedDatabase:
    """A test's database: a reader as the program opens it, and sessions that hold locks, until the test ends."""

    def __init__(self, server: PostgresServer, url: str, stack: ExitStack) -> None:
        self._server = server
        self._stack = stack
        self.name = make_url(url).database or ""
        self.url = url
        self.reader = self.reading(url)

    def reading(self, url: str) -> Connection:
        engine = PostgreSQL().reader(make_url(url), "magetui")
        return self._stack.enter_context(engine.connect())

    def run(self, *statements: str) -> None:
        """Run each statement in a session of its own and commit it."""
        for statement in statements:
            self._server.execute(self.name, statement)

    def session(self, *statements: str, application: str = "tests") -> extensions.connection:
        """Return a session that ran the statements in a transaction, which stays open."""
        connection = self._server.connect(self.name, application_name=application)
        self._stack.enter_context(closing(connection))
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        return connection

    def waiting_session(self, statement: str, *before: str) -> int:
        """Start a session that waits with `statement` until the test ends; return its pid."""
        connection = self.session(*before)
        pid = connection.info.backend_pid
        thread = threading.Thread(target=execute, args=(connection, statement))
        thread.start()
        self._stack.callback(thread.join, 20)
        self._stack.callback(self.run, f"select pg_terminate_backend({pid})")
        eventually(lambda: self._waits(pid))
        return pid

    def role_url(self, role: str, *grants: str) -> str:
        """Create a role and return its URL; the role is dropped after the test."""
        self.run(f"create role {role} login password 'x'", *grants)
        self._stack.callback(self.run, f"drop owned by {role}", f"drop role {role}")
        url = make_url(self.url).set(username=role, password="x")
        return url.render_as_string(hide_password=False)

    def _waits(self, pid: int) -> bool:
        sql = f"select wait_event_type = 'Lock' from pg_stat_activity where pid = {pid}"
        return bool(self._server.execute(self.name, sql)[0][0])


def execute(connection: extensions.connection, statement: str) -> None:
    """Run a statement that the end of the test may terminate."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.Error:
        return  # the end of the test terminates the session


@contextmanager
def without_waiting(reader: Connection) -> Iterator[None]:
    """Fail if the code inside waited for a lock, on however slow a machine."""
    reader.exec_driver_sql(f"set lock_timeout = '{PATIENCE}s'; set statement_timeout = '{2 * PATIENCE}s'")
    started = time.monotonic()
    yield
    assert time.monotonic() - started < PATIENCE
