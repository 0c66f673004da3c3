"""A session of the fake SQL Server: it executes T-SQL on SQLite, and simulates locks, waits and errors."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

from tests.support.fake_sqlserver import FOLDER_VARIABLE, PASSWORD, FakeServer, Scene
from tests.support.fakes.views import DATABASE_ID, NEED_VIEW_SERVER_STATE, VIEWS, fill

CANCELLED = -1  # an error of the driver itself, without a number of the server

WORDS = {
    208: "Invalid object name '{}'.",
    300: "VIEW SERVER STATE permission was denied on object 'server', database 'master'.",
    1222: "Lock request time out period exceeded.",
    1223: "Cannot release the application lock (Database Principal: 'public', Resource: '{}') because it is not "
    "currently held.",
    596: "Cannot continue the execution because the session is in the kill state.",
    3903: "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.",
    4902: 'Cannot find the object "{}" because it does not exist or you do not have permissions.',
    6102: "User does not have permission to use the KILL statement.",
    18456: "Login failed for user '{}'.",
    20047: "DBPROCESS is dead or not enabled",
    CANCELLED: "Operation canceled",
}


class ServerError(Exception):
    """An error as the server sends it: its number and its text."""

    def __init__(self, number: int, *names: str) -> None:
        self.number = number
        self.text = WORDS[number].format(*names)
        super().__init__(self.text)


Result = tuple[list[str] | None, list[tuple[Any, ...]]]  # the columns (None for a statement without rows), the rows
_sessions: dict[int, Link] = {}  # the sessions of this process
_lock = threading.Lock()


class Link:
    """One session, from the server's side."""

    def __init__(self, database: str, login: str, password: str, program: str) -> None:
        folder = os.environ[FOLDER_VARIABLE]
        self.folder, self.database, self.login, self.program = Path(folder), database, login, program
        if password != PASSWORD:
            raise ServerError(18456, login)
        self.began = time.strftime("%Y-%m-%d %H:%M:%S")
        self.autocommit, self.in_transaction, self.ended = False, False, False
        self.killed, self.cancelled = False, False
        self.rowcount = -1
        self.lock_timeout_ms, self.context, self.running = -1, b"", ""
        self.locks: list[str] = []
        self.waiting: tuple[str, int] | None = None  # the awaited table, and the session that holds it
        with _lock:
            self.session = os.getpid() * 100 + len(_sessions) % 100
            _sessions[self.session] = self
        self.raw = sqlite3.connect(self.folder / "data.db", isolation_level=None, check_same_thread=False)
        self.raw.executescript("pragma journal_mode = wal; pragma synchronous = off")
        self.raw.execute("attach ':memory:' as sys")
        for view, columns in VIEWS.items():
            self.raw.execute(f"create table sys.{view} ({', '.join(columns.split())})")
        functions: dict[str, tuple[int, Any]] = {
            "db_id": (0, lambda: DATABASE_ID),
            "db_name": (0, lambda: self.database),
            "current_user": (0, lambda: self.login),
            "serverproperty": (1, lambda _: "16.0.4165.4"),
            "databasepropertyex": (2, lambda *_: "READ_ONLY" if self.scene.read_only else "READ_WRITE"),
            "has_perms_by_name": (3, lambda *_: int(self.scene.may_alter)),
            "quotename": (1, lambda name: f"[{name}]"),
            "applock_test": (4, lambda _principal, name, *_: int(not self._holders(name))),
        }
        for name, (count, function) in functions.items():
            self.raw.create_function(name, count, function)

    @property
    def scene(self) -> Scene:
        return Scene.read(self.folder)

    # -- the drivers' calls

    def run(self, sql: str) -> list[Result]:
        """Execute one batch. Raises `ServerError`."""
        with _lock, (self.folder / "statements.log").open("a") as log:
            log.write(json.dumps(sql) + "\n")
        self.running, self.cancelled = sql, False
        try:
            if self.killed:
                raise ServerError(20047)
            return self._batch(sql.strip())
        except ServerError:
            if self.scene.ends_transactions and self.in_transaction:
                self.raw.execute("rollback")
                self.in_transaction, self.ended = False, True
            raise
        finally:
            self.running, self.waiting = "", None

    def commit(self) -> None:
        if self.in_transaction:
            self.raw.execute("commit")
        self.in_transaction = False

    def rollback(self) -> None:
        if self.killed or self.ended:
            self.ended = False
            raise ServerError(20047 if self.killed else 3903)
        if self.in_transaction:
            self.raw.execute("rollback")
        self.in_transaction = False

    def close(self) -> None:
        with _lock:
            _sessions.pop(self.session, None)
        self.raw.close()

    # -- T-SQL

    def _batch(self, sql: str) -> list[Result]:
        if match := re.search(r"exec @taken = sp_getapplock @Resource = N'(.+?)'", sql):
            taken = -1 if self._holders(match[1]) else 0
            self.locks += [match[1]] if taken == 0 else []
            return [(None, []), ([""], [(taken,)])]  # the statements before the SELECT may give a result of their own
        if match := re.match(r"exec sp_releaseapplock @Resource = N'(.+?)'", sql):
            if match[1] not in self.locks:
                raise ServerError(1223, match[1])
            self.locks.remove(match[1])
            return [(None, [])]
        if match := re.match(r"if exists \(select 1 from .*\) kill (\d+)$", sql, re.DOTALL):
            return self._kill(int(match[1]))
        if "fn_listextendedproperty" in sql:
            return [([""], [])]
        if not sql.lower().startswith("set "):
            return [self._statement(sql)]
        results: list[Result] = []
        for part in filter(None, re.split(r";\s*", sql)):
            if match := re.match(r"set lock_timeout (-?\d+)$", part):
                self.lock_timeout_ms = int(match[1])
            elif match := re.match(r"set context_info 0x([0-9a-f]*)$", part):
                self.context = bytes.fromhex(match[1]).ljust(128, b"\0")
            else:
                results.append(self._statement(part))
                continue
            results.append((None, []))
        return results

    def _statement(self, sql: str) -> Result:
        text = re.sub(r"@@spid\b", str(self.session), sql, flags=re.IGNORECASE)
        text = re.sub(r"@@trancount\b", str(int(self.in_transaction)), text, flags=re.IGNORECASE)
        text = re.sub(r"@@lock_timeout\b", str(self.lock_timeout_ms), text)
        text = re.sub(r"@@version\b", "'Microsoft SQL Server 2022 (RTM-CU17) - 16.0.4165.4 (X64)'", text)
        apply = r"outer apply sys\.dm_exec_sql_text\((.+?)\) as (\w+)"
        text = re.sub(apply, r"left join sys.dm_exec_sql_text as \2 on \2.handle = \1", text)
        tree = sqlglot.parse_one(text, read="tsql", error_level=sqlglot.ErrorLevel.RAISE)
        views = {table.name for table in tree.find_all(exp.Table) if table.db == "sys"}
        tables = {table.name for table in tree.find_all(exp.Table)} - views
        for view in sorted(views):
            if view in self.scene.missing:
                raise ServerError(208, f"sys.{view}")
            if self.scene.denied and view.startswith(NEED_VIEW_SERVER_STATE):
                raise ServerError(300)
        writes = not isinstance(tree, exp.Select)
        self._wait_for(tables, writes)
        if views:
            fill(self.raw, self.scene, [self] if self.scene.denied else links())
        if tables and not self.autocommit and not self.in_transaction:
            self.raw.execute("begin")
            self.in_transaction = True
        if writes:
            self.ended = False
        try:
            cursor = self.raw.execute(_for_sqlite(tree))
        except sqlite3.OperationalError as error:
            if isinstance(tree, exp.Alter) and "no such table" in str(error):
                raise ServerError(4902, tree.this.name) from error
            raise
        rows, self.rowcount = cursor.fetchall(), cursor.rowcount
        return ([column[0] for column in cursor.description], rows) if cursor.description else (None, [])

    def _wait_for(self, tables: Collection[str | None], writes: bool) -> None:
        """Wait while another session holds one of the tables, until LOCK_TIMEOUT is over."""
        began = time.monotonic()
        while writes and (holder := next((other for other in self.scene.others if other.holds in tables), None)):
            self.waiting = (str(holder.holds), holder.session)
            if self.killed:
                raise ServerError(596)
            if self.cancelled:
                raise ServerError(CANCELLED)
            if 0 <= self.lock_timeout_ms <= (time.monotonic() - began) * 1000:
                raise ServerError(1222)
            time.sleep(0.02)

    def _kill(self, session: int) -> list[Result]:
        scene = self.scene
        if not scene.may_kill:
            raise ServerError(6102)
        if session in _sessions:
            _sessions[session].killed = True
            return [(None, [])]
        others = [other for other in scene.others if other.session != session]
        FakeServer(self.folder).set(replace(scene, others=others))
        return [(None, [])]

    def _holders(self, name: str) -> list[int]:
        others = [other.session for other in self.scene.others if other.application_lock == name]
        return [link.session for link in links() if link is not self and name in link.locks] + others


def links() -> list[Link]:
    """Return the open sessions of this process."""
    with _lock:
        return list(_sessions.values())


def _for_sqlite(tree: Any) -> str:
    """Return a parsed T-SQL statement in SQLite's dialect."""
    for part in list(tree.walk()):
        if isinstance(part, exp.National):
            part.replace(exp.Literal.string(part.this))
        elif isinstance(part, exp.CurrentSchema):
            part.replace(exp.Literal.string("dbo"))
        elif isinstance(part, exp.DataType):
            part.set("expressions", [size for size in part.expressions if str(size.this).upper() != "MAX"])
        elif isinstance(part, exp.Column) and part.table == "inserted":
            part.set("table", None)
        elif isinstance(part, exp.Table) and part.db == "dbo":
            part.set("db", None)
        elif isinstance(part, exp.Left):
            part.replace(exp.Substring(this=part.this, start=exp.Literal.number(1), length=part.expression))
        elif isinstance(part, exp.Drop):
            part.set("cluster", None)
    return str(tree.sql(dialect="sqlite"))
