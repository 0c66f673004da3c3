"""SQL Server through any of four drivers: experimental, since no test here has met a server.

It rests on Microsoft's documentation (Transact-SQL reference: SET LOCK_TIMEOUT, sp_getapplock, APPLOCK_TEST, KILL, the
catalog views, sys.dm_exec_sessions, sys.dm_exec_requests, sys.dm_tran_locks) and on what the drivers' own sources do.

Four things are unlike PostgreSQL. A session has no name that can be set later, so ours stands in its CONTEXT_INFO,
which every driver lets us set. No session can be made read-only: a reader is one only because all that it runs are the
SELECTs below (ApplicationIntent=ReadOnly would send it to a secondary that lags behind). No query of another session
can be cancelled without ending that session. And the drivers tell an error in four ways: see `error_number`.

Our own questions go past SQLAlchemy, on a cursor of the driver's, with their values written into the text: each
driver has another way of parameters, and several result sets may come back, the first of them empty.
"""

from __future__ import annotations

import importlib.metadata
import re
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache
from importlib.resources import files
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from magetui.backends.backup import BackupFailedError, BackupJob, BackupOptions
from magetui.backends.base import (
    BATCH_PREFIX,
    CONNECT_TIMEOUT_SECONDS,
    READ_LOCK_TIMEOUT_MS,
    READ_STATEMENT_TIMEOUT_MS,
    Column,
    ConnectCause,
    Constraint,
    Counted,
    EnumType,
    Failure,
    ForeignKey,
    HeldLock,
    Index,
    Leftover,
    LockWait,
    Mutex,
    MutexHolder,
    ServerFacts,
    Session,
    StatementCause,
    StatementProgress,
    Table,
    TableDetail,
    Timeouts,
    VersionTable,
    Wanted,
    WriteHooks,
)
from magetui.backends.scratch import Place, Scratch, ScratchUnavailableError

EXPERIMENTAL = (
    "SQL Server is supported experimentally: magetui knows it from its documentation alone. Try what you plan on a "
    "copy of the database first. Mage takes no lock of its own on SQL Server: stop it before anything is changed."
)
HIDDEN = (
    "This login may not see the sessions of others: who is in the way of a migration cannot be shown. That takes VIEW "
    "SERVER STATE (on Azure SQL Database, VIEW DATABASE STATE)."
)
NO_BACKUP = (
    "magetui makes no backup of SQL Server yet: the server writes it to a disk of its own. In any client: "
    "BACKUP DATABASE [{database}] TO DISK = N'…' WITH COPY_ONLY, CHECKSUM"
)
NO_SCRATCH = "magetui builds no scratch schema on SQL Server yet."
NO_KILL = (
    "This login may not end session {pid}: KILL takes the permission ALTER ANY CONNECTION (on Azure SQL Database, KILL "
    "DATABASE CONNECTION)."
)
EXTRAS = {  # by the module that is imported, what brings it
    "pyodbc": ("mssql", "It also takes unixODBC and Microsoft's ODBC driver on this machine."),
    "pymssql": ("mssql-pymssql", "It needs nothing else on this machine."),
    "mssql_python": ("mssql-python", "It needs nothing else on this machine."),
}

