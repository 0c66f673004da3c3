"""A fake of SQL Server, because no SQL Server is available to these tests. The client drivers are the real ones.

The fake does not prove that a server would agree. It proves that the program, its child process and each driver work
with a server that answers as Microsoft's documentation says. `tds` speaks the protocol. `session` parses the T-SQL that
is sent as T-SQL, translates it to SQLite's dialect, and executes it on views that have the documented columns and no
others. So a word that is no T-SQL, a column that no view has, or a join that finds nothing fails a test. The users'
tables are SQLite's too, in one file, so a rollback really undoes a migration.

Features that SQLite lacks are simulated: sessions, lock waits, application locks, permissions, and errors that end the
transaction. A `Scene` describes the state of the server.
"""

from __future__ import annotations

import socket
import sqlite3
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.sqlserver.tds import HOST, Login, ServerError, TdsServer

if TYPE_CHECKING:
    from tests.support.sqlserver.session import FakeSession

USER, PASSWORD, DATABASE = "mage", "Pa}ss;w@rd", "orders"
FIRST_SESSION = 101  # the sessions of a scene have lower numbers


@dataclass
class Other:
    """A session of another user; if it holds a table, it is idle in a transaction.

    `uncommitted`: it has also changed the schema in that transaction, so catalog views wait for it.
    """

    session: int
    holds: str | None = None
    application_lock: str | None = None
    login: str = "mage"
    program: str = "mage-server"
    query: str = "SELECT * FROM t1"
    last_request: str = "2026-01-01 00:00:00"
    uncommitted: bool = False


@dataclass
class Scene:
    """The state of the server."""

    others: list[Other] = field(default_factory=list)
    denied: bool = False  # whether the login lacks VIEW SERVER STATE
    missing: list[str] = field(default_factory=list)  # views that this kind of server does not have
    ends_transactions: bool = False  # whether every error ends the transaction
    keeps_count_secret: bool = False  # whether @@TRANCOUNT cannot be read
    language: str = "en"  # of the server's messages
    read_only: bool = False
    may_kill: bool = True
    may_alter: bool = True


class FakeServer:
    """The server from the outside: a test sets it up, and inspects it afterwards. Use it in `with`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "data.db"
        self.scene = Scene()
        self.statements: list[str] = []  # all that any session has sent
        self.sessions: dict[int, FakeSession] = {}
        self.turn = threading.Lock()
        self._last = FIRST_SESSION - 1
        self._tds = TdsServer(self._opened)
        self.query("pragma journal_mode = wal")

    def __enter__(self) -> FakeServer:
        self._tds.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._tds.__exit__()

    @property
    def port(self) -> int:
        return self._tds.port

    def set(self, scene: Scene) -> None:
        self.scene = scene

    def fall_silent(self) -> None:
        """Say nothing from now on, to nobody, with every connection left open."""
        self._tds.fall_silent()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Read or change the committed data directly, without drivers and locks."""
        connection = sqlite3.connect(self.file, isolation_level=None)
        rows = connection.execute(sql).fetchall()
        connection.close()
        return rows

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def _opened(self, login: Login, line: socket.socket) -> FakeSession:
        from tests.support.sqlserver.session import FakeSession, message

        if (login.user, login.password) != (USER, PASSWORD):
            raise message(18456, login.user, severity=14)
        with self.turn:
            self._last += 1
            number = self._last
        session = FakeSession(self, number, login, line)
        with self.turn:
            self.sessions[number] = session
        return session


__all__ = ["DATABASE", "HOST", "PASSWORD", "USER", "FakeServer", "Other", "Scene", "ServerError"]
