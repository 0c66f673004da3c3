"""A scratch schema on PostgreSQL, created in one transaction that no script can commit.

DDL is transactional in PostgreSQL (manual, 13.1). So no other session sees the schema of a replay, and the schema
disappears with its transaction: at the end, after an error, and when the client is killed. Five measures keep a script
inside:

- search_path names only the scratch schema, so that no unqualified name means a live table.
- A statement that names another schema, or an object outside of all schemas, is refused before it is sent.
- The transaction's locks outside are checked after each revision, and such a lock ends the replay.
- From the start, the transaction contains a row that violates a deferred foreign key, so the server refuses to commit.
- Any later transaction in that session is read-only, and its search_path names a schema that does not exist.

A new value of an enum type, the purpose of autocommit_block(), is added within the transaction (PostgreSQL 12). Using
the value there takes PostgreSQL 17. In tables without rows, an index built CONCURRENTLY equals any other index.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql import catalog
from magetui.backends.postgresql.query import INSUFFICIENT_PRIVILEGE, fetch, folded, identifier, sqlstate
from magetui.backends.scratch import ReachedOutside, Scratch, ScratchRequest, ScratchUnavailableError

PREFIX = "magetui_scratch_"
CHECKED_STATEMENTS = 50  # the locks are checked after this many statements at the latest
BUILT_IN_SCHEMAS = frozenset({"pg_catalog", "information_schema", "pg_temp"})

NAMED = re.compile(r'(?<![\w$."])("(?:[^"]|"")+"|[^\W\d][\w$]*)\s*\.\s*(?=["\w])')
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
QUOTED = re.compile(r"(?P<tag>\$\w*\$).*?(?P=tag)|'(?:[^']|'')*'", re.DOTALL)
# Objects of the complete database or server, and statements whose effect does not depend on search_path.
OUTSIDE = re.compile(
    r"\b(?:create|alter|drop|comment\s+on|security\s+label\s+on)\s+(?:or\s+replace\s+)?(?:trusted\s+|procedural\s+)*"
    r"(?P<kind>extension|role|user|group|database|schema|tablespace|server|foreign\s+data\s+wrapper|publication"
    r"|subscription|language|event\s+trigger|cast|access\s+method|large\s+object|transform|system)\b"
    r"|\b(?P<other>alter\s+default\s+privileges|reassign\s+owned|drop\s+owned|import\s+foreign\s+schema"
    r"|all\s+(?:tables|sequences|functions|routines|procedures)\s+in\s+schema|search_path|set_config|set\s+(?:local\s+"
    r"|session\s+)?(?:role|session\s+authorization|schema)|reset\s+all|discard\s+all"
    r"|dblink\w*|pg_(?:terminate|cancel)_backend|pg_reload_conf|pg_(?:try_)?advisory\w+|lo_(?:import|export)"
    r"|pg_(?:read|write)_\w*file\w*)\b"
    r"|\b(?P<copy>copy)\b[^;]*\b(?:from|to)\s+(?:program\b|')",
    re.IGNORECASE,
)
ENDS = re.compile(
    r"(?:^|;)\s*(?P<word>commit|end|rollback(?!\s+to)|abort|begin|start\s+transaction|prepare\s+transaction)\b",
    re.IGNORECASE,
)
CONCURRENTLY = re.compile(r"^(\s*(?:create\s+(?:unique\s+)?|drop\s+|reindex\s+)index)\s+concurrently\b", re.IGNORECASE)

UNSAFE_NEW_ENUM_VALUE, ACTIVE_TRANSACTION = "55P04", "25001"
UNDEFINED = frozenset({"42704", "42883", "42P01", "3F000"})  # object, function, table, schema

ONE_TRANSACTION = "A replay is one transaction, which is never committed, so such a script cannot be replayed."
ENDED = f"The script ends the transaction by itself. {ONE_TRANSACTION}"

# An object outside has another schema or, if it was dropped, is older than the scratch schema. Oids from 16384 on are
# not the catalog's (FirstNormalObjectId in the server's transam.h).
REACHED_SQL = """
select distinct coalesce(n.nspname || '.' || coalesce(c.relname, t.typname), 'something that it dropped')
from pg_lock_status() l
left join pg_class c on l.locktype = 'relation' and c.oid = l.relation
left join pg_type t on l.locktype = 'object' and l.classid = 'pg_type'::regclass and t.oid = l.objid
left join pg_namespace n on n.oid = coalesce(c.relnamespace, t.typnamespace)
where l.pid = pg_backend_pid() and l.mode <> 'AccessShareLock'
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.locktype = 'relation' or l.locktype = 'object' and l.classid = 'pg_type'::regclass)
  and coalesce(l.relation, l.objid)::bigint >= 16384
  and case when n.oid is null then coalesce(l.relation, l.objid)::bigint < %(first)s
           else n.nspname <> all (%(ours)s) and left(n.nspname, 3) <> 'pg_' end
