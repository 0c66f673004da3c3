"""A fake of SQL Server behind the drivers' own interface: there is no SQL Server to be had where these tests run.

It is no proof that a server would agree. What it proves is that the program as a whole, its child process included,
gets on with a server that answers as Microsoft's documentation says: the T-SQL that is sent is parsed as T-SQL, moved
to SQLite's dialect, and executed on views that have the documented columns and no others. So a word that is no T-SQL,
a column that no view has, or a join that finds nothing fails a test. The users' tables are SQLite's too, in one file
that several processes may open: a migration that is taken back is taken back.

What SQLite does not have is played: sessions, lock waits, application locks, permissions, and the habit of ending a
transaction by itself. A `Scene` says what is to be met. tests/fakes/ has a module for each driver, by the driver's
name, which gives errors that driver's shape; it is found by being first on PYTHONPATH.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import sqlglot
from sqlglot import exp

from tests.support.fakes.views import (
    DATABASE_ID,
    NEED_VIEW_SERVER_STATE,
    SPELLED,
    TYPES,
    VIEWS,
    application_lock_row,
    connection_row,
    lock_row,
    object_id,
    session_row,
)

FOLDER_VARIABLE = "FAKE_SQLSERVER"
FAKES = Path(__file__).with_name("fakes")
DBO = 1
CANCELLED = -1  # what the driver says itself, without a number of the server's
PASSWORD = "Pa}ss;w@rd"

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
    """An error as the server sends it: its number and its words."""

    def __init__(self, number: int, *names: str) -> None:
        self.number = number
        self.text = WORDS[number].format(*names)
        super().__init__(self.text)


@dataclass
class Other:
    """A session of somebody else, idle in a transaction where it holds a table."""

    session: int
    holds: str | None = None
    application_lock: str | None = None
    login: str = "mage"
    program: str = "mage-server"
    query: str = "SELECT * FROM t1"


@dataclass
class Scene:
    """What is to be met on the server."""

    others: list[Other] = field(default_factory=list)
    denied: bool = False  # VIEW SERVER STATE
    missing: list[str] = field(default_factory=list)  # views that this kind of server does not have
    ends_transactions: bool = False  # with every error
    read_only: bool = False
    may_kill: bool = True
    may_alter: bool = True


@dataclass(frozen=True)
class FakeServer:
    """The server from the outside: what a test sets up, and looks at afterwards."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the program needs to meet this server instead of a real one."""
        return {FOLDER_VARIABLE: str(self.folder), "PYTHONPATH": f"{FAKES}{os.pathsep}{FAKES.parents[2]}"}

    def set(self, scene: Scene) -> None:
        (self.folder / "scene.json").write_text(json.dumps(asdict(scene)))

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask, or change, what is committed there, past everything."""
        connection = sqlite3.connect(self.folder / "data.db", isolation_level=None)
        rows = connection.execute(sql).fetchall()
        connection.close()
        return rows

    @property
    def statements(self) -> list[str]:
        """All that was sent, by any process."""
        log = self.folder / "statements.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


Result = tuple[list[str] | None, list[tuple[Any, ...]]]  # the columns, None where there are no rows to be had
_sessions: dict[int, Link] = {}  # of this process
_lock = threading.Lock()


class Link:
    """One session, as the server sees it."""

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
        self.waiting: tuple[str, int] | None = None  # for a table that a session holds
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
        path = self.folder / "scene.json"
        said = json.loads(path.read_text()) if path.exists() else {}
        return Scene(**{**said, "others": [Other(**other) for other in said.get("others", [])]})

    # -- what drivers ask for

    def run(self, sql: str) -> list[Result]:
        """One batch; raises `ServerError`."""
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
            return [(None, []), ([""], [(taken,)])]  # what comes before the SELECT may come as a result of its own
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
            self._fill()
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
        """Wait behind whoever holds one of the tables, for as long as LOCK_TIMEOUT says."""
        began = time.monotonic()
        while writes and (held := next((one for one in self.scene.others if one.holds in tables), None)):
            self.waiting = (str(held.holds), held.session)
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
        FakeServer(self.folder).set(
            Scene(**{**vars(scene), "others": [o for o in scene.others if o.session != session]})
        )
        return [(None, [])]

    def _holders(self, name: str) -> list[int]:
        others = [other.session for other in self.scene.others if other.application_lock == name]
        return [link.session for link in _links() if link is not self and name in link.locks] + others

    # -- the views

    def _fill(self) -> None:
        for view in VIEWS:
            self.raw.execute(f"delete from sys.{view}")
        self._insert("schemas", [{"name": "dbo", "schema_id": DBO, "principal_id": 1}])
        self._insert("database_principals", [{"name": "dbo", "principal_id": 1}])
        self._insert("system_views", [{"name": "dm_exec_sessions"}])
        self._insert("types", [{"name": name, "user_type_id": number} for name, number in TYPES.items()])
        names = self.raw.execute(
            "select name from main.sqlite_master where type = 'table' and name not like 'sqlite_%'"
        )
        for (name,) in names.fetchall():
            self._fill_table(name)
        self._fill_sessions()

    def _fill_table(self, name: str) -> None:
        key = object_id(name)
        of_table = {"name": name, "object_id": key, "schema_id": DBO, "type": "U", "is_ms_shipped": 0}
        self._insert("tables", [of_table])
        self._insert("objects", [of_table])
        [(rows,)] = self.raw.execute(f'select count(*) from main."{name}"')
        self._insert(
            "partitions", [{"partition_id": key, "hobt_id": key, "object_id": key, "index_id": 1, "rows": rows}]
        )
        self._insert("allocation_units", [{"type": 1, "container_id": key, "total_pages": 2}])
        columns = self.raw.execute(f'pragma main.table_info("{name}")').fetchall()
        for number, column, kind, not_null, default, primary in columns:
            spelled, length = re.fullmatch(r"(\w+)(?:\((\d+)\))?", kind).groups()  # type: ignore[union-attr]
            of_column = {
                "object_id": key, "column_id": number + 1, "name": column, "precision": 0, "scale": 0,
                "user_type_id": TYPES[SPELLED[spelled.upper()]], "max_length": int(length or 4),
                "is_nullable": not not_null,
                "is_identity": int(primary and spelled.upper() == "INTEGER"),
                "default_object_id": 0 if default is None else key + number,
            }  # fmt: skip
            self._insert("columns", [of_column])
            if default is not None:
                self._insert("default_constraints", [{"object_id": key + number, "definition": f"({default})"}])
        indexes = [(f"PK_{name}", 1, [c[1] for c in columns if c[5]], True)]
        for _, index, unique, origin, _ in self.raw.execute(f'pragma main.index_list("{name}")').fetchall():
            if origin != "pk":
                parts = self.raw.execute(f'pragma main.index_info("{index}")').fetchall()
                indexes.append((index, unique, [part[2] for part in parts], False))
        numbers = {column[1]: column[0] + 1 for column in columns}
        for number, (index, unique, parts, primary) in enumerate(indexes, start=1):
            of_index = {
                "object_id": key, "name": index, "index_id": number, "type": 2 - primary, "is_unique": unique,
                "is_primary_key": primary, "is_unique_constraint": 0, "is_disabled": 0, "is_hypothetical": 0,
            }  # fmt: skip
            self._insert("indexes", [of_index])
            for place, part in enumerate(parts, start=1):
                of_part = {
                    "object_id": key, "index_id": number, "index_column_id": place, "column_id": numbers[part],
                    "key_ordinal": place, "is_descending_key": 0, "is_included_column": 0,
                }  # fmt: skip
                self._insert("index_columns", [of_part])
        self._fill_foreign_keys(name, numbers)

    def _fill_foreign_keys(self, name: str, numbers: dict[str, int]) -> None:
        rows = self.raw.execute(f'pragma main.foreign_key_list("{name}")').fetchall()
        for number, place, referred, column, other, _, on_delete, _ in rows:
            others = {
                row[1]: row[0] + 1 for row in self.raw.execute(f'pragma main.table_info("{referred}")').fetchall()
            }
            constraint = object_id(f"FK_{name}_{number}")
            of_key = {
                "name": f"FK_{name}_{number}", "object_id": constraint, "parent_object_id": object_id(name),
                "referenced_object_id": object_id(referred),
                "delete_referential_action_desc": on_delete.replace(" ", "_"),
            }  # fmt: skip
            self._insert("foreign_keys", [of_key] if place == 0 else [])
            of_part = {
                "constraint_object_id": constraint, "constraint_column_id": place + 1,
                "parent_column_id": numbers[column], "referenced_column_id": others[other],
            }  # fmt: skip
            self._insert("foreign_key_columns", [of_part])

    def _fill_sessions(self) -> None:
        scene = self.scene
        for link in _links() if not scene.denied else [self]:
            self._insert(
                "dm_exec_sessions",
                [session_row(link.session, link.login, link.program, link.context, link.in_transaction, link.began)],
            )
            held = link.waiting[1] if link.waiting else 0
            request = {"session_id": link.session, "database_id": DATABASE_ID, "blocking_session_id": held,
                       "wait_type": "LCK_M_SCH_M" if held else None, "total_elapsed_time": 250}  # fmt: skip
            self._insert("dm_exec_requests", [request] if link.running else [])
            self._insert("dm_exec_connections", [connection_row(link.session)])
            self._insert("dm_exec_sql_text", [{"handle": link.session, "text": link.running}])
            if link.waiting:
                self._insert("dm_tran_locks", [lock_row(link.session, link.waiting[0], "Sch-M", "WAIT")])
            self._insert("dm_tran_locks", [application_lock_row(link.session, name) for name in link.locks])
        for other in scene.others if not scene.denied else []:
            self._insert(
                "dm_exec_sessions",
                [
                    session_row(
                        other.session, other.login, other.program, None, bool(other.holds), "2026-01-01 00:00:00"
                    )
                ],
            )
            self._insert("dm_exec_connections", [connection_row(other.session)])
            self._insert("dm_exec_sql_text", [{"handle": other.session, "text": other.query}])
            if other.holds:
                self._insert("dm_tran_locks", [lock_row(other.session, other.holds, "IX", "GRANT")])
                mark = {"session_id": other.session, "transaction_id": other.session, "is_user_transaction": 1}
                self._insert("dm_tran_session_transactions", [mark])
                began = {
                    "transaction_id": other.session,
                    "transaction_begin_time": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 90)),
                }
                self._insert("dm_tran_active_transactions", [began])
            if other.application_lock:
                self._insert("dm_tran_locks", [application_lock_row(other.session, other.application_lock)])

    def _insert(self, view: str, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            names = ", ".join(row)
            self.raw.execute(f"insert into sys.{view} ({names}) values ({', '.join('?' * len(row))})", [*row.values()])


def _links() -> list[Link]:
    with _lock:
        return list(_sessions.values())


def _for_sqlite(tree: Any) -> str:
    for part in list(tree.walk()):
        if isinstance(part, exp.National):
            part.replace(exp.Literal.string(part.this))
        elif isinstance(part, exp.CurrentSchema):
            part.replace(exp.Literal.string("dbo"))
        elif isinstance(part, exp.DataType):
            part.set("expressions", [one for one in part.expressions if str(one.this).upper() != "MAX"])
        elif isinstance(part, exp.Column) and part.table == "inserted":
            part.set("table", None)
        elif isinstance(part, exp.Table) and part.db == "dbo":
            part.set("db", None)
        elif isinstance(part, exp.Left):
            part.replace(exp.Substring(this=part.this, start=exp.Literal.number(1), length=part.expression))
        elif isinstance(part, exp.Drop):
            part.set("cluster", None)
    return str(tree.sql(dialect="sqlite"))
