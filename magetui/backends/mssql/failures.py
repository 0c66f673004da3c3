"""SQL Server's errors, as each driver reports them."""

from __future__ import annotations

import importlib.metadata
import re
import socket
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError

from magetui.model.server import ConnectCause, StatementCause

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
BRACKETS = re.compile(r"^(?:\[[^\]]*\]\s*)+")
DB_LIB = re.compile(r"DB-Lib error message \d+, severity \d+:\s*(?:General SQL Server error: Check messages[^\n]*)?")


def unreadable(table: str, error: DBAPIError) -> str:
    number = error_number(error.orig)
    if number == LOCK_TIMEOUT:
        return f"{table} is locked by somebody, and reading does not wait for locks."
    if number in FORBIDDEN:
        return f"This login may not read {table}."
    return f"{table} cannot be read: {error_text(error.orig)}"


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