"""
# All sessions share the lock table, and if it is full, statements of all sessions fail (manual, 20.12).
STATE_SQL = """
select to_regnamespace(%(guard)s) is null,
       (select count(*) from pg_lock_status() where pid = pg_backend_pid() and not fastpath) * 2
     > current_setting('max_locks_per_transaction')::int
     * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)
"""


def outreach(sql: str, schemas: Collection[str]) -> str | None:
    """See `Backend.outreach`. Strings are searched too, as they may hold code: better too many names than too few."""
    text = COMMENT.sub(" ", sql)
    if match := OUTSIDE.search(text):
        if match["kind"]:
            return f"beyond any schema ({' '.join(match[0].lower().split())})"
        return "a file or a program (copy)" if match["copy"] else " ".join(match[0].lower().split())
    for match in NAMED.finditer(text):
        name = folded(match[1])
        if name in schemas and name not in BUILT_IN_SCHEMAS and not name.startswith(PREFIX):
            return f"the schema {name}"
    return None


def _ending(sql: str) -> str | None:
    """Return the keyword by which `sql` begins or ends a transaction; BEGIN and END of a function do not count."""
    match = ENDS.search(QUOTED.sub("''", COMMENT.sub(" ", sql)))
    return " ".join(match["word"].lower().split()) if match else None


@contextmanager
def scratch(engine: Engine, request: ScratchRequest) -> Iterator[PostgresScratch]:
    """Open a scratch schema.

    Raises `ScratchUnavailableError` if the role may not create a schema, or if a dedicated database is not empty.
    """
    with engine.connect() as connection:
        if request.dedicated:
            _require_empty(connection)
        own = f"{PREFIX}{secrets.token_hex(6)}"
        schema = request.schema if request.dedicated and request.schema else own
        # Protects the database from the statements of a script that has ended our transaction.
        with connection.begin():
            connection.exec_driver_sql(f"set search_path = {own}")
            connection.exec_driver_sql("set default_transaction_read_only = on")
        transaction = connection.begin()
        try:
            _make(connection, own, schema)
        except DBAPIError as error:
            if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                raise
            raise ScratchUnavailableError(
                "The role may not create a schema in that database, so the revisions cannot be replayed there."
            ) from None
        try:
            yield PostgresScratch(connection, schema, own, dedicated=request.dedicated)
        finally:
            transaction.rollback()  # if the connection is gone, the server has done so


def refuse_pooler() -> None:
    """Raise `ScratchUnavailableError`: a pooler would pass our session's settings on to its other clients."""
    raise ScratchUnavailableError("A connection pooler is in between. Connect to the server itself.")


def _require_empty(connection: Connection) -> None:
    with connection.begin():
        objects = [f"table {table.schema}.{table.name}" for table in catalog.tables(connection)]
        objects += [f"type {enum.schema}.{enum.name}" for enum in catalog.enum_types(connection)]
    if objects:
        raise ScratchUnavailableError(
            f"The scratch database is not empty: it has {objects[0]}"
            + (f" and {len(objects) - 1} more" if len(objects) > 1 else "")
            + ". Choose a database that is used for nothing else."
        )