LOCK_TIMEOUT, NO_TRANSACTION, NOT_A_PROCESS, NO_RIGHT_TO_KILL = 1222, 3903, 6106, 6102
INVALID_OBJECT = 208
FORBIDDEN = frozenset({229, 230, 262, 297, 300, 371, 916})  # SELECT, EXECUTE, VIEW … STATE denied; no way in
UNSEEN = FORBIDDEN | {INVALID_OBJECT, LOCK_TIMEOUT}  # then less is shown
# mssql-python tells no number, in English or in the login's language: only these are recognised there.
NUMBERS_BY_WORDS: tuple[tuple[int, str], ...] = (
    (LOCK_TIMEOUT, r"Lock request time out period exceeded"),
    (NO_TRANSACTION, r"ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION"),
    (NO_RIGHT_TO_KILL, r"does not have permission to use the KILL statement"),
    (NOT_A_PROCESS, r"is not an active process ID"),
    (300, r"permission was denied on object|permission was denied in database|does not have permission to perform"),
    (INVALID_OBJECT, r"Invalid object name"),
    (596, r"session is in the kill state"),
    (4060, r"Cannot open database"),
    (18456, r"Login failed for user"),
)
CAUSES: Mapping[int, ConnectCause | StatementCause] = {
    LOCK_TIMEOUT: "lock-timeout",
    596: "lost",  # its session was killed
    6005: "lost",  # the server is being shut down
    20003: "lost",  # what FreeTDS says itself: timed out, could not write, unexpected end, dead
    20006: "lost",
    20017: "lost",
    20047: "lost",
    911: "no-database",
    4060: "no-database",
    18452: "password",
    18456: "password",
    18486: "password",
    18487: "password",
    18488: "password",
    10928: "too-many-connections",  # of Azure's
    17809: "too-many-connections",
    20013: "name",  # FreeTDS: unknown host machine name
}
WORDS: tuple[tuple[ConnectCause | StatementCause, str], ...] = (
    ("refused", r"unavailable or does not exist.*\(SQLDriverConnect\)"),  # FreeTDS through ODBC, with 08S01
    ("cancelled", r"Operation cancell?ed|HY008"),
    ("statement-timeout", r"Query timeout expired"),
    ("lost", r"08S01|Communication link failure|08003|08007|Connection not open|Not connected to any MS SQL server"),
    ("lost", r"DBPROCESS is dead|Write to the server failed|Unexpected EOF from the server"),  # on a commit, in words
    ("driver-missing", r"Can't open lib|no default driver specified|IM002|Failed to load the driver"),
    ("tls", r"SSL|TLS|certificate|[Ee]ncryption"),
    ("name", r"Name or service not known|nodename nor servname|0x2AF9|Unknown host|host name"),
    ("refused", r"Connection refused|0x2749|No route to host|Network is unreachable"),
    ("timeout", r"[Tt]imeout expired|Timeout error|timed out|0x274C|HYT0[01]"),
    ("name", r"unavailable or does not exist"),  # FreeTDS has no more to say than that, where a name is unknown
    ("password", r"Login failed|28000"),
    ("bad-url", r"Connection string parsing failed|Invalid connection string attribute|Neither DSN nor SERVER"),
)
OF_THE_LINE: tuple[tuple[type[OSError], ConnectCause], ...] = (
    (socket.gaierror, "name"),
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
)
MODES = {  # sys.dm_tran_locks, request_mode
    "Sch-S": "SCHEMA STABILITY",
    "Sch-M": "SCHEMA MODIFICATION",
    "S": "SHARED",
    "U": "UPDATE",
    "X": "EXCLUSIVE",
    "IS": "INTENT SHARED",
    "IU": "INTENT UPDATE",
    "IX": "INTENT EXCLUSIVE",
    "SIU": "SHARED INTENT UPDATE",
    "SIX": "SHARED INTENT EXCLUSIVE",
    "UIX": "UPDATE INTENT EXCLUSIVE",
    "BU": "BULK UPDATE",
}
SCHEMA_CHANGE = "Sch-M"  # agrees with no other mode
COUNTED_ROWS = 100_000  # a longer table is not counted: nothing would end that in time
RESOURCE_LIMIT, CONTEXT_LIMIT = 32, 128  # characters of an application lock's name that can be read; bytes
LOGIN_TIMEOUT_ATTRIBUTE = 103  # SQL_ATTR_LOGIN_TIMEOUT
BRACKETS = re.compile(r"^(?:\[[^\]]*\]\s*)+")
DB_LIB = re.compile(r"DB-Lib error message \d+, severity \d+:\s*(?:General SQL Server error: Check messages[^\n]*)?")

TAKE_SQL = """
set nocount on; declare @taken int;
exec @taken = sp_getapplock @Resource = {name}, @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 0,
                            @DbPrincipal = N'public';
select @taken
"""
GIVE_SQL = "exec sp_releaseapplock @Resource = {name}, @LockOwner = N'Session', @DbPrincipal = N'public'"
TEST_SQL = "select applock_test(N'public', {name}, N'Exclusive', N'Session')"
# '0:[magetui 1]:(hash)': the principal, 32 characters of the name, and a hash of it.
HOLDER_SQL = """
select l.request_session_id from sys.dm_tran_locks as l
where l.resource_type = N'APPLICATION' and l.resource_database_id = db_id() and left(l.request_status, 5) = N'GRANT'
  and charindex({bracketed}, l.resource_description) > 0
"""
WAITS_SQL = "select 1 from sys.dm_exec_requests where session_id = {pid} and left(wait_type, 6) = N'LCK_M_'"
THERE_SQL = "select context_info, program_name from sys.dm_exec_sessions where session_id = {pid}"
KILL_SQL = "if exists (select 1 from sys.dm_exec_sessions where session_id = {pid}{began}) kill {pid}"
BEGAN_SQL = " and convert(nvarchar(30), login_time, 126) = {began}"
LEFTOVERS_SQL = """
select s.name, t.name from sys.tables as t join sys.schemas as s on s.schema_id = t.schema_id
where left(t.name, {length}) = {prefix} order by s.name, t.name
"""
NOT_ALTERABLE_SQL = """
select s.name, t.name from sys.tables as t join sys.schemas as s on s.schema_id = t.schema_id
where s.name = schema_name() and t.is_ms_shipped = 0
  and has_perms_by_name(quotename(s.name) + N'.' + quotename(t.name), N'OBJECT', N'ALTER') = 0
order by t.name
"""
CHECKS_SQL = "select parent_object_id, name, definition from sys.check_constraints order by parent_object_id, name"


