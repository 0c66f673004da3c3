"""The locks of statements that change no table and no index: queries, maintenance, triggers, policies, comments, …

The lock modes are those of the manual's chapter 13.3 and of each statement's page. Only PostgreSQL is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from magetui.engine.sql.tables import lock
from magetui.model.lock_modes import LockMode, TableWork, lock_mode
from magetui.model.operations import (
    Autocommit,
    CreateTable,
    DropSchema,
    InsertRows,
    LockTable,
    Operation,
    RunQuery,
    TruncateTable,
)

if TYPE_CHECKING:
    from magetui.engine.sql.tokens import Tokens

ROWS = frozenset({"SELECT", "WITH", "VALUES", "TABLE", "INSERT", "UPDATE", "DELETE", "MERGE"})
QUERIES = ROWS - {"TABLE"} | {"("}
# Statements about the session, or about objects that do not belong to a table.
SILENT = frozenset(
    """SET RESET SHOW BEGIN START ROLLBACK ABORT SAVEPOINT RELEASE LISTEN NOTIFY UNLISTEN DISCARD DEALLOCATE
    CHECKPOINT""".split()  # noqa: SIM905 - to be read, not scrolled
)
ELSEWHERE = frozenset(
    """TYPE DOMAIN SEQUENCE FUNCTION PROCEDURE ROUTINE AGGREGATE SCHEMA EXTENSION ROLE USER GROUP DATABASE OPERATOR CAST
    COLLATION CONVERSION TEXT SERVER TABLESPACE LANGUAGE TRANSFORM ACCESS EVENT DEFAULT SYSTEM LARGE""".split()  # noqa: SIM905
)
ON_A_TABLE = frozenset({"TRIGGER", "RULE", "POLICY"})
GRANT_LOCKS_SINCE = 18  # the first version that locks the tables whose privileges change
EVERY_TABLE = "every table, one after another"


def other_statement(words: Tokens) -> tuple[Operation, ...]:
    """Return the locks of the statement, and the rows that it reads or changes."""
    return tuple(_statement(words))


def _not_known(note: str) -> LockTable:
    return lock(None, None, None, note)


def _on(words: Tokens, mode: LockMode) -> LockTable:
    """Return a lock on the table that comes next."""
    return lock(*words.table(), mode)


def _on_column(words: Tokens, mode: LockMode) -> LockTable:
    """Return a lock on the table of the column that comes next."""
    *schema, table, _ = words.path()
    return lock(table, schema[-1] if schema else None, mode)


def _statement(words: Tokens) -> Iterable[Operation]:  # noqa: PLR0911, PLR0912 - a case a statement
    first = words.key
    if words.take("TABLE"):
        return [RunQuery(f"SELECT * FROM {words.rest}")]
    if first in QUERIES:
        return _query(words)
    words.step()
    match first:
        case "CREATE":
            return _create(words)
        case "ALTER":
            return _alter(words)
        case "DROP":
            return _drop(words)
        case "COMMIT" | "END":
            return [Autocommit(begins=True)]
        case "EXPLAIN":
            words.take_any("ANALYZE", "VERBOSE")
            if words.key == "(" and words.ahead().inside().key not in QUERIES:
                words.step()
            if words.key in QUERIES:
                return [RunQuery(words.rest)]
        case "TRUNCATE":
            words.take("TABLE")
            tables, cascade = words.tables(), words.has("CASCADE")
            return [TruncateTable(*table, cascade) for table in tables]
        case "LOCK":
            words.take("TABLE")
            tables = words.tables()
            name = words.until(frozenset({"MODE"})).upper() if words.take("IN") else LockMode.ACCESS_EXCLUSIVE.value
            if (mode := lock_mode(" ".join(name.split()))) is not None:
                return [lock(*table, mode) for table in tables]
        case "VACUUM" | "ANALYZE" | "CLUSTER":
            return _maintain(first, words)
        case "REINDEX":
            return [_reindex(words)]
        case "REFRESH":
            words.take("MATERIALIZED", "VIEW")
            is_weak = words.take("CONCURRENTLY")
            view = words.table()
            work: TableWork = "data" if is_weak else "rewrite"
            return [
                LockTable(*view, LockMode.EXCLUSIVE if is_weak else LockMode.ACCESS_EXCLUSIVE, work),
                LockTable(None, None, LockMode.ACCESS_SHARE, "scan", f"the tables that {view[0]} reads"),
            ]
        case "COMMENT":
            return _comment(words)
        case "GRANT" | "REVOKE":
            if not words.skip_to("ON") or words.key in ELSEWHERE | {"ALL", "FOREIGN", "PARAMETER"}:
                return []
            words.take("TABLE")
            return [LockTable(*table, LockMode.ACCESS_SHARE, since=GRANT_LOCKS_SINCE) for table in words.tables()]
        case "COPY":
            return [_copy(words)]
        case _ if first in SILENT:
            return []
    return [_not_known(f"what {first} runs or locks")]


def _query(words: Tokens) -> Iterator[Operation]:
    """Read a query. SELECT … INTO makes a table."""
    yield RunQuery(words.rest)
    if words.take("SELECT") and words.skip_to("INTO"):
        words.take_any("TEMP", "TEMPORARY", "UNLOGGED", "TABLE")
        yield CreateTable(*words.table())


def _maintain(first: str, words: Tokens) -> list[Operation]:
    full = words.has("FULL")
    if words.key == "(":
        words.step()
    words.take_any("FULL", "FREEZE", "VERBOSE", "ANALYZE")
    tables = words.tables() if words else []
    if first == "CLUSTER" and words.take("ON"):  # CLUSTER index ON table, an older form
        tables = [words.table()]
    if first == "CLUSTER" or full:
        every = LockTable(None, None, LockMode.ACCESS_EXCLUSIVE, "rewrite", EVERY_TABLE)
        note = None
    else:
        every = LockTable(None, None, LockMode.SHARE_UPDATE_EXCLUSIVE, "scan", EVERY_TABLE)
        note = "reads a sample of the rows" if first == "ANALYZE" else None
    return [LockTable(*table, every.mode, every.work, note) for table in tables] or [every]


def _reindex(words: Tokens) -> LockTable:
    concurrently = words.has("CONCURRENTLY")
    if words.key == "(":
        words.step()
    kind = words.identifier().upper()
    words.take("CONCURRENTLY")
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE if concurrently else LockMode.SHARE
    note = None if concurrently else "builds while writers wait, and readers that want the index"
    name, schema = words.table()
    if kind == "TABLE":
        return LockTable(name, schema, mode, "build", note)
    if kind == "INDEX":
        return LockTable(None, schema, mode, "build", note, index=name)
    return LockTable(None, None, mode, "build", "every table in it, one after another")


def _comment(words: Tokens) -> list[Operation]:
    words.take("ON")
    words.take_any("MATERIALIZED", "FOREIGN")
    kind = words.identifier().upper()
    if kind in {"TABLE", "VIEW"}:
        return [_on(words, LockMode.SHARE_UPDATE_EXCLUSIVE)]
    if kind == "COLUMN":
        return [_on_column(words, LockMode.SHARE_UPDATE_EXCLUSIVE)]
    if kind in ON_A_TABLE | {"CONSTRAINT"} and words.skip_to("ON") and not words.take("DOMAIN"):
        return [_on(words, LockMode.ACCESS_SHARE)]
    return []


def _copy(words: Tokens) -> Operation:
    if words.key == "(":
        return RunQuery(words.inside().rest)
    table = words.table()
    columns = words.columns() or None
    if words.take("FROM"):
        return InsertRows(*table, rows=0, columns=columns)
    return LockTable(*table, LockMode.ACCESS_SHARE, "scan")


# -- CREATE, DROP and ALTER of other objects


def _create(words: Tokens) -> Iterable[Operation]:  # noqa: PLR0911 - a case a statement
    replaces = words.take("OR", "REPLACE")
    words.take_any("GLOBAL", "LOCAL", "TEMP", "TEMPORARY", "UNLOGGED", "UNIQUE", "RECURSIVE", "CONSTRAINT")
    is_stored = words.take("MATERIALIZED")
    foreign = words.take("FOREIGN")
    kind = words.identifier().upper()
    match kind:
        case "DATA" if foreign:
            return []
        case "VIEW":
            words.take("IF", "NOT", "EXISTS")
            replaced = lock(*words.table(), LockMode.ACCESS_EXCLUSIVE, "if there is a view to replace")
            words.skip_to("AS")
            query = RunQuery(words.rest, runs=is_stored)
            return [replaced, query] if replaces else [query]
        case "TRIGGER" if words.skip_to("ON"):
            on = _on(words, LockMode.SHARE_ROW_EXCLUSIVE)
            return [on, _on(words, LockMode.ACCESS_SHARE)] if words.take("FROM") else [on]
        case "RULE" if words.skip_to("TO"):
            return _create_rule(words)
        case "POLICY" if words.skip_to("ON"):
            return _policy(words)
        case "STATISTICS" if words.skip_to("FROM"):
            return [_on(words, LockMode.SHARE_UPDATE_EXCLUSIVE)]
        case "PUBLICATION" if not words.has("FOR") or words.has("FOR", "ALL"):
            return []
        case "PUBLICATION" if words.skip_to("TABLE"):
            return [lock(*table, LockMode.SHARE_UPDATE_EXCLUSIVE) for table in words.tables()]
        case "SEQUENCE":
            return _sequence(words)
        case "FUNCTION" | "PROCEDURE" if words.has("LANGUAGE", "SQL"):
            note = "the tables that its body names, while it is checked"
            return [lock(None, None, LockMode.ROW_EXCLUSIVE, note)]
        case _:
            return [] if kind in ELSEWHERE else [_not_known(f"what CREATE {kind} locks")]


def _create_rule(words: Tokens) -> Iterator[Operation]:
    yield _on(words, LockMode.ACCESS_EXCLUSIVE)
    if words.skip_to("DO"):
        words.take_any("ALSO", "INSTEAD")
        commands = words.inside() if words.key == "(" else words
        yield from (RunQuery(part.rest, runs=False) for part in commands.statements() if part.key in QUERIES)


def _policy(words: Tokens) -> Iterator[Operation]:
    """Read what follows ON: the conditions of a policy may contain queries."""
    yield _on(words, LockMode.ACCESS_EXCLUSIVE)
    while words.skip_to("USING", "CHECK"):
        if words.key == "(":
            yield RunQuery(f"SELECT {words.inside().rest}", runs=False)


def _sequence(words: Tokens) -> list[Operation]:
    is_owned = words.skip_to("OWNED") and words.take("BY") and words.key != "NONE"
    return [_on_column(words, LockMode.ACCESS_SHARE)] if is_owned else []


def _drop(words: Tokens) -> list[Operation]:
    words.take_any("MATERIALIZED", "FOREIGN")
    kind = words.identifier().upper()
    words.take("IF", "EXISTS")
    cascade = words.has("CASCADE")
    if kind == "VIEW":
        views: list[Operation] = [lock(*view, LockMode.ACCESS_EXCLUSIVE) for view in words.tables()]
        return [*views, lock(None, None, LockMode.ACCESS_EXCLUSIVE, "views that read it")] if cascade else views
    if kind in ON_A_TABLE and words.skip_to("ON"):
        return [_on(words, LockMode.ACCESS_EXCLUSIVE)]
    if kind == "STATISTICS":
        return [lock(None, None, LockMode.SHARE_UPDATE_EXCLUSIVE, "the table of the statistics")]
    if kind == "SCHEMA" and cascade:
        schema = words.identifier()
        note = f"everything else in {schema}, and what depends on it"
        return [DropSchema(schema), lock(None, None, LockMode.ACCESS_EXCLUSIVE, note)]
    if kind in ELSEWHERE:
        note = f"tables that depend on the dropped {kind.lower()}"
        return [lock(None, None, LockMode.ACCESS_EXCLUSIVE, note)] if cascade else []
    return [_not_known(f"what DROP {kind} locks")]


def _alter(words: Tokens) -> Iterable[Operation]:  # noqa: PLR0911 - a case a statement
    words.take_any("MATERIALIZED", "FOREIGN")
    kind = words.identifier().upper()
    words.take("IF", "EXISTS")
    match kind:
        case "VIEW":
            return [_on(words, LockMode.ACCESS_EXCLUSIVE)]
        case "INDEX" if words.skip_to("RENAME", "SET", "RESET") and words.key != "TABLESPACE":
            return []
        case "TYPE" if words.has("CASCADE"):
            return [lock(None, None, LockMode.ACCESS_EXCLUSIVE, "tables of that type")]
        case "DOMAIN" if words.has("VALIDATE") or words.has("SET", "NOT") or words.has("ADD"):
            is_checked = not words.has("NOT", "VALID")
            note = "tables with a column of the domain"
            return [LockTable(None, None, LockMode.SHARE, "scan", note)] if is_checked else []
        case "SEQUENCE":
            return _sequence(words)
        case _ if kind in ON_A_TABLE and words.skip_to("ON"):
            return _policy(words)
        case _:
            return [] if kind in ELSEWHERE - {"EXTENSION"} else [_not_known(f"what ALTER {kind} locks")]