def _make(connection: Connection, own: str, schema: str) -> None:
    quoted = identifier(schema)
    guard = f"{own}_guard"
    for statement in (
        "set transaction read write",
        f"create schema if not exists {quoted}",
        f"create schema {guard}",
        f"create table {guard}.never_committed (id int primary key, other int references {guard}.never_committed"
        " deferrable initially deferred)",
        f"insert into {guard}.never_committed values (1, 2)",
        f"set local search_path = {quoted}",
    ):
        connection.exec_driver_sql(statement)
    connection.dialect.default_schema_name = schema  # for scripts that use SQLAlchemy's inspector


class PostgresScratch(Scratch):
    """See `Scratch`."""

    def __init__(self, connection: Connection, schema: str, own: str, *, dedicated: bool) -> None:
        self.connection = connection
        self.schema = schema
        self.guard = f"{own}_guard"
        self._own = own
        self._dedicated = dedicated
        self._unchecked = 0
        self._is_ours = False  # whether the next statements are our own, and need no check
        [(self._first,)] = fetch(connection, "select %(name)s::regnamespace::oid::bigint", {"name": self.guard})
        rows = fetch(connection, "select nspname::text from pg_namespace", {})
        self._schemas = frozenset(name for (name,) in rows) - {schema}
        event.listen(connection, "before_cursor_execute", self._executing, retval=True)
        event.listen(connection, "commit", self._committing)

    def check(self) -> None:
        self._is_ours, self._unchecked = True, 0
        try:
            if not self._dedicated:
                parameters = {"first": self._first, "ours": [self._own, self.guard]}
                reached = sorted(str(name) for (name,) in fetch(self.connection, REACHED_SQL, parameters))
                if reached:
                    raise ReachedOutside(f"The script reaches outside of the scratch schema: {', '.join(reached[:3])}.")
            [(has_ended, has_too_many_locks)] = fetch(self.connection, STATE_SQL, {"guard": self.guard})
            if has_ended:
                raise ReachedOutside(ENDED, elsewhere=False)
            if has_too_many_locks:
                raise ReachedOutside(
                    "The script creates so many tables in one transaction that the server's lock table is half full."
                )
        finally:
            self._is_ours = False

    def done(self) -> None:
        self.check()
        self._is_ours = True

    def hint(self, error: BaseException) -> str | None:
        code = sqlstate(error) if isinstance(error, DBAPIError) else None
        if code == UNSAFE_NEW_ENUM_VALUE:
            return (
                "A replay is one transaction, and only PostgreSQL 17 or later can use a new value of an enum type in "
                "the transaction that added it. Give an empty database on such a server with --scratch-url."
            )
        if code == ACTIVE_TRANSACTION or "never_committed" in str(error):
            return ONE_TRANSACTION
        if code in UNDEFINED and not self._dedicated:
            return (
                "A scratch schema sees no other schema. If the missing object belongs to an extension or to another "
                "schema, give an empty database that has it with --scratch-url."
            )
        return None

    def _executing(
        self, _connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> tuple[str, Any]:
        if self._is_ours:
            return statement, parameters
        if (word := _ending(statement)) is not None:
            raise ReachedOutside(f"The script runs {word.upper()}. {ONE_TRANSACTION}", elsewhere=False)
        if not self._dedicated and (reached := outreach(statement, self._schemas)) is not None:
            raise ReachedOutside(f"The script reaches {reached}.")
        self._unchecked += 1
        if self._unchecked >= CHECKED_STATEMENTS:
            self.check()
        return CONCURRENTLY.sub(r"\1", statement), parameters

    def _committing(self, _connection: Connection) -> None:
        raise ReachedOutside(ENDED, elsewhere=False)
