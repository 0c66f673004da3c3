"""A script's own SQL as operations, as far as its text tells.

Each statement is read once, from its tokens. `operations_of` returns what a schema shows of it: evidence and repairs
are made from that. `statements_of` adds the locks and the changes of rows, which previews are made from.

A statement that is not understood is `Unclear`: it may do anything to the tables that it names, or to all tables if it
names none. If only the action on one table is not understood, the statement is `UnclearTable`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from magetui.engine.sql.other_statements import ROWS, other_statement
from magetui.engine.sql.tables import Read, TableReader, create_index, lock
from magetui.engine.sql.tokens import Tokens, UnfinishedError
from magetui.model import operations as ops

# After these words a table may be gone, or have another name.
TAKES_TABLES = re.compile(r"\bdrop\s+(?:foreign\s+|virtual\s+)?table\b|\brename\b|\bset\s+schema\b", re.IGNORECASE)
# What CREATE, ALTER and DROP change beside tables. With CASCADE they may take parts of tables along.
BESIDE_TABLES = frozenset(
    """TRIGGER FUNCTION PROCEDURE ROUTINE AGGREGATE VIEW RULE POLICY SEQUENCE PUBLICATION SUBSCRIPTION EXTENSION
    STATISTICS OPERATOR CAST COLLATION ROLE USER DEFAULT""".split()  # noqa: SIM905 - to be read, not scrolled
)
# The same of these; but a schema that is renamed takes its tables along, and a domain the types of its columns.
CONTAINERS = frozenset({"SCHEMA", "DOMAIN", "DATABASE"})
FIRST_WORD = re.compile(r"\s*([a-z]+)\b", re.IGNORECASE)
SILENT_FOR_SCHEMA = ROWS | frozenset(
    """TRUNCATE COPY SET RESET SHOW COMMENT GRANT REVOKE ANALYZE VACUUM REINDEX REFRESH CLUSTER LOCK NOTIFY BEGIN COMMIT
    SAVEPOINT RELEASE PRAGMA EXPLAIN START END LISTEN UNLISTEN DISCARD DEALLOCATE CHECKPOINT""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: `schema` is what a schema shows of it, `locks` the operations that locks are foretold from."""

    text: str
    schema: tuple[ops.Operation, ...]
    locks: tuple[ops.Operation, ...]


def operations_of(sql: str, dialect: str) -> tuple[ops.Operation, ...]:
    """Return what the statements in `sql` do to the schema. The result is empty if they leave the schema alone."""
    first = FIRST_WORD.match(sql)
    if first is not None and first[1].upper() in SILENT_FOR_SCHEMA and ";" not in sql.rstrip("; \n\t"):
        return ()  # inserted rows may be many, and their tokens are of no use
    return tuple(operation for statement in statements_of(sql, dialect) for operation in statement.schema)


def parts_of(operation: ops.Operation, dialect: str) -> tuple[ops.Operation, ...]:
    """Return what raw SQL does to the schema. Any other operation is its own only part."""
    return operations_of(operation.sql, dialect) if isinstance(operation, ops.ExecuteSql) else (operation,)


@lru_cache(maxsize=4_096)
def statements_of(sql: str, dialect: str) -> tuple[Statement, ...]:
    """Return each statement in `sql` with all that is understood of it."""
    return tuple(_statement(words, dialect) for words in Tokens.of(sql, dialect).statements())


def _statement(words: Tokens, dialect: str) -> Statement:
    text = words.rest
    try:
        read = _read(words, dialect)
    except UnfinishedError:
        read = Read.unclear(lock(None, None, None, "what an unfinished statement does"))
    if read.schema is not None:
        return Statement(text, read.schema, read.locks)
    names = frozenset(re.findall(r"[^\W\d]\w*", text.lower()))
    takes_tables = bool(TAKES_TABLES.search(text))
    if read.table is None or takes_tables:
        return Statement(text, (ops.Unclear(names, takes_tables),), read.locks)
    return Statement(text, (ops.UnclearTable(names, False, *read.table),), read.locks)


def _read(words: Tokens, dialect: str) -> Read:
    ahead, first = words.ahead(), words.key
    ahead.step()
    if first in ("CREATE", "ALTER", "DROP"):
        return _ddl(first, ahead, words, dialect)
    return Read(() if first in SILENT_FOR_SCHEMA or first == "(" else None, other_statement(words))


def _ddl(first: str, words: Tokens, statement: Tokens, dialect: str) -> Read:  # noqa: PLR0911 - a case a statement
    words.take("OR", "REPLACE")
    is_temporary = words.take_any("GLOBAL", "LOCAL", "TEMP", "TEMPORARY") and first != "ALTER"
    is_unique = words.take("UNIQUE")
    words.take_any("UNLOGGED", "CONSTRAINT", "EVENT", "RECURSIVE", "MATERIALIZED")
    is_other = words.take_any("FOREIGN", "VIRTUAL")
    kind = words.identifier().upper()
    match first, kind:
        case "CREATE", "TABLE":
            read = _table(words, dialect, creates=True)
            if is_temporary:
                return Read((), read.locks)
            return Read(None if is_other else read.schema, read.locks, read.table)
        case "CREATE", "INDEX":
            return create_index(words, unique=is_unique)
        case "ALTER", "TABLE" if words.key != "ALL":
            return _table(words, dialect, creates=False)
        case "DROP", "TABLE":
            is_guarded, cascade = words.take("IF", "EXISTS"), words.has("CASCADE")
            dropped = tuple(ops.DropTable(*table, cascade) for table in words.tables())
            guarded = tuple(ops.Guarded((drop,), drop.table, drop.schema) for drop in dropped)
            return Read(() if is_temporary else dropped, guarded if is_guarded else dropped)
        case "DROP", "INDEX":
            return _drop_indexes(words)
        case _, "TYPE":
            return _type(first, words, statement)
        case "ALTER", "INDEX":
            ahead = words.ahead()
            ahead.take("IF", "EXISTS")
            name, schema = ahead.table()
            if ahead.take("RENAME", "TO"):
                return Read.both(ops.RenameIndex(name, schema, ahead.identifier()))
    return Read(() if _is_beside_tables(first, kind, statement) else None, other_statement(statement))


def _is_beside_tables(first: str, kind: str, statement: Tokens) -> bool:
    """Return True if a CREATE, ALTER or DROP changes nothing of a table or of a type."""
    if statement.has("CASCADE"):
        return False
    inside = statement.ahead()
    inside.step()
    if kind in CONTAINERS or (kind, first) == ("INDEX", "ALTER"):
        return not inside.has("RENAME") and not inside.has("CREATE")
    return kind in BESIDE_TABLES


def _table(words: Tokens, dialect: str, *, creates: bool) -> Read:
    """Read what follows CREATE TABLE or ALTER TABLE."""
    is_guarded = words.take("IF", "NOT", "EXISTS") if creates else words.take("IF", "EXISTS")
    table, schema = words.table()
    reader = TableReader(table, schema, dialect)
    read = reader.created(words) if creates else reader.altered(words)
    guarded = (ops.Guarded(read.locks, table, schema, present=not creates),)
    return Read(read.schema, guarded if is_guarded else read.locks, (table, schema, creates))


def _drop_indexes(words: Tokens) -> Read:
    concurrently, is_guarded = words.take("CONCURRENTLY"), words.take("IF", "EXISTS")
    dropped = [ops.DropIndex(name, None, schema, concurrently) for name, schema in words.tables()]
    if words.take("ON") and len(dropped) == 1:  # SQL Server
        table, schema = words.table()
        dropped = [ops.DropIndex(dropped[0].name, table, schema)]
    guarded = (ops.Guarded((drop,), None, drop.schema, index=drop.name) for drop in dropped)
    return Read(tuple(dropped), tuple(guarded if is_guarded else dropped))


# -- types


def _type(first: str, words: Tokens, statement: Tokens) -> Read:  # noqa: PLR0911 - a case a statement
    if first == "DROP":
        if_exists, cascade = words.take("IF", "EXISTS"), words.has("CASCADE")
        dropped = tuple(ops.DropType(*name, if_exists, cascade) for name in words.tables())
        return Read(dropped, (*dropped, *other_statement(statement)))
    name, schema = words.table()
    if first == "CREATE":
        if words.take("AS", "ENUM") and words.key == "(":
            return Read.both(ops.CreateType(name, schema, tuple(_string(part) for part in words.inside().parts())))
        return Read((), ())
    if words.take("ADD", "VALUE"):
        if_missing = words.take("IF", "NOT", "EXISTS")
        return Read.both(ops.AddEnumValue(name, schema, _string(words), if_missing))
    if words.take("RENAME", "VALUE"):
        old = _string(words)
        words.take("TO")
        return Read.both(ops.RenameEnumValue(name, schema, old, _string(words)))
    if words.take("RENAME", "TO"):
        return Read.both(ops.RenameType(name, schema, words.identifier()))
    is_beside = words.key == "OWNER" or (words.has("ATTRIBUTE") and not words.has("CASCADE"))
    return Read(() if is_beside else None, other_statement(statement))


def _string(words: Tokens) -> str:
    """Read a string, without its quotes."""
    return words.identifier().removeprefix("'").removesuffix("'").replace("''", "'")
