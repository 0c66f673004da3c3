"""A session of the fake SQL Server: it executes T-SQL on SQLite, and simulates locks, waits and errors."""

from __future__ import annotations

import re
import socket
import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlglot
from sqlglot import exp

from tests.support.sqlserver.server import FakeServer, Scene
from tests.support.sqlserver.tds import Cancelled, Login, Result, ServerError
from tests.support.sqlserver.views import DATABASE_ID, NEED_VIEW_SERVER_STATE, VIEWS, fill

QUIET_ROLLBACK = "exec ends_the_transaction"  # a procedure that rolls back and reports no error
PROPERTIES = {"ProductVersion": "16.0.4165.4", "ProductMajorVersion": 16, "EngineEdition": 3}
LONG = "waitfor delay '00:10'"
SECONDS = 10.0  # the longest wait for SQLite's own lock
FATAL = 21  # the severity of errors that end the session
WORDS = {
    208: "Invalid object name '{}'.",
    535: "The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is "
    "too large.",
    300: "VIEW SERVER STATE permission was denied on object 'server', database 'master'.",
    515: "Cannot insert the value NULL into column '{}'; column does not allow nulls. INSERT fails.",
    547: "The INSERT statement conflicted with the FOREIGN KEY constraint.",
    2627: "Violation of PRIMARY KEY constraint. Cannot insert duplicate key in object '{}'.",
    1222: "Lock request time out period exceeded.",
    1223: "Cannot release the application lock (Database Principal: 'public', Resource: '{}') because it is not "
    "currently held.",
    596: "Cannot continue the execution because the session is in the kill state.",
    3902: "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.",
    3903: "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.",
    4902: 'Cannot find the object "{}" because it does not exist or you do not have permissions.',
    8630: "Internal Query Processor Error: The query processor encountered an unexpected error during execution.",
    6102: "User does not have permission to use the KILL statement.",
    18456: "Login failed for user '{}'.",
}
GERMAN = {
    1222: "Das Timeout für Sperranforderungen wurde überschritten.",
    3903: "Die ROLLBACK TRANSACTION-Anforderung hat keine entsprechende BEGIN TRANSACTION-Anweisung.",
    4902: "Das Objekt '{}' kann nicht gefunden werden, da es nicht vorhanden ist oder Sie keine Berechtigungen haben.",
}
CATALOG = frozenset({"tables", "columns", "objects", "indexes"})  # views that wait for open changes
CONSTRAINTS = {"FOREIGN KEY": 547, "NOT NULL": 515, "UNIQUE": 2627}


def message(number: int, *names: str, severity: int = 16, language: str = "en") -> ServerError:
    """Return an error with the server's own words."""
    words = GERMAN.get(number, WORDS[number]) if language == "de" else WORDS[number]
    return ServerError(number, words.format(*names), severity)


