"""The meaning of SQL Server's errors, which each of the three drivers reports in another way; see `error_number`."""

from __future__ import annotations

import importlib.metadata
import re
import socket
from typing import Any

from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError, DBAPIError

from magetui.backends.problems import driver_module, original
from magetui.model.server import ConnectCause, Failure, StatementCause

DRIVERS = ("pyodbc", "pymssql", "mssqlpython")  # SQLAlchemy's names
EXTRAS = {  # by the driver's module: magetui's extra that installs it, and what else the driver needs
    "pyodbc": ("mssql", "It also needs unixODBC and Microsoft's ODBC driver on this machine."),
    "pymssql": ("mssql-pymssql", "It needs nothing else on this machine."),
    "mssql_python": ("mssql-python", "It also needs the system's library libltdl (Debian's package libltdl7)."),
}
LOCK_TIMEOUT, NO_TRANSACTION, NOT_A_PROCESS, NO_RIGHT_TO_KILL = 1222, 3903, 6106, 6102
INVALID_OBJECT, DEADLOCK = 208, 1205
FREETDS_NUMBERS, FREETDS_TIMEOUT = 20_000, 20_003  # FreeTDS numbers its own errors from 20000 on
FORBIDDEN = frozenset({229, 230, 262, 297, 300, 371, 916})  # SELECT, EXECUTE, VIEW … STATE or the database denied
UNSEEN = FORBIDDEN | {INVALID_OBJECT, LOCK_TIMEOUT}  # after these errors, less is shown
# mssql-python reports no number, only a text in the login's language. These English texts are recognised.
NUMBERS_BY_WORDS: tuple[tuple[int, str], ...] = (
    (LOCK_TIMEOUT, r"Lock request time out period exceeded"),
    (DEADLOCK, r"was deadlocked on .* and has been chosen as the deadlock victim"),
    (NO_TRANSACTION, r"ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION"),
    (NO_RIGHT_TO_KILL, r"does not have permission to use the KILL statement"),
    (NOT_A_PROCESS, r"is not an active process ID"),
    (300, r"permission was denied on object|permission was denied in database|does not have permission to perform"),
    (INVALID_OBJECT, r"Invalid object name"),
    (596, r"session is in the kill state"),
    (4060, r"Cannot open database"),
    (18456, r"Login failed for user"),
)
CAUSES: tuple[tuple[ConnectCause | StatementCause, tuple[int, ...]], ...] = (
    ("lock-timeout", (LOCK_TIMEOUT,)),
    ("deadlock", (DEADLOCK,)),
    ("lost", (596, 6005)),  # its session was killed, the server is being shut down
    ("lost", (20003, 20006, 20017, 20047)),  # FreeTDS: timed out, could not write, unexpected end, dead
    ("no-database", (911, 4060)),
    ("password", (18452, 18456, 18486, 18487, 18488)),
    ("too-many-connections", (10928, 17809)),  # the first is Azure's
    ("name", (20013,)),  # FreeTDS: unknown host machine name
)
WORDS: tuple[tuple[ConnectCause | StatementCause, str], ...] = (
    ("refused", r"unavailable or does not exist.*\(SQLDriverConnect\)"),  # FreeTDS through ODBC, with 08S01
    ("cancelled", r"Operation cancell?ed|HY008"),
    ("statement-timeout", r"Query timeout expired"),
    ("lost", r"08S01|Communication link failure|08003|08007|Connection not open|Not connected to any MS SQL server"),
    ("lost", r"DBPROCESS is dead|Write to the server failed|Unexpected EOF from the server"),  # without a number
    ("driver-missing", r"Can't open lib|no default driver specified|IM002|Failed to load the driver"),
    ("tls", r"SSL|TLS|certificate|[Ee]ncryption"),
    ("name", r"Name or service not known|nodename nor servname|0x2AF9|Unknown host|host name"),
    ("refused", r"Connection refused|0x2749|No route to host|Network is unreachable"),
    ("timeout", r"[Tt]imeout expired|Timeout error|timed out|0x274C|HYT0[01]"),
    ("name", r"unavailable or does not exist"),  # all that FreeTDS says if a name is unknown
    ("password", r"Login failed|28000"),
    ("bad-url", r"Connection string parsing failed|Invalid connection string attribute|Neither DSN nor SERVER"),
)
NETWORK_ERRORS: tuple[tuple[type[OSError], ConnectCause], ...] = (
    (socket.gaierror, "name"),
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
)
ODBC, FREETDS = ("pyodbc", "mssql_python"), ("pymssql",)  # the modules of the drivers' errors
ADVICE: dict[str, tuple[tuple[tuple[str, ...], str], ...]] = {  # by the cause and the driver
    "tls": (
        (
            ODBC,
            "Encrypt=yes is the driver's default. If the server's certificate is not from an authority that this "
            "machine knows, TrustServerCertificate=yes accepts it; Encrypt=no connects without TLS.",
        ),
        (FREETDS, "The parameter encryption of the URL (off, request, require) or freetds.conf controls TLS."),
    ),
    "password": (
        (
            ODBC,
            "Check the user and password. In odbc_connect, a password with special characters is in braces, "
            "PWD={…}, with each closing brace written twice; in another URL it is percent-encoded.",
        ),
    ),
    "driver-missing": (
        (
            ("pyodbc",),
            "Install Microsoft's ODBC Driver 18 for SQL Server, and name it in the URL as 'odbcinst -q -d' lists it.",
        ),
        (("mssql_python",), "Reinstall mssql-python: its ODBC driver could not be loaded."),
    ),
    "bad-url": (
        (
            (),
            "Give a URL such as mssql+pyodbc://?odbc_connect=DRIVER={ODBC Driver 18 for SQL Server};SERVER=host,1433;"
            "DATABASE=name;UID=user;PWD={password} or mssql+pymssql://user:password@host:1433/database.",
        ),
    ),
    "too-many-connections": (((), "Wait for a session to end, or end idle ones."),),
}
BRACKETS = re.compile(r"^(?:\[[^\]]*\]\s*)+")
DB_LIB = re.compile(r"DB-Lib error message \d+, severity \d+:\s*(?:General SQL Server error: Check messages[^\n]*)?")


