"""The errors that a log may contain, each with what it is called here.

An error is known by its class, as a driver names it, or by the words of its message. The words are those of
PostgreSQL's server, of SQLite, of SQL Server's ODBC driver, and of Alembic.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from magetui.model.server import ErrorKind

Trouble = Literal[
    ErrorKind,
    "lock-timeout",
    "statement-timeout",
    "deadlock",
    "lost",
    "unsafe-value",
    "in-transaction",
    "no-batch",
    "not-null-column",
    "syntax",
    "unknown-revision",
    "broken-chain",
    "several-heads",
    "overlap",
    "two-of-one",
    "no-version-row",
    "id-too-long",
    "no-schema",
    "no-config",
    "import",
    "connection",
    "password",
    "no-database",
    "too-many-connections",
    "pending",
]

# The names of classes in psycopg2.errors and psycopg.errors; asyncpg has "Error" behind them.
CLASSES: Mapping[str, Trouble] = {
    **dict.fromkeys(("DuplicateTable", "DuplicateObject", "DuplicateColumn", "DuplicateSchema"), "exists"),
    **dict.fromkeys(("UndefinedTable", "UndefinedColumn", "UndefinedObject", "UndefinedFunction"), "missing"),
    "UniqueViolation": "duplicates",
    "NotNullViolation": "nulls",
    "ForeignKeyViolation": "orphans",
    "CheckViolation": "check",
    "StringDataRightTruncation": "too-long",
    **dict.fromkeys(
        ("InvalidTextRepresentation", "DatatypeMismatch", "NumericValueOutOfRange", "CannotCoerce"), "not-castable"
    ),
    "InsufficientPrivilege": "rights",
    **dict.fromkeys(("DependentObjectsStillExist", "DependentPrivilegeDescriptorsStillExist"), "in-use"),
    "DiskFull": "disk",
    "ReadOnlySqlTransaction": "read-only",
    "LockNotAvailable": "lock-timeout",
    "QueryCanceled": "statement-timeout",
    "DeadlockDetected": "deadlock",
    **dict.fromkeys(("AdminShutdown", "CrashShutdown", "CannotConnectNow"), "lost"),
    "UnsafeNewEnumValueUsage": "unsafe-value",
    "ActiveSqlTransaction": "in-transaction",
    **dict.fromkeys(("Syntax", "PostgresSyntax"), "syntax"),  # without "Error", and in asyncpg's words
    "InvalidSchemaName": "no-schema",
    "InvalidPassword": "password",
    "InvalidAuthorizationSpecification": "password",
    "InvalidCatalogName": "no-database",
    "TooManyConnections": "too-many-connections",
}
# The SQLSTATE of ODBC, which pyodbc shows in brackets.
STATES: Mapping[str, Trouble] = {
    "42S01": "exists",
    "42S21": "exists",
    "42S02": "missing",
    "42S22": "missing",
    "22001": "too-long",
    "22018": "not-castable",
    "28000": "password",
    "08001": "connection",
    "08S01": "lost",
    "HYT00": "lock-timeout",
    "40001": "deadlock",
}
# Words of messages, the most special first. A class that says less is then no longer asked.
WORDS: tuple[tuple[str, Trouble], ...] = (
    (r"value too long for type character varying\(\d+\).*", "too-long"),
    (r"No support for ALTER of constraints in SQLite", "no-batch"),
    (r'near "(?:ALTER|CONSTRAINT|DROP)": syntax error', "no-batch"),
    (r"Cannot add a NOT NULL column with default value NULL", "not-null-column"),
    (r"no schema has been selected to create in", "no-schema"),
    (r"unsafe use of new value", "unsafe-value"),
    (r"cannot run inside a transaction block", "in-transaction"),
    (
        r"canceling statement due to lock timeout|Lock wait timeout|Lock request time out period exceeded",
        "lock-timeout",
    ),
    (r"canceling statement due to statement timeout", "statement-timeout"),
    (r"database is locked", "lock-timeout"),
    (r"deadlock detected|was deadlocked on", "deadlock"),
    (r"already exists|duplicate column name|There is already an object named|must be unique\. Column name", "exists"),
    (r"does not exist|no such (?:table|column|index)|Invalid (?:object|column) name|Cannot drop the", "missing"),
    (r"violates unique constraint|could not create unique index|UNIQUE constraint failed|duplicate key", "duplicates"),
    (
        r"contains null values|violates not-null constraint|NOT NULL constraint failed|Cannot insert the value NULL",
        "nulls",
    ),
    (r"violates foreign key constraint|FOREIGN KEY constraint failed|conflicted with the FOREIGN KEY", "orphans"),
    (r"violates check constraint|is violated by some row|CHECK constraint failed|conflicted with the CHECK", "check"),
    (r"cannot be cast automatically|invalid input syntax for type|cannot cast type|out of range", "not-castable"),
    (r"permission denied|must be owner of", "rights"),
    (r"other objects depend on it|used by a view or rule", "in-use"),
    (r"No space left on device|disk is full|temporary file size exceeds", "disk"),
    (r"read-only transaction|readonly database", "read-only"),
    (
        r"server closed the connection unexpectedly|terminating connection|connection is closed|SSL SYSCALL error",
        "lost",
    ),
    (r"password authentication failed|Login failed for user|no password supplied", "password"),
    (r"too many clients|remaining connection slots", "too-many-connections"),
    (
        r"could not translate host name|Connection refused|timeout expired|No route to host|Name or service",
        "connection",
    ),
    (r"unable to open database file", "no-database"),
    (r"syntax error at or near", "syntax"),
)
CONNECTING: tuple[tuple[str, Trouble], ...] = (
    (r'\bdatabase "[^"]*" does not exist', "no-database"),
    (r'\brole "[^"]*" does not exist', "password"),
)
# What Alembic itself says.
ALEMBIC: tuple[tuple[str, Trouble], ...] = (
    (r"Can't locate revision identified by '(?P<revision>[^']+)'", "unknown-revision"),
    (r"No such revision or branch '(?P<revision>[^']+)'", "unknown-revision"),
    (
        r"Multiple head revisions are present|Multiple heads are present|The script directory has multiple heads",
        "several-heads",
    ),
    (r"Requested revision (?P<revision>\S+) overlaps with other requested revisions", "overlap"),
    (r"Revision (?P<revision>\S+) is present more than once", "two-of-one"),
    (r"Online migration expected to match one row when (?:updating|deleting)", "no-version-row"),
    (r"Target database is not up to date", "pending"),
    (r"No config file '[^']*' found|No 'script_location' key found|Path doesn't exist: ", "no-config"),
    (r"Revision (?P<revision>\S+) referenced from .* is not present", "broken-chain"),
)


def trouble_of(name: str, message: str) -> Trouble | None:
    """Return what an error is, from the name of its class and its message; None if it is not known."""
    for words, trouble in CONNECTING:
        if re.search(words, message):
            return trouble
    by_words = next((trouble for words, trouble in WORDS if re.search(words, message)), None)
    special = ("no-batch", "not-null-column", "no-schema", "unsafe-value", "in-transaction", "lock-timeout")
    if by_words in special:
        return by_words
    plain = name.rpartition(".")[2].removesuffix("Error")
    if plain in CLASSES:
        return CLASSES[plain]
    state = re.search(r"\[(\w{5})\]|\('(\w{5})'", message)
    if state is not None and (found := STATES.get(state[1] or state[2])) is not None:
        return by_words if state[1] == "23000" else found
    return by_words
