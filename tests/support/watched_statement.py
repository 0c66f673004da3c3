"""A long statement that is held at certain rows, so that a test can ask for its progress.

A function in the statement waits at these rows for an advisory lock that the test holds: a gate.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress

import psycopg2
from psycopg2 import extensions
from sqlalchemy.engine import make_url

from magetui.backends.postgresql.backend import PostgreSQL
from magetui.model.sessions import StatementProgress
from tests.support.databases import PostgresDatabase
from tests.support.waiting import eventually

ROWS = 60_000
FIRST, MIDDLE, LATE = 1, ROWS // 2, ROWS * 3 // 4
BLOCK = 8192
GATE = f"""
create function gate(row_number int) returns int language plpgsql immutable as $$ begin
    if row_number in ({FIRST}, {MIDDLE}, {LATE}) then perform pg_advisory_xact_lock_shared(row_number); end if;
    return row_number;
end $$
"""
TABLE = f"""
create table pipeline_run as
    select i as id, repeat('x', 200)::varchar(300) as name, 0 as attempt from generate_series(1, {ROWS}) i
"""


class Watch:
    """A session that runs statements, gates that block it, and a reader that asks for its progress."""

    def __init__(self, database: PostgresDatabase, stack: ExitStack) -> None:
        self.database = database
        self._stack = stack
        for statement in (GATE, TABLE):
            database.rows(statement)
        self._gates: dict[int, extensions.connection] = {}
        self.session = self.connect()
        self._thread: threading.Thread | None = None
        self.error: psycopg2.Error | None = None
        self._ask = self.asking(database.url)
        stack.callback(self._end)

    def connect(self, user: str | None = None) -> extensions.connection:
        login = {} if user is None else {"user": user, "password": "x"}
        connection = self.database.server.connect(self.database.name, autocommit=True, **login)
        return self._stack.enter_context(closing(connection))

    def role(self, name: str) -> None:
        """Create a role without privileges, which is dropped at the end of the test."""
        self.database.rows(f"create role {name} login password 'x'")
        self._stack.callback(self.database.rows, f"drop owned by {name}; drop role {name}")

    def asking(self, url: str, role: str | None = None) -> Callable[[], StatementProgress | None]:
        """Return a function that asks as the program does, on a reader of the role."""
        backend = PostgreSQL()
        login = make_url(url) if role is None else make_url(url).set(username=role, password="x")
        reader = self._stack.enter_context(backend.reader(login, "magetui").connect())
        return lambda: backend.progress(reader, self.session.info.backend_pid)

    def close_gates(self, *rows: int) -> None:
        for row in rows:
            self._gates[row] = self.connect()
            with self._gates[row].cursor() as cursor:
                cursor.execute("select pg_advisory_lock(%s)", (row,))

    def open_gate(self, row: int) -> None:
        self._gates.pop(row).close()

    def execute(self, *statements: str) -> None:
        """Run the statements in the session to their end."""
        with self.session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def start(self, statement: str, *others: str) -> None:
        """Run the other statements in the session, and then start the statement in a thread."""
        self.execute(*others)
        self.run(lambda: self.execute(statement))

    def run(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except psycopg2.Error as error:
                self.error = error

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def finish(self) -> None:
        """Open every gate and wait for the end of the statement."""
        for row in list(self._gates):
            self.open_gate(row)
        assert self._thread is not None
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.error is None
        assert self._ask() is None

    def cancel(self) -> None:
        self.database.rows(f"select pg_cancel_backend({self.session.info.backend_pid})")

    def _end(self) -> None:
        for gate in self._gates.values():
            gate.close()
        if self._thread is not None and self._thread.is_alive():
            with suppress(psycopg2.Error):
                self.database.rows(f"select pg_terminate_backend({self.session.info.backend_pid})")
            self._thread.join(30)

    def progress(self) -> StatementProgress | None:
        return self._ask()

    def until(
        self, condition: Callable[[StatementProgress], bool], ask: Callable[[], StatementProgress | None] | None = None
    ) -> StatementProgress:
        """Return the first reported progress that fulfils the condition."""
        ask = ask or self._ask

        def reported() -> StatementProgress | None:
            progress = ask()
            return progress if progress is not None and condition(progress) else None

        progress = eventually(reported, 20, lambda: f"{ask()} {self.error}")
        assert progress is not None
        return progress

    def at_gate(self, row: int) -> None:
        """Wait until the statement waits at the gate."""
        sql = f"select 1 from pg_locks where locktype = 'advisory' and objid = {row} and not granted"
        eventually(lambda: self.database.rows(sql), 20, lambda: str(self.error))

    def second_is_over(self) -> None:
        """Wait until a file that is written now counts as newer than the statement."""
        sql = f"""
            select 1 from pg_stat_activity where pid = {self.session.info.backend_pid}
            and clock_timestamp() > date_trunc('second', query_start) + interval '1.05 s'
        """
        eventually(lambda: self.database.rows(sql))

    def blocks(self, relation: str) -> int:
        [(size,)] = self.database.rows(f"select pg_relation_size('{relation}')")
        assert isinstance(size, int)
        return size // BLOCK