def failure(error: BaseException, *, killed: bool) -> Failure:
    """See `Connections.failure`. `killed` is true if we ended the session ourselves to cancel its statement."""
    if isinstance(error, ImportError):
        return Failure("driver-missing", driver_missing(error))
    own = original(error)
    if isinstance(error, ArgumentError):
        return Failure("bad-url", str(error), advice=_advice("bad-url", own))
    if isinstance(own, OSError):  # nobody answered (`bounded`), or a driver did not wrap the system's error
        causes = (cause for kind, cause in NETWORK_ERRORS if isinstance(own, kind))
        network_cause: ConnectCause = next(causes, "other")
        reason = own.strerror or str(own) or "nobody answered"
        reading = isinstance(error, DBAPIError) and error.statement is not None
        return Failure("lost" if reading else network_cause, reason, silent=network_cause == "timeout")
    message, number = error_text(own), error_number(own)
    cause = _cause(error, number, f"{message} {own}")
    if cause == "lost" and killed:
        cause = "cancelled"
    silent = cause == "timeout" or number == FREETDS_TIMEOUT
    return Failure(cause, message, silent=silent, advice=_advice(cause, own))


def _advice(cause: str, own: BaseException) -> str | None:
    """Return what to do next, if this driver wants something else than the cause's usual advice."""
    module = type(own).__module__.partition(".")[0]
    return next((advice for modules, advice in ADVICE.get(cause, ()) if not modules or module in modules), None)


def _cause(error: BaseException, number: int | None, text: str) -> ConnectCause | StatementCause:
    """Return the cause by the error's number, or else by its text; `text` is everything that the driver reported."""
    connecting = isinstance(error, DBAPIError) and error.statement is None
    if number == FREETDS_TIMEOUT and connecting:
        return "timeout"
    for cause, numbers in CAUSES:
        if number in numbers:
            return cause
    if number is None or number >= FREETDS_NUMBERS:  # the driver's own error, whose cause is only in its text
        for cause, words in WORDS:
            if re.search(words, text):
                return cause
    if connecting or not isinstance(error, DBAPIError):
        return "other"
    return "lost" if error.connection_invalidated else "failed"


def unreadable(table: str, error: DBAPIError) -> str:
    number = error_number(error.orig)
    if number == LOCK_TIMEOUT:
        return f"Another session has {table} locked, and reading does not wait for locks."
    if number in FORBIDDEN:
        return f"This login may not read {table}."
    return f"{table} cannot be read: {error_text(error.orig)}"


def driver_errors(dialect: Dialect) -> tuple[type[Exception], ...]:
    """Return the classes of a driver's errors. pymssql's rollback raises an error that is none of DB-API's."""
    own = getattr(getattr(driver_module(dialect), "_mssql", None), "MSSQLException", None)
    return (driver_module(dialect).Error, *([own] if own is not None else []))


def error_number(error: BaseException | None) -> int | None:
    """Return the server's number of an error, or FreeTDS's own number from 20000 on; None if there is no number.

    pymssql: the first argument, or the first item of a pair if connecting failed. pyodbc: in parentheses in the text,
    before the name of an ODBC function. mssql-python reports no number, so the number comes from the texts in
    `NUMBERS_BY_WORDS`.
    """
    first = next(iter(getattr(error, "args", ())), None)
    if isinstance(first, tuple) and first:
        first = first[0]
    if isinstance(first, int):
        return first
    text = str(error)
    if match := re.search(r"\((\d{1,5})\) \(SQL", text):
        return int(match[1]) or None
    return next((known for known, words in NUMBERS_BY_WORDS if re.search(words, text)), None)


def error_text(error: BaseException | None) -> str:
    """Return the text of the server or driver, without the drivers' names before it."""
    arguments: tuple[Any, ...] = getattr(error, "args", ())
    if len(arguments) == 1 and isinstance(arguments[0], tuple):
        arguments = arguments[0]
    message: Any = arguments[1] if len(arguments) > 1 else None
    message = message or getattr(error, "ddbc_error", "") or error
    text = message.decode(errors="replace") if isinstance(message, bytes) else str(message)
    parts = (" ".join(BRACKETS.sub("", part).split()) for part in DB_LIB.split(text))
    return re.sub(r" \(\d+\) \(SQL\w+\)", "", ". ".join(dict.fromkeys(part for part in parts if part)))


def dialect_missing(driver_name: str) -> str:
    """Return a sentence, without its end, for the driver of a URL that this program or SQLAlchemy cannot use."""
    others = " and ".join(f"mssql+{name}" for name in DRIVERS if f"mssql+{name}" != driver_name)
    if driver_name.removeprefix("mssql+") in DRIVERS:
        version = importlib.metadata.version("sqlalchemy")
        why = f"SQLAlchemy {version} does not know {driver_name}, which takes 2.1 or later"
    else:
        why = f"magetui does not work with {driver_name}"
    return f"{why}; {others} connect to the same server"


def driver_missing(error: ImportError) -> str:
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return str(error)
    extra, requirements = EXTRAS[module]
    if not isinstance(error, ModuleNotFoundError):
        return f"{module} is installed but cannot be loaded: {error}. {requirements}"
    return f"The driver {module} is not installed. Install it with: pip install 'magetui[{extra}]'. {requirements}"
