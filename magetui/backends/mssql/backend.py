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

import re
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidRequestError, NoSuchModuleError
from sqlalchemy.pool import NullPool

from magetui.backends.backup import BackupFailedError, BackupJob, BackupOptions
from magetui.backends.base import (
    CONNECT_TIMEOUT_SECONDS,
    READ_LOCK_TIMEOUT_MS,
    READ_STATEMENT_TIMEOUT_MS,
    Mutex,
    WriteHooks,
)
from magetui.backends.mssql.catalog import column_of, counting, foreign_keys_of, indexes_of
from magetui.backends.mssql.failures import (
    CAUSES,
    FORBIDDEN,
    LOCK_TIMEOUT,
    NO_RIGHT_TO_KILL,
    NOT_A_PROCESS,
    OF_THE_LINE,
    UNSEEN,
    WORDS,
    dialect_missing,
    driver_missing,
    error_number,
    error_text,
    unreadable,
)
from magetui.backends.mssql.locks import SessionLocks
from magetui.backends.mssql.mutex import AppLock, resource
from magetui.backends.mssql.query import (
    application_of,
    fetch,
    fetch_if_allowed,
    forgive_rollback,
    literal,
    name_session,
    quoted,
    run,
    statement,
)
from magetui.backends.scratch import Place, Scratch, ScratchUnavailableError
from magetui.model.schema import (
    BATCH_PREFIX,
    Column,
    Constraint,
    Counted,
    EnumType,
    Leftover,
    Table,
    TableDetail,
    VersionTable,
    Wanted,
)
from magetui.model.server import Failure, ServerFacts, Timeouts
from magetui.model.sessions import MutexHolder, Session, StatementProgress

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
COUNTED_ROWS = 100_000  # a longer table is not counted: nothing would end that in time
LOGIN_TIMEOUT_ATTRIBUTE = 103  # SQL_ATTR_LOGIN_TIMEOUT
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
        settings = f"set lock_timeout {READ_LOCK_TIMEOUT_MS}; {name_session(application_name)}"
        engine = self._engine(url, application_name, isolation_level="AUTOCOMMIT")

        def prepare(raw: Any, _record: Any) -> None:
            if engine.dialect.driver in ("pyodbc", "mssqlpython"):  # FreeTDS has one limit for the whole process
                raw.timeout = READ_STATEMENT_TIMEOUT_MS // 1000
            run(engine.dialect, raw, settings)

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
        settings = f"set lock_timeout {limit}; {name_session(application_name)}"

        def prepare(connection: Connection) -> None:
            if self._writes(connection) and not connection.info.get("magetui"):
                fetch(connection, settings)
                # By itself: what a driver sets in a prepared statement is unset when that ends.
                [(session, kept)] = fetch(connection, "select @@spid, @@lock_timeout")
                if kept != limit:
                    raise InvalidRequestError(f"LOCK_TIMEOUT was set to {limit}, and is {kept}: nothing may be run so.")
                connection.info.update(magetui=True, magetui_session=session)
                forgive_rollback(connection.dialect)

        def began(connection: Connection, cursor: Any, *_: Any) -> None:
            if self._writes(connection):
                connection.info["magetui_cursor"] = cursor

        def ended(connection: Connection, cursor: Any, *_: Any) -> None:
            """Ask whether a transaction is open, unless rows are still to be fetched: then nothing was changed."""
            if self._writes(connection) and cursor.description is None:
                try:
                    connection.info["magetui_transaction"] = fetch(connection, "select @@trancount")[0][0] > 0
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
        [(version, database, schema, login, updateability)] = fetch(connection, statement("server"))
        read_only = None
        if updateability == "READ_ONLY":
            read_only = (
                f"The database {database} is read-only here: set so, or a secondary replica, which is where "
                "ApplicationIntent=ReadOnly in a URL leads."
            )
        seen = fetch_if_allowed(connection, "select top (1) request_session_id from sys.dm_tran_locks")
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
        found = fetch(connection, statement("version_tables", name=literal(name)))
        wanted = [schema] if schema is not None else [found[0][2], "dbo"] if found else []
        effective = next((one for one in wanted if any(row[0] == one for row in found)), None)
        tables = []
        for in_schema, table, _, has_column in found:
            rows, problem = None, None
            if not has_column:
                problem = f"{in_schema}.{table} has no column version_num: it is not a version table of Alembic's."
            else:
                try:
                    read = fetch(connection, f"select version_num from {quoted(in_schema)}.{quoted(table)}")
                    rows = tuple(str(row[0]) for row in read)
                except DBAPIError as error:
                    if error.connection_invalidated:
                        raise
                    problem = unreadable(f"{in_schema}.{table}", error)
            tables.append(VersionTable(in_schema, table, rows, in_schema == effective, problem))
        return tuple(sorted(tables, key=lambda one: not one.effective))

    def leftovers(self, connection: Connection) -> tuple[Leftover, ...]:
        sql = LEFTOVERS_SQL.format(length=len(BATCH_PREFIX), prefix=literal(BATCH_PREFIX))
        return tuple(
            Leftover("leftover-table", schema, name, name.removeprefix(BATCH_PREFIX))
            for schema, name in fetch(connection, sql)
        )

    def not_owned(self, connection: Connection) -> tuple[Table, ...]:
        """Tables of the default schema that the login may not alter, whoever owns them."""
        return tuple(Table(schema, name, None, None) for schema, name in fetch(connection, NOT_ALTERABLE_SQL))

    def tables(self, connection: Connection, schema: str | None = None) -> tuple[Table, ...]:
        return tuple(table for _, table in self._listed(connection, schema, None))

    def table_details(
        self, connection: Connection, schema: str | None = None, name: str | None = None
    ) -> tuple[TableDetail, ...]:
        listed = self._listed(connection, schema, name)
        everywhere = listed if schema is None and name is None else self._listed(connection, None, None)
        names = {key: (table.schema, table.name) for key, table in everywhere}
        columns: dict[int, dict[int, Column]] = {}
        for row in fetch(connection, statement("columns")):
            columns.setdefault(row[0], {})[row[1]] = column_of(row[2:])
        keys, indexes, constraints = indexes_of(fetch(connection, statement("indexes")), columns)
        for owner, constraint, definition in fetch(connection, CHECKS_SQL):
            constraints.setdefault(owner, []).append(Constraint(constraint, "check", f"CHECK {definition}"))
        foreign_keys = foreign_keys_of(fetch(connection, statement("foreign_keys")), columns, names)
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
        sizes = dict(fetch_if_allowed(connection, statement("sizes")) or ())
        rows = fetch(connection, statement("tables", schema=literal(schema), name=literal(name)))
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
            parts = ", ".join(counting(one) for one in wanted)
            name = ".".join(quoted(part) for part in (table.schema, table.name) if part)
            try:
                [row] = fetch(connection, f"select {parts} from {name}")
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
        rows = fetch(connection, statement("sessions"))
        more = {row[0]: row[1:] for row in fetch_if_allowed(connection, statement("queries")) or ()}
        locks = SessionLocks(fetch_if_allowed(connection, statement("locks")) or ())
        found = []
        for pid, login, program, host, context, state, query_ms, wait_type, blocker, began, is_user in rows:
            address, query, transaction_ms = more.get(pid, (None, None, None))
            blocked_by, queued = locks.blockers(pid, blocker)
            found.append(
                Session(
                    pid=pid,
                    user=login if is_user else None,
                    application=application_of(context, program),
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
        return bool(fetch(connection, WAITS_SQL.format(pid=int(pid))))

    def session_exists(self, connection: Connection, pid: int, application_name: str) -> bool:
        rows = fetch(connection, THERE_SQL.format(pid=int(pid)))
        return any(application_of(context, program) == application_name for context, program in rows)

    def progress(self, connection: Connection, pid: int) -> StatementProgress | None:  # noqa: ARG002
        return None  # percent_complete is told of backups and the like, and of no change of a schema

    def cancel(self, connection: Connection, pid: int, began: str | None = None) -> bool:  # noqa: ARG002
        return False  # there is no such statement: KILL ends the session

    def terminate(self, connection: Connection, pid: int, began: str | None = None) -> bool:
        """End the session. Raises `PermissionError` where the login may not."""
        then = "" if began is None else BEGAN_SQL.format(began=literal(began))
        if not fetch(connection, f"{THERE_SQL.format(pid=int(pid))}{then}"):
            return False
        try:
            fetch(connection, KILL_SQL.format(pid=int(pid), began=then))
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
        return bool(fetch(connection, TEST_SQL.format(name=literal(mutex.token)))[0][0] == 0)

    def in_transaction(self, connection: Connection) -> bool:
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            return False
        return bool(connection.info.get("magetui_transaction", True))

    def mutex_holder(self, connection: Connection, key: int, url: URL) -> MutexHolder | None:  # noqa: ARG002
        """Who holds it; without the right to see locks only that somebody does."""
        name = resource(key)
        holders = fetch_if_allowed(connection, HOLDER_SQL.format(bracketed=literal(f"[{name}]")))
        if holders is None:
            free = fetch(connection, TEST_SQL.format(name=literal(name)))[0][0] != 0
            return None if free else MutexHolder(None, note="this login may not see who")
        if not holders:
            return None
        pid = holders[0][0]
        return MutexHolder(pid, next((one for one in self.sessions(connection) if one.pid == pid), None))

    # -- what there is not yet

    def backup(self, connection: Connection, url: URL, options: BackupOptions) -> BackupJob:  # noqa: ARG002
        [(database,)] = fetch(connection, "select db_name()")
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