class SQLServer:
    """See `Backend`. Experimental."""

    name = "mssql"
    backup_suffix = ".bak"
    server_side_timeouts = False

    def __init__(self) -> None:
        self._killed = False  # whether a run's own session was ended, since its driver cannot cancel a statement

    # -- connections

    def reader(self, url: URL, application_name: str) -> Engine:
        settings = f"set lock_timeout {READ_LOCK_TIMEOUT_MS}; {_named(application_name)}"
        engine = self._engine(url, application_name, isolation_level="AUTOCOMMIT")

        def prepare(raw: Any, _record: Any) -> None:
            if engine.dialect.driver in ("pyodbc", "mssqlpython"):  # FreeTDS has one limit for the whole process
                raw.timeout = READ_STATEMENT_TIMEOUT_MS // 1000
            _run(engine.dialect, raw, settings)

        event.listen(engine, "connect", prepare)
        return engine.execution_options(magetui_reads=True)

    def writer(self, url: URL, application_name: str) -> Engine:
        return self._engine(url, application_name)

    def prepare_writer(
        self,
        engine: Engine | type[Engine],
        timeouts: Timeouts,
        hooks: WriteHooks,  # noqa: ARG002 - the server waits, and the watcher looks there
        application_name: str,
    ) -> None:
        # For SQL Server 0 is not to wait at all, and -1 to wait for ever (SET LOCK_TIMEOUT).
        limit = timeouts.lock_ms or -1
        settings = f"set lock_timeout {limit}; {_named(application_name)}"

        def prepare(connection: Connection) -> None:
            if self._writes(connection) and not connection.info.get("magetui"):
                _fetch(connection, settings)
                # By itself: what a driver sets in a prepared statement is unset when that ends.
                [(session, kept)] = _fetch(connection, "select @@spid, @@lock_timeout")
                if kept != limit:
                    raise InvalidRequestError(f"LOCK_TIMEOUT was set to {limit}, and is {kept}: nothing may be run so.")
                connection.info.update(magetui=True, magetui_session=session)
                _forgive_rollback(connection.dialect)

        def began(connection: Connection, cursor: Any, *_: Any) -> None:
            if self._writes(connection):
                connection.info["magetui_cursor"] = cursor

        def ended(connection: Connection, cursor: Any, *_: Any) -> None:
            """Ask whether a transaction is open, unless rows are still to be fetched: then nothing was changed."""
            if self._writes(connection) and cursor.description is None:
                try:
                    connection.info["magetui_transaction"] = _fetch(connection, "select @@trancount")[0][0] > 0
                except DBAPIError:
                    connection.info["magetui_transaction"] = False  # not known: what was executed may be committed

        event.listen(engine, "engine_connect", prepare)
        event.listen(engine, "before_cursor_execute", began)
        event.listen(engine, "after_cursor_execute", ended)

    def _writes(self, connection: Connection) -> bool:
        return connection.dialect.name == self.name and not connection.get_execution_options().get("magetui_reads")

    def _engine(self, url: URL, application_name: str, **more: Any) -> Engine:
        """An engine without a pool. Raises `ImportError` where its driver, or SQLAlchemy's part of it, is missing."""
        arguments: dict[str, dict[str, Any]] = {
            # FreeTDS tries twice and more, each for so long.
            "pymssql": {"login_timeout": CONNECT_TIMEOUT_SECONDS // 3, "appname": application_name},
            "pytds": {"login_timeout": CONNECT_TIMEOUT_SECONDS, "appname": application_name},
            "pyodbc": {"timeout": CONNECT_TIMEOUT_SECONDS, "APP": application_name},
            # Its own argument `timeout` was for each query in earlier versions.
            "mssqlpython": {"attrs_before": {LOGIN_TIMEOUT_ATTRIBUTE: CONNECT_TIMEOUT_SECONDS}},
        }
        try:
            known = arguments.get(url.get_driver_name(), {})
            given = {key: value for key, value in known.items() if key not in url.query}
            engine = create_engine(url, poolclass=NullPool, connect_args=given, hide_parameters=True, **more)
        except NoSuchModuleError:
            raise ImportError(dialect_missing(url.drivername)) from None

        def connect(dialect: Dialect, _record: Any, positional: Any, named: Any) -> Any:
            unread = getattr(dialect.loaded_dbapi, "ConnectionStringParseError", ())  # no DB-API error of its own
            try:
                return dialect.connect(*positional, **named)
            except unread as error:
                raise ArgumentError(str(error)) from error

        event.listen(engine, "do_connect", connect)
        return engine

    # -- the server and its tables

    def server(self, connection: Connection) -> ServerFacts:
        [(version, database, schema, login, updateability)] = _fetch(connection, _statement("server"))
        read_only = None
        if updateability == "READ_ONLY":
            read_only = (
                f"The database {database} is read-only here: set so, or a secondary replica, which is where "
                "ApplicationIntent=ReadOnly in a URL leads."
            )
        seen = _fetch_if_allowed(connection, "select top (1) request_session_id from sys.dm_tran_locks")
        return ServerFacts(
            version=str(version),
            database=database,
            schema=schema,
            user=login,
            read_only=read_only,
            experimental=EXPERIMENTAL,
            hidden=HIDDEN if seen is None else None,
        )

    def password_used(self, connection: Connection) -> None:  # noqa: ARG002 - drivers take it from the URL alone
        return None

    def version_tables(self, connection: Connection, name: str, schema: str | None) -> tuple[VersionTable, ...]:
        """Every table of that name; without a schema the effective one is the login's default schema's, else dbo's."""
        found = _fetch(connection, _statement("version_tables", name=_text(name)))
        wanted = [schema] if schema is not None else [found[0][2], "dbo"] if found else []
        effective = next((one for one in wanted if any(row[0] == one for row in found)), None)
        tables = []
        for in_schema, table, _, has_column in found:
            rows, problem = None, None
            if not has_column:
                problem = f"{in_schema}.{table} has no column version_num: it is not a version table of Alembic's."
            else:
                try:
                    read = _fetch(connection, f"select version_num from {_quoted(in_schema)}.{_quoted(table)}")
                    rows = tuple(str(row[0]) for row in read)
                except DBAPIError as error:
                    if error.connection_invalidated:
                        raise
                    problem = _unreadable(f"{in_schema}.{table}", error)
            tables.append(VersionTable(in_schema, table, rows, in_schema == effective, problem))
        return tuple(sorted(tables, key=lambda one: not one.effective))

    def leftovers(self, connection: Connection) -> tuple[Leftover, ...]:
        sql = LEFTOVERS_SQL.format(length=len(BATCH_PREFIX), prefix=_text(BATCH_PREFIX))
        return tuple(
            Leftover("leftover-table", schema, name, name.removeprefix(BATCH_PREFIX))
            for schema, name in _fetch(connection, sql)
        )

    def not_owned(self, connection: Connection) -> tuple[Table, ...]:
        """Tables of the default schema that the login may not alter, whoever owns them."""
        return tuple(Table(schema, name, None, None) for schema, name in _fetch(connection, NOT_ALTERABLE_SQL))

    def tables(self, connection: Connection, schema: str | None = None) -> tuple[Table, ...]:
        return tuple(table for _, table in self._listed(connection, schema, None))

    def table_details(
        self, connection: Connection, schema: str | None = None, name: str | None = None
    ) -> tuple[TableDetail, ...]:
        listed = self._listed(connection, schema, name)
        everywhere = listed if schema is None and name is None else self._listed(connection, None, None)
        names = {key: (table.schema, table.name) for key, table in everywhere}
        columns: dict[int, dict[int, Column]] = {}
        for row in _fetch(connection, _statement("columns")):
            columns.setdefault(row[0], {})[row[1]] = _column(row[2:])
        keys, indexes, constraints = _indexes(_fetch(connection, _statement("indexes")), columns)
        for owner, constraint, definition in _fetch(connection, CHECKS_SQL):
            constraints.setdefault(owner, []).append(Constraint(constraint, "check", f"CHECK {definition}"))
        foreign_keys = _foreign_keys(_fetch(connection, _statement("foreign_keys")), columns, names)
        return tuple(
            TableDetail(
                table,
                tuple(columns.get(key, {}).values()),
                keys.get(key, ()),
                tuple(indexes.get(key, ())),
                tuple(foreign_keys.get(key, ())),
                tuple(constraints.get(key, ())),
            )
            for key, table in listed
        )

    def _listed(self, connection: Connection, schema: str | None, name: str | None) -> list[tuple[int, Table]]:
        sizes = dict(_fetch_if_allowed(connection, _statement("sizes")) or ())
        rows = _fetch(connection, _statement("tables", schema=_text(schema), name=_text(name)))
        return [(key, Table(where, table, count, sizes.get(key), owner)) for key, where, table, owner, count in rows]

    def enum_types(self, connection: Connection) -> tuple[EnumType, ...]:  # noqa: ARG002
        return ()

    def definitions(self, connection: Connection) -> tuple[str, ...]:  # noqa: ARG002
        return ()

    def count(
        self, connection: Connection, table: Table, wanted: Sequence[Wanted], limit_ms: int
    ) -> tuple[Counted, ...]:
        """See `Backend`; of columns and values there is no estimate."""
        problem = None
        if limit_ms <= 0:
            problem = "there was no time left to count"
        elif table.rows is None or table.rows > COUNTED_ROWS:
            problem = "on SQL Server a table that long is not counted"
        if problem is None:
            parts = ", ".join(_counting(one) for one in wanted)
            name = ".".join(_quoted(part) for part in (table.schema, table.name) if part)
            try:
                [row] = _fetch(connection, f"select {parts} from {name}")
                return tuple(Counted(rows, exact=True) for rows in row)
            except DBAPIError as error:
                if error.connection_invalidated or error_number(error.orig) not in UNSEEN:
                    raise
                locked = error_number(error.orig) == LOCK_TIMEOUT
                problem = "somebody has the table locked" if locked else "this login may not read the table"
        return tuple(Counted(None if one.column else table.rows, exact=False, problem=problem) for one in wanted)

    # -- sessions

    def sessions(self, connection: Connection) -> tuple[Session, ...]:
        """The other clients of this database, and whoever keeps one of them waiting.

        Without VIEW SERVER STATE there are none to be seen. `blocked_by` is whom the server names; where a change of
        the schema waits, everybody who holds anything on that table.
        """
        rows = _fetch(connection, _statement("sessions"))
        more = {row[0]: row[1:] for row in _fetch_if_allowed(connection, _statement("queries")) or ()}
        locks = _Locks(_fetch_if_allowed(connection, _statement("locks")) or ())
        found = []
        for pid, login, program, host, context, state, query_ms, wait_type, blocker, began, is_user in rows:
            address, query, transaction_ms = more.get(pid, (None, None, None))
            blocked_by, queued = locks.blockers(pid, blocker)
            found.append(
                Session(
                    pid=pid,
                    user=login if is_user else None,
                    application=_application(context, program),
                    client=address if address not in (None, "<local machine>") else host,
                    state=state,
                    query=query,
                    transaction_ms=transaction_ms,
                    query_ms=query_ms,
                    waits_for=locks.waits_for(pid, wait_type),
                    holds=locks.held(pid),
                    blocked_by=blocked_by,
                    queued_behind=queued,
                    began=began,
                )
            )
        return tuple(found)

    def session_waits(self, connection: Connection, pid: int) -> bool:
        return bool(_fetch(connection, WAITS_SQL.format(pid=int(pid))))

    def session_exists(self, connection: Connection, pid: int, application_name: str) -> bool:
        rows = _fetch(connection, THERE_SQL.format(pid=int(pid)))
        return any(_application(context, program) == application_name for context, program in rows)

    def progress(self, connection: Connection, pid: int) -> StatementProgress | None:  # noqa: ARG002
        return None  # percent_complete is told of backups and the like, and of no change of a schema

    def cancel(self, connection: Connection, pid: int, began: str | None = None) -> bool:  # noqa: ARG002
        return False  # there is no such statement: KILL ends the session

    def terminate(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        """End the session. Raises `PermissionError` where the login may not."""
        then = "" if began is None else BEGAN_SQL.format(began=_text(began))
        if not _fetch(connection, f"{THERE_SQL.format(pid=int(pid))}{then}"):
            return False
        try:
            _fetch(connection, KILL_SQL.format(pid=int(pid), began=then))
        except DBAPIError as error:
            number = error_number(error.orig)
            if number == NOT_A_PROCESS:
                return False
            if number in FORBIDDEN | {NO_RIGHT_TO_KILL}:
                raise PermissionError(NO_KILL.format(pid=pid)) from error
            raise
        return True

    def session_id(self, connection: Connection) -> int | None:
        session = connection.info.get("magetui_session")
        return session if isinstance(session, int) else None

    def interrupt(self, running: Connection, watching: Connection | None) -> None:
        """Cancel the statement where the driver can from another thread (pyodbc); else end our own session.

        Where the login may not do that either, the run ends at its next statement, or by its lock timeout.
        """
        cursor = running.info.get("magetui_cursor")
        if running.dialect.driver == "pyodbc" and cursor is not None:
            with suppress(running.dialect.loaded_dbapi.Error):  # it has just been closed
                cursor.cancel()
        elif watching is not None and (session := self.session_id(running)) is not None:
            with suppress(PermissionError):
                self._killed = self.terminate(watching, session) or self._killed

    def abandon(self, connection: Connection) -> None:
        """No driver lends its line. They notice by keepalives of their own that a server is gone."""

    # -- the mutex

    def mutex(self, url: URL, key: int, application_name: str, note: str) -> Mutex:  # noqa: ARG002
        return AppLock(self.reader(url, application_name), key)

    def is_target(self, connection: Connection, url: URL, mutex: Mutex) -> bool:  # noqa: ARG002
        """By a lock of a random name beside the mutex: only in that database of that server is it taken."""
        if connection.dialect.name != self.name or not isinstance(mutex, AppLock):
            return False
        return bool(_fetch(connection, TEST_SQL.format(name=_text(mutex.token)))[0][0] == 0)

    def in_transaction(self, connection: Connection) -> bool:
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return False
        return bool(connection.info.get("magetui_transaction", True))

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        """Who holds it; without the right to see locks only that somebody does."""
        name = _resource(key)
        holders = _fetch_if_allowed(connection, HOLDER_SQL.format(bracketed=_text(f"[{name}]")))
        if holders is None:
            free = _fetch(connection, TEST_SQL.format(name=_text(name)))[0][0] != 0
            return None if free else MutexHolder(None, note="this login may not see who")
        if not holders:
            return None
        pid = holders[0][0]
        return MutexHolder(pid, next((one for one in self.sessions(connection) if one.pid == pid), None))

    # -- what there is not yet

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:  # noqa: ARG002
        [(database,)] = _fetch(connection, "select db_name()")
        raise BackupFailedError("failed", NO_BACKUP.format(database=database.replace("]", "]]")))

    def scratch(self, url: URL, place: Place) -> AbstractContextManager[Scratch]:  # noqa: ARG002
        raise ScratchUnavailableError(NO_SCRATCH)

    def outreach(self, sql: str, schemas: Collection[str]) -> str | None:  # noqa: ARG002
        return None  # nothing is replayed

    # -- errors

    def failure(self, error: BaseException) -> Failure:
        if isinstance(error, ImportError):
            return Failure("driver-missing", driver_missing(error))
        if isinstance(error, ArgumentError):
            return Failure("bad-url", str(error))
        if isinstance(error, OSError):  # pytds lets them through
            of_line = next((one for kind, one in OF_THE_LINE if isinstance(error, kind)), None)
            said = error.strerror or str(error) or "nobody answered"
            return Failure(of_line or "other", said, silent=of_line == "timeout")
        original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        message, number = error_text(original), error_number(original)
        whole = f"{message} {original}"
        cause = CAUSES.get(number) if number is not None else None
        connecting = isinstance(error, DBAPIError) and error.statement is None
        if number == 20003 and connecting:
            cause = "timeout"
        if cause is None and (number is None or number >= 20000):  # the driver's own: there are only words
            cause = next((one for one, words in WORDS if re.search(words, whole)), None)
        if cause is None and isinstance(error, DBAPIError):
            cause = "other" if connecting else "lost" if error.connection_invalidated else "failed"
        if cause == "lost" and self._killed:
            cause = "cancelled"
        return Failure(cause or "other", message, silent=cause == "timeout" or number == 20003)


class AppLock:
    """A lock of sp_getapplock's, owned by a session of its own, and another of a random name to be known by.

    Tried without waiting, again and again: a wait inside a statement could not be cancelled.
    """

    def __init__(self, engine: Engine, key: int) -> None:
        self._engine = engine
        self.name = _resource(key)
        self.token = f"magetui {uuid4().hex}"[:RESOURCE_LIMIT]
        self._held: list[str] = []
        self._connection: Connection | None = None

    def try_acquire(self) -> bool:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._take(self._connection, self.name) and self._take(self._connection, self.token)

    def _take(self, connection: Connection, name: str) -> bool:
        [(taken,)] = _fetch(connection, TAKE_SQL.format(name=_text(name)))
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
                _fetch(self._connection, GIVE_SQL.format(name=_text(self._held.pop())))
        except SQLAlchemyError:
            self._connection.invalidate()
        self._connection.close()
        self._connection = None


class _Locks:
    """What sys.dm_tran_locks tells, by session: see mssql_locks.sql."""

    def __init__(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self._held: dict[int, dict[HeldLock, None]] = {}
        self._waits: dict[int, tuple[Any, str, str]] = {}  # the resource, what it is called, the mode
        self._holders: dict[Any, dict[int, None]] = {}
        self._waiting: dict[Any, set[int]] = {}
        for pid, status, mode, kind, schema, table, usual, place, entity in rows:
            resource = (kind, place, entity)
            name = table if schema == usual else f"{schema}.{table}"
            if not status.startswith("GRANT"):
                self._waits[pid] = (resource, name if table else _described(kind, place), mode)
                self._waiting.setdefault(resource, set()).add(pid)
                continue
            self._holders.setdefault(resource, {})[pid] = None
            if table:
                self._held.setdefault(pid, {})[HeldLock(name, MODES.get(mode, mode))] = None

    def held(self, pid: int) -> tuple[HeldLock, ...]:
        return tuple(self._held.get(pid, ()))

    def waits_for(self, pid: int, wait_type: str | None) -> LockWait | None:
        """What it waits for; where no lock may be seen, by the kind of its wait: 'LCK_M_SCH_M'."""
        if pid in self._waits:
            _, name, mode = self._waits[pid]
            return LockWait(name, MODES.get(mode, mode))
        if wait_type is None or not wait_type.startswith("LCK_M_"):
            return None
        mode = wait_type.removeprefix("LCK_M_").replace("SCH_", "Sch-")
        return LockWait(None, MODES.get(mode, mode))

    def blockers(self, pid: int, named: int | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Whom it waits for, and those of them that only wait before it."""
        blocked_by = dict.fromkeys([named] if named and named > 0 and named != pid else ())
        resource, _, mode = self._waits.get(pid, (None, "", ""))
        holders, waiting = self._holders.get(resource, {}), self._waiting.get(resource, set())
        if mode == SCHEMA_CHANGE:
            blocked_by |= {one: None for one in holders if one != pid and one > 0}
        return tuple(blocked_by), tuple(one for one in blocked_by if one in waiting and one not in holders)


# -- asking


@cache
def _statement_text(name: str) -> str:
    return (files("magetui.backends") / "sql" / f"mssql_{name}.sql").read_text(encoding="utf-8")


def _statement(name: str, /, **values: str) -> str:
    """The text of sql/mssql_<name>.sql, with SQL literals for its names in braces."""
    return _statement_text(name).format(**values)


def _fetch(connection: Connection, sql: str) -> list[tuple[Any, ...]]:
    """All rows of a statement, past SQLAlchemy: it is none of the migration's. Raises SQLAlchemy's `DBAPIError`."""
    raw = connection.connection.dbapi_connection
    if raw is None:
        raise InvalidRequestError("The connection is closed.")
    return _run(connection.dialect, raw, sql)


def _fetch_if_allowed(connection: Connection, sql: str) -> list[tuple[Any, ...]] | None:
    """The rows; None where the view is forbidden to this login, not there, or locked: then less is shown."""
    try:
        return _fetch(connection, sql)
    except DBAPIError as error:
        if error.connection_invalidated or error_number(error.orig) not in UNSEEN:
            raise
        return None


def _run(dialect: Dialect, raw: Any, sql: str) -> list[tuple[Any, ...]]:
    """The rows of the one result set that has any, of however many there are; an error may come with the last."""
    driver_error = dialect.loaded_dbapi.Error
    cursor = None
    try:
        cursor = raw.cursor()
        cursor.execute(sql)
        rows: list[tuple[Any, ...]] = []
        while True:
            if cursor.description is not None:
                rows += [tuple(row) for row in cursor.fetchall()]
            if not cursor.nextset():
                return rows
    except driver_error as error:
        broken = dialect.is_disconnect(error, raw, None)
        raise DBAPIError.instance(
            sql, None, error, driver_error, hide_parameters=True, connection_invalidated=broken, dialect=dialect
        ) from error
    finally:
        if cursor is not None:
            with suppress(driver_error):
                cursor.close()


def _forgive_rollback(dialect: Dialect) -> None:
    """Let a rollback be done where the server has done it already.

    After some errors it ends the transaction by itself, and a ROLLBACK then fails with 3903, which would take the
    place of the first error. SQLAlchemy has no event around it, and the engines of an env.py are not ours to make.
    """
    if "do_rollback" in vars(dialect):
        return
    roll_back = dialect.do_rollback

    def forgiving(raw: Any) -> None:
        try:
            roll_back(raw)
        except dialect.loaded_dbapi.Error as error:
            if error_number(error) != NO_TRANSACTION:
                raise

    dialect.do_rollback = forgiving  # type: ignore[method-assign, assignment]


def _named(application_name: str) -> str:
    return f"set context_info 0x{application_name.encode()[:CONTEXT_LIMIT].hex()}"


def _application(context: bytes | None, program: str | None) -> str | None:
    """Our own name, where a session has one, else its program's."""
    said = bytes(context or b"").rstrip(b"\0").decode(errors="replace")
    return said if said.startswith("magetui") else program or None


def _resource(key: int) -> str:
    return f"magetui {key}"


def _text(value: str | None) -> str:
    """As an SQL literal: in T-SQL nothing but a quote has a meaning inside quotes."""
    return "null" if value is None else "N'" + value.replace("'", "''") + "'"


def _quoted(name: str) -> str:
    return "[" + name.replace("]", "]]") + "]"


def _described(kind: str, place: str) -> str:
    """A lock that is on no table: the name of an application lock, or its kind."""
    if kind == "APPLICATION" and (match := re.search(r"\[(.*)\]", place)):
        return f"application lock {match[1]}"
    return f"{kind.lower().replace('_', ' ')} lock"


def _counting(one: Wanted) -> str:
    if one.column is None:
        return "count_big(*)"
    if one.value is None:
        return f"count_big({_quoted(one.column)})"
    return f"count_big(case when {_quoted(one.column)} = {_text(one.value)} then 1 end)"


# -- the catalog


def _column(row: Sequence[Any]) -> Column:
    name, kind, length, precision, scale, nullable, identity, default, computed, persisted = row
    if kind in ("nchar", "nvarchar") and length != -1:
        length //= 2  # it counts bytes (sys.columns, max_length)
    if kind in ("char", "varchar", "nchar", "nvarchar", "binary", "varbinary"):
        kind = f"{kind}({'max' if length == -1 else length})"
    elif kind in ("decimal", "numeric"):
        kind = f"{kind}({precision},{scale})"
    elif kind in ("datetime2", "datetimeoffset", "time"):
        kind = f"{kind}({scale})"
    if computed is not None:
        default = f"as {computed}{' persisted' if persisted else ''}"
    return Column(name, kind, bool(nullable), "identity" if identity else default)


def _indexes(
    rows: Sequence[tuple[Any, ...]], columns: Mapping[int, Mapping[int, Column]]
) -> tuple[dict[int, tuple[str, ...]], dict[int, list[Index]], dict[int, list[Constraint]]]:
    """By the table: the primary key's columns, the other indexes, and the unique constraints that some of them are."""
    keys: dict[int, tuple[str, ...]] = {}
    indexes: dict[int, list[Index]] = {}
    constraints: dict[int, list[Constraint]] = {}
    for (table, name), parts_of_index in groupby(rows, key=itemgetter(0, 1)):
        parts = list(parts_of_index)
        _, _, primary, unique, constraint, disabled, condition, *_ = parts[0]
        of_table = columns.get(table, {})
        spelled = [
            (of_table[number].name if number in of_table else "…", included, descending)
            for number, included, descending in (row[-3:] for row in parts)
        ]
        names = tuple(column for column, included, _ in spelled if not included)
        if primary:
            keys[table] = names
            continue
        if constraint:
            constraints.setdefault(table, []).append(Constraint(name, "unique", f"UNIQUE ({', '.join(names)})", names))
        descending = any(down for _, _, down in spelled)
        included = [column for column, beside, _ in spelled if beside]
        definition = None
        if descending or included or condition:
            ordered = [f"{column}{' DESC' if down else ''}" for column, beside, down in spelled if not beside]
            definition = f"{'UNIQUE ' if unique else ''}INDEX {name} ({', '.join(ordered)})"
            definition += f" INCLUDE ({', '.join(included)})" if included else ""
            definition += f" WHERE {condition}" if condition else ""
        indexes.setdefault(table, []).append(Index(name, names, bool(unique), not disabled, definition))
    return keys, indexes, constraints


def _foreign_keys(
    rows: Sequence[tuple[Any, ...]],
    columns: Mapping[int, Mapping[int, Column]],
    names: Mapping[int, tuple[str | None, str]],
) -> dict[int, list[ForeignKey]]:
    found: dict[int, list[ForeignKey]] = {}
    for (table, name), parts_of_key in groupby(rows, key=itemgetter(0, 1)):
        parts = list(parts_of_key)
        referred, rule = parts[0][2], parts[0][3].replace("_", " ")
        if referred not in names or table not in columns:
            continue  # it came into being after the tables were listed
        here = tuple(columns[table][row[4]].name for row in parts)
        there = tuple(columns[referred][row[5]].name for row in parts)
        key = ForeignKey(name, here, *names[referred], there, None if rule == "NO ACTION" else rule)
        found.setdefault(table, []).append(key)
    return found


def _unreadable(table: str, error: DBAPIError) -> str:
    number = error_number(error.orig)
    if number == LOCK_TIMEOUT:
        return f"{table} is locked by somebody, and reading does not wait for locks."
    if number in FORBIDDEN:
        return f"This login may not read {table}."
    return f"{table} cannot be read: {error_text(error.orig)}"


# -- what drivers say


def error_number(error: BaseException | None) -> int | None:
    """The server's number of an error (FreeTDS' own are from 20000 on), as each driver tells it; None without one.

    pymssql: the first argument, or the first of a pair where connecting failed. pytds: `number`. pyodbc: in brackets
    in the text, before the name of an ODBC function. mssql-python: not at all, so by the words that are known here.
    """
    number = getattr(error, "number", None)
    if isinstance(number, int) and number > 0:
        return number
    arguments = getattr(error, "args", ())
    first = arguments[0] if arguments else None
    if isinstance(first, tuple) and first:
        first = first[0]
    if isinstance(first, int):
        return first
    text = str(error)
    if match := re.search(r"\((\d{1,5})\) \(SQL", text):
        return int(match[1]) or None
    return next((known for known, words in NUMBERS_BY_WORDS if re.search(words, text)), None)


def error_text(error: BaseException | None) -> str:
    """What the server or the driver said, without the names of drivers before it."""
    arguments: tuple[Any, ...] = getattr(error, "args", ())
    if len(arguments) == 1 and isinstance(arguments[0], tuple):
        arguments = arguments[0]
    said: Any = arguments[1] if len(arguments) > 1 else None
    said = said or getattr(error, "text", "") or getattr(error, "ddbc_error", "") or error
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    parts = (" ".join(BRACKETS.sub("", part).split()) for part in DB_LIB.split(text))
    return re.sub(r" \(\d+\) \(SQL\w+\)", "", ". ".join(dict.fromkeys(part for part in parts if part)))


def dialect_missing(driver_name: str) -> str:
    """Of a URL's driver that SQLAlchemy has no dialect for, as a sentence."""
    version = importlib.metadata.version("sqlalchemy")
    if driver_name == "mssql+mssqlpython":
        return (
            f"SQLAlchemy {version} does not know mssql+mssqlpython, which takes 2.1 or later; mssql+pymssql and "
            "mssql+pyodbc are other ways to the same server"
        )
    return f"SQLAlchemy {version} does not know {driver_name}"


def driver_missing(error: ImportError) -> str:
    """Which driver is not there and what brings it, as a sentence."""
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return str(error)
    extra, besides = EXTRAS[module]
    if not isinstance(error, ModuleNotFoundError):
        return f"{module} is installed and cannot be loaded: {error}. {besides}"
    return f"The driver {module} is not installed: pip install 'magetui[{extra}]' brings it. {besides}"
