"""A scratch schema on PostgreSQL: made in one transaction that cannot be committed, whatever a script does.

DDL is transactional here (manual, 13.1), so the schema of a replay is seen by nobody else and goes with its
transaction: at the end, at an error, and when the client is killed. Five things keep a script inside of it:

- search_path names the scratch schema alone, so that no unqualified name means a live table;
- a statement that names another schema, or what is not in any schema, is refused before it is sent;
- what the transaction has locked outside is looked at after each revision, and ends it;
- a row that violates a deferred foreign key is in it from the start: the server itself refuses to commit;
- whatever transaction may follow in that session is read-only, and its search_path names what is not there.

What autocommit_block() is for, a new value of an enum type, is done within the transaction (PostgreSQL 12); using the
value there takes PostgreSQL 17. In tables without rows, an index that is built CONCURRENTLY is the same as any other.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

from magetui.backends.postgresql import catalog
from magetui.backends.postgresql.query import INSUFFICIENT_PRIVILEGE, fetch, sqlstate
from magetui.backends.scratch import Place, ReachedOutside, ScratchUnavailableError

PREFIX = "magetui_scratch_"
CHECKED_STATEMENTS = 50  # after so many at the latest what they have locked is looked at
ALWAYS_THERE = frozenset({"pg_catalog", "information_schema", "pg_temp"})

NAMED = re.compile(r'(?<![\w$."])("(?:[^"]|"")+"|[^\W\d][\w$]*)\s*\.\s*(?=["\w])')
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
QUOTED = re.compile(r"(?P<tag>\$\w*\$).*?(?P=tag)|'(?:[^']|'')*'", re.DOTALL)
# What is the whole database's or server's, wherever search_path points.
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

ONE_TRANSACTION = "A replay is one transaction, which is never committed, and cannot be done with such a script."
ENDED = f"It ends the transaction by itself. {ONE_TRANSACTION}"

# What is not ours has another schema or, where it was dropped, was there before the scratch schema. From 16384 on an
# oid is no catalog's (FirstNormalObjectId in the server's transam.h).
REACHED_SQL = """
select distinct coalesce(n.nspname || '.' || coalesce(c.relname, t.typname), 'something that it dropped')
from pg_locks l
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
# The table of locks is everybody's, and full it fails everybody (manual, 20.12).
STATE_SQL = """
select to_regnamespace(%(guard)s) is null,
       (select count(*) from pg_locks where pid = pg_backend_pid() and not fastpath) * 2
     > current_setting('max_locks_per_transaction')::int
     * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)
"""


def outreach(sql: str, schemas: Collection[str]) -> str | None:
    """What `sql` would reach outside of a scratch schema: 'the schema public'. None where it reaches nothing.

    It looks into strings too, since code may stand in them, and rather sees too much than too little. `schemas` are
    those that there are.
    """
    text = COMMENT.sub(" ", sql)
    if match := OUTSIDE.search(text):
        if match["kind"]:
            return f"beyond any schema ({' '.join(match[0].lower().split())})"
        return "a file or a program (copy)" if match["copy"] else " ".join(match[0].lower().split())
    for match in NAMED.finditer(text):
        written = match[1]
        name = written[1:-1].replace('""', '"') if written.startswith('"') else written.lower()
        if name in schemas and name not in ALWAYS_THERE and not name.startswith(PREFIX):
            return f"the schema {name}"
    return None


def _ending(sql: str) -> str | None:
    """The word with which `sql` begins or ends a transaction; a function's own BEGIN and END are no such words."""
    match = ENDS.search(QUOTED.sub("''", COMMENT.sub(" ", sql)))
    return " ".join(match["word"].lower().split()) if match else None


@contextmanager
def scratch(engine: Engine, place: Place) -> Iterator[PostgresScratch]:
    """Open a scratch schema. Raises `ScratchUnavailableError` where the role may not, or the database is not empty."""
    with engine.connect() as connection:
        if place.apart:
            _require_empty(connection)
        own = f"{PREFIX}{secrets.token_hex(6)}"
        schema = place.schema if place.apart and place.schema else own
        _set_for_session(connection, own)
        try:
            _make(connection, own, schema)
        except DBAPIError as error:
            if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
                raise
            raise ScratchUnavailableError(
                "The role may not create a schema in that database, so the chain cannot be replayed in it."
            ) from None
        made = PostgresScratch(connection, schema, own, apart=place.apart)
        try:
            yield made
        finally:
            made.close()