class FakeSession:
    """One session, from the server's side. See `tds.Session` for the first six functions."""

    def __init__(self, server: FakeServer, number: int, login: Login, line: socket.socket) -> None:
        self._server, self.session, self._login, self._line = server, number, login, line
        self.login, self.program = login.user, login.application
        self.began = time.strftime("%Y-%m-%d %H:%M:%S")
        self.in_transaction, self._reads_uncommitted = False, False
        self.killed, self._cancelled = False, False
        self._transaction = 1000  # its number
        self.lock_timeout_ms, self.context, self.running = -1, b"", ""
        self.locks: list[str] = []
        self.waiting: tuple[str, int] | None = None  # the awaited table, and the session that holds it
        self._raw = sqlite3.connect(server.file, isolation_level=None, check_same_thread=False, timeout=SECONDS)
        self._raw.executescript("pragma synchronous = off; pragma foreign_keys = on")
        self._raw.execute("attach ':memory:' as sys")
        for view, columns in VIEWS.items():
            self._raw.execute(f"create table sys.{view} ({', '.join(columns.split())})")
        self._define_functions()

    def _define_functions(self) -> None:
        functions: dict[str, tuple[int, Any]] = {
            "db_id": (0, lambda: DATABASE_ID),
            "db_name": (0, lambda: self._login.database),
            "current_user": (0, lambda: self.login),
            "serverproperty": (
                1,
                lambda name: {"ProductMajorVersion": 16, "EngineEdition": 3}.get(name, "16.0.4165.4"),
            ),
            "current_transaction_id": (0, lambda: self._transaction),
            "databasepropertyex": (2, lambda *_: "READ_ONLY" if self.scene.read_only else "READ_WRITE"),
            "has_perms_by_name": (3, lambda *_: int(self.scene.may_alter)),
            "quotename": (1, lambda name: f"[{name}]"),
            "seconds_between": (2, _seconds_between),
            "applock_test": (4, lambda _principal, name, *_: int(not self._holders(name))),
        }
        for name, (count, function) in functions.items():
            self._raw.create_function(name, count, function)

    @property
    def scene(self) -> Scene:
        return self._server.scene

    # -- the protocol's calls

    def batch(self, sql: str) -> Iterator[Result | ServerError]:
        with self._server.turn:
            self._server.statements.append(sql)
        self.running, self._cancelled = sql, False
        try:
            yield from self._batch(sql.strip())
        except ServerError:
            if self.scene.ends_transactions and self.in_transaction:
                self._end("rollback")
            raise
        finally:
            self.running, self.waiting = "", None

    def begin(self) -> None:
        if not self.in_transaction:
            self._raw.execute("begin")
            self.in_transaction = True
            self._transaction += 1

    def commit(self) -> None:
        self._end("commit")

    def rollback(self) -> None:
        self._end("rollback")

    def cancel(self) -> None:
        self._cancelled = True

    def close(self) -> None:
        with self._server.turn:
            self._server.sessions.pop(self.session, None)
        self._raw.close()

    def _end(self, how: str) -> None:
        if not self.in_transaction:
            raise self._message(3903 if how == "rollback" else 3902)
        self._raw.execute(how)
        self.in_transaction = False

    def _message(self, number: int, *names: str, severity: int = 16) -> ServerError:
        return message(number, *names, severity=severity, language=self.scene.language)

    # -- T-SQL

    def _batch(self, sql: str) -> Iterator[Result | ServerError]:
        if match := re.search(r"exec @taken = sp_getapplock @Resource = N'(.+?)'", sql):
            taken = -1 if self._holders(match[1]) else 0
            self.locks += [match[1]] if taken == 0 else []
            yield from (Result(), Result(("",), ((taken,),)))  # the statements before the SELECT may give a result too
        elif match := re.match(r"exec sp_releaseapplock @Resource = N'(.+?)'", sql):
            if match[1] not in self.locks:
                raise self._message(1223, match[1])
            self.locks.remove(match[1])
            yield Result()
        elif match := re.match(r"if exists \(select 1 from .*\) kill (\d+)$", sql, re.DOTALL):
            self._kill(int(match[1]))
            yield Result()
        elif "fn_listextendedproperty" in sql:
            yield Result(("",))
        else:
            for statement in filter(None, (part.strip() for part in re.split(r";(?=(?:[^']*'[^']*')*[^']*$)", sql))):
                yield from self._statement_of_batch(statement)

    def _statement_of_batch(self, sql: str) -> Iterator[Result | ServerError]:
        """Execute one statement. An error of a constraint ends the statement only; the batch continues."""
        if match := re.fullmatch(r"(begin|commit|rollback)(?: tran(?:saction)?)?", sql, re.IGNORECASE):
            getattr(self, match[1].lower())()
            yield Result()
        elif match := re.fullmatch(r"use \[(.+)\]", sql, re.IGNORECASE):
            yield Result()
        elif sql.lower().startswith("set "):
            self._set(sql.lower())
            yield Result()
        elif sql == QUIET_ROLLBACK:
            self._end("rollback")
            yield Result()
        elif sql == LONG:
            self._wait_until_ended()
        else:
            try:
                yield self._statement(sql)
            except sqlite3.IntegrityError as error:
                number = next(number for word, number in CONSTRAINTS.items() if word in str(error))
                violation = self._message(number, str(error).rpartition(": ")[2])
                if self.scene.ends_transactions:
                    raise violation from error
                yield violation

    def _set(self, sql: str) -> None:
        if match := re.fullmatch(r"set lock_timeout (-?\d+)", sql):
            self.lock_timeout_ms = int(match[1])
        elif match := re.fullmatch(r"set context_info 0x([0-9a-f]*)", sql):
            self.context = bytes.fromhex(match[1]).ljust(128, b"\0")
        elif "isolation level" in sql:
            self._reads_uncommitted = "read uncommitted" in sql

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
                raise self._message(208, f"sys.{view}")
            if self.scene.denied and view.startswith(NEED_VIEW_SERVER_STATE):
                raise self._message(300)
        if self.scene.keeps_count_secret and "trancount" in sql:
            raise self._message(8630)
        writes = not isinstance(tree, exp.Select)
        self._wait_for(tables, views, writes)
        if views:
            fill(self._raw, self.scene, [self] if self.scene.denied else self._sessions())
        try:
            cursor = self._raw.execute(_for_sqlite(tree))
        except sqlite3.OperationalError as error:
            if isinstance(tree, exp.Alter) and "no such table" in str(error):
                raise self._message(4902, tree.this.name) from error
            if "user-defined function" in str(error):
                raise self._message(535) from error
            raise
        if cursor.description:
            names = (column[0] if re.fullmatch(r"\w+", column[0]) else "" for column in cursor.description)
            return Result(tuple(names), tuple(cursor.fetchall()))
        return Result(changed=cursor.rowcount if cursor.rowcount >= 0 else None)

    def _wait_for(self, tables: Collection[str | None], views: Collection[str], writes: bool) -> None:
        """Wait while another session holds one of the tables, until LOCK_TIMEOUT is over."""
        began = time.monotonic()
        while holder := self._blocker(tables, views, writes):
            self.waiting = holder
            if self.killed:
                raise self._message(596, severity=FATAL)
            if self._cancelled:
                raise Cancelled
            if 0 <= self.lock_timeout_ms <= (time.monotonic() - began) * 1000:
                raise self._message(1222)
            time.sleep(0.02)

    def _blocker(self, tables: Collection[str | None], views: Collection[str], writes: bool) -> tuple[str, int] | None:
        """Return the awaited object and its holder. Whoever changes a schema also blocks who reads the catalog."""
        for other in self.scene.others:
            if other.holds in tables and (writes or other.uncommitted):
                return str(other.holds), other.session
            if other.uncommitted and not self._reads_uncommitted and not CATALOG.isdisjoint(views):
                return "sysschobjs", other.session
        return None

    def _wait_until_ended(self) -> None:
        """Execute a statement that takes long."""
        while True:
            if self.killed:
                raise self._message(596, severity=FATAL)
            if self._cancelled:
                raise Cancelled
            time.sleep(0.02)

    def _kill(self, session: int) -> None:
        scene = self.scene
        if not scene.may_kill:
            raise self._message(6102)
        if session in self._server.sessions:
            self._server.sessions[session].end()
            return
        self._server.set(replace(scene, others=[other for other in scene.others if other.session != session]))

    def end(self) -> None:
        """End this session at the request of another one. A waiting statement gets an error first."""
        self.killed = True
        if not self.running:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)

    def _holders(self, name: str) -> list[int]:
        others = [other.session for other in self.scene.others if other.application_lock == name]
        return [one.session for one in self._sessions() if one is not self and name in one.locks] + others

    def _sessions(self) -> list[FakeSession]:
        with self._server.turn:
            return list(self._server.sessions.values())


def _seconds_between(start: str | None, end: str | None) -> int | None:
    """Return what datediff returns, which overflows after 68 years."""
    if start is None or end is None:
        return None
    seconds = int((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
    if seconds >= 2**31:
        raise OverflowError
    return seconds


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
        elif isinstance(part, exp.DateDiff):
            part.replace(exp.func("seconds_between", part.expression, part.this))
        elif isinstance(part, exp.Drop):
            part.set("cluster", None)
    return str(tree.sql(dialect="sqlite"))