def refuse_pooler() -> None:
    """What is set for a session that is not ours alone would be left to others. Raises `ScratchUnavailableError`."""
    raise ScratchUnavailableError("A connection pooler is in between. Name the server itself.")


def _require_empty(connection: Connection) -> None:
    found = [f"table {one.schema}.{one.name}" for one in catalog.tables(connection)]
    found += [f"type {one.schema}.{one.name}" for one in catalog.enum_types(connection)]
    connection.rollback()
    if found:
        raise ScratchUnavailableError(
            f"The scratch database is not empty: it has {found[0]}"
            + (f" and {len(found) - 1} more" if len(found) > 1 else "")
            + ". It is to be one that nothing is kept in."
        )


def _set_for_session(connection: Connection, own: str) -> None:
    """For whatever a script would do after it had ended our transaction."""
    connection.exec_driver_sql(f"set search_path = {own}")
    connection.exec_driver_sql("set default_transaction_read_only = on")
    connection.commit()


def _make(connection: Connection, own: str, schema: str) -> None:
    quoted = '"' + schema.replace('"', '""') + '"'
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
        connection.exec_driver_sql(statement.replace("%", "%%"))
    connection.dialect.default_schema_name = schema  # as scripts that inspect ask for it


class PostgresScratch:
    """See `Scratch`."""

    def __init__(self, connection: Connection, schema: str, own: str, *, apart: bool) -> None:
        self.connection = connection
        self.schema = schema
        self.guard = f"{own}_guard"
        self._own = own
        self._apart = apart
        self._unchecked = 0
        self._looking = False
        [(first,)] = fetch(connection, "select %(name)s::regnamespace::oid::bigint", {"name": self.guard})
        self._first = first
        rows = fetch(connection, "select nspname::text from pg_namespace", {})
        self._schemas = frozenset(name for (name,) in rows) - {schema}
        event.listen(connection, "before_cursor_execute", self._executing, retval=True)
        event.listen(connection, "commit", self._committing)

    def check(self) -> None:
        """See `Scratch`."""
        self._looking, self._unchecked = True, 0
        try:
            if not self._apart:
                parameters = {"first": self._first, "ours": [self._own, self.guard]}
                reached = sorted(str(name) for (name,) in fetch(self.connection, REACHED_SQL, parameters))
                if reached:
                    raise ReachedOutside(f"It reaches outside of the scratch schema: {', '.join(reached[:3])}.")
            [(over, too_many)] = fetch(self.connection, STATE_SQL, {"guard": self.guard})
            if over:
                raise ReachedOutside(ENDED, elsewhere=False)
            if too_many:
                raise ReachedOutside(
                    "It makes so many tables in one transaction that the server's table of locks is half full."
                )
        finally:
            self._looking = False

    def done(self) -> None:
        """See `Scratch`."""
        self.check()
        self._looking = True

    def hint(self, error: BaseException) -> str | None:
        """See `Scratch`."""
        code = sqlstate(error) if isinstance(error, DBAPIError) else None
        if code == UNSAFE_NEW_ENUM_VALUE:
            return (
                "A replay is one transaction, in which a value that was added to an enum type can be used from "
                "PostgreSQL 17 on: give an empty database of such a server with --scratch-url."
            )
        if code == ACTIVE_TRANSACTION or "never_committed" in str(error):
            return ONE_TRANSACTION
        if code in UNDEFINED and not self._apart:
            return (
                "A scratch schema sees no other one: if what is missing belongs to an extension, or to another "
                "schema, give an empty database that has it with --scratch-url."
            )
        return None

    def close(self) -> None:
        """Take everything back; the server does so itself where the line is gone."""
        self.connection.rollback()

    def _executing(
        self, _connection: Connection, _cursor: Any, statement: str, parameters: Any, *_: Any
    ) -> tuple[str, Any]:
        if self._looking:
            return statement, parameters
        if (word := _ending(statement)) is not None:
            raise ReachedOutside(f"It says {word.upper()}. {ONE_TRANSACTION}", elsewhere=False)
        if not self._apart and (reached := outreach(statement, self._schemas)) is not None:
            raise ReachedOutside(f"It reaches {reached}.")
        self._unchecked += 1
        if self._unchecked >= CHECKED_STATEMENTS:
            self.check()
        return CONCURRENTLY.sub(r"\1", statement), parameters

    def _committing(self, _connection: Connection) -> None:
        raise ReachedOutside(ENDED, elsewhere=False)
