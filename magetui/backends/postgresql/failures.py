"""The meaning of PostgreSQL's errors.

An error of a statement has an error code (manual, appendix A). A failed connection has none: libpq and poolers report
it in words alone, so `WORDS` recognises those.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import DBAPIError

from magetui.backends.problems import original
from magetui.model.server import ConnectCause, ErrorKind, ErrorSubject, Failure, StatementCause

QUERY_CANCELED = "57014"
CONNECTION_EXCEPTION_CLASS = "08"
STATEMENT_CODES: Mapping[str, StatementCause] = {
    "55P03": "lock-timeout",
    "40P01": "deadlock",
    "57P01": "lost",  # admin_shutdown
    "57P02": "lost",  # crash_shutdown
    "57P03": "lost",  # cannot_connect_now
    "57P05": "lost",  # idle_session_timeout
    "25P03": "lost",  # idle_in_transaction_session_timeout
}
KINDS: Mapping[str, ErrorKind] = {
    "23505": "duplicates",
    "23502": "nulls",
    "23503": "orphans",
    "23514": "check",
    "22001": "too-long",
    "22P02": "not-castable",
    "42804": "not-castable",  # "cannot be cast automatically": it needs a USING
    "22003": "not-castable",
    "42501": "rights",
    "42710": "exists",
    "42P07": "exists",
    "42701": "exists",
    "42P06": "exists",
    "42704": "missing",
    "42P01": "missing",
    "42703": "missing",
    "3F000": "missing",
    "2BP01": "in-use",
    "0A000": "in-use",  # "cannot alter type of a column used by a view or rule", among others: see `_kind`
    "53100": "disk",
    "53400": "disk",  # a limit of the configuration, such as temp_file_limit
    "25006": "read-only",
}
KEY = re.compile(r"Key \(([^)]*)\)=")  # the columns in the detail of a violated key
# Causes, patterns and advice. The first pattern that matches decides; with several hosts, the message names the error
# of each host.
WORDS: tuple[tuple[ConnectCause, str, str | None], ...] = (
    ("pooler", r"unsupported startup parameter", None),  # PgBouncer's
    (
        "refused",
        r"session is (?:not )?read-only|server is (?:not )?in hot standby mode",
        "No server that answers fulfils target_session_attrs. Name a server that does, or change that parameter.",
    ),
    (
        "refused",
        r"the database system is (?:starting up|shutting down|not (?:yet )?accepting connections|in recovery mode)",
        "The server is starting, stopping or recovering. Try again in a moment.",
    ),
    (
        "refused",
        r"pgbouncer cannot connect to server|server_login_retry|server login has been failing|server login failed",
        "The pooler answers but cannot log in to the server behind it. Check the pooler's settings and log.",
    ),
    (
        "bad-url",
        r"definition of service|service file",
        "Check the service's name, and PGSERVICEFILE or ~/.pg_service.conf.",
    ),
    ("name", r"could not translate host name|Name or service not known|nodename nor servname", None),
    ("timeout", r"timeout expired|timed out", None),
    ("too-many-connections", r"too many (?:clients|connections)|remaining connection slots|no more connections", None),
    ("tls", r"valid client certificate|root certificate file|certificate verify failed|private key file", None),
    (
        "tls",
        r"(?s)\A(?!.*SSL encryption).*pg_hba\.conf.*(?:no encryption|SSL off)",
        "The server's pg_hba.conf rejects connections without TLS, or this user altogether. Try sslmode=require in "
        "the URL.",
    ),
    (
        "password",
        r"pg_hba\.conf",
        "The server's pg_hba.conf rejects this user for this database from this machine. The server's administrator "
        "has to allow it.",
    ),
    (
        "password",
        r"no password supplied",
        "Give the password in the URL, in PGPASSWORD, or in ~/.pgpass, which others must not be able to read "
        "(chmod 600). Or name the target in the configuration, with a password_command. The screen asks for the "
        "password too: start magetui, then press c.",
    ),
    (
        "password",
        r"password authentication failed.*\n?.*password retrieved from file",
        "The password file has another password than the server for this user: correct its line.",
    ),
    ("password", r'authentication failed|role ".*" does not exist', None),
    ("no-database", r'database ".*" does not exist|no such database', None),
    ("tls", r"SSL|certificate|TLS", None),
    ("refused", r"Connection refused|No such file or directory|No route to host|Network is unreachable", None),
    ("bad-url", r"invalid (dsn|connection option|port|integer value|sslmode)|invalid URI|invalid [\w_]+ value", None),
)
BROKEN = re.compile(r"server closed the connection|connection already closed|SSL SYSCALL")


def failure(error: BaseException) -> Failure:
    own = original(error)
    message = str(own).strip()
    code = getattr(own, "pgcode", None) or getattr(own, "sqlstate", None)
    if code is None:
        return _failure_without_code(error, own, message)
    if code == QUERY_CANCELED:  # by its statement timeout, or by a person
        timed_out = "statement timeout" in message
        return Failure("statement-timeout" if timed_out else "cancelled", message)
    cause = STATEMENT_CODES.get(code, "lost" if code.startswith(CONNECTION_EXCEPTION_CLASS) else "failed")
    kind = KINDS.get(code) if code != "0A000" or "used by a view" in message else None
    return Failure(cause, message, kind=kind, subject=_subject(own, message))


def _subject(error: Any, message: str) -> ErrorSubject | None:
    """Return the table and columns of the error's fields (manual, 55.8), and of its detail."""
    diagnostics = getattr(error, "diag", None)
    if diagnostics is None or diagnostics.table_name is None:
        return None
    named = KEY.search(message)
    columns = tuple(name.strip().strip('"') for name in named[1].split(",")) if named else ()
    if diagnostics.column_name is not None:
        columns = (diagnostics.column_name,)
    return ErrorSubject(diagnostics.schema_name, diagnostics.table_name, columns)


def _failure_without_code(error: BaseException, own: BaseException, message: str) -> Failure:
    if isinstance(own, ModuleNotFoundError):
        return Failure("driver-missing", message)
    # Broken connections come first: TLS or a timeout may break a connection, as it may prevent a new one.
    if (isinstance(error, DBAPIError) and error.connection_invalidated) or BROKEN.search(message):
        return Failure("lost", message, silent="has not answered for" in message)
    for cause, words, advice in WORDS:
        if re.search(words, message):
            return Failure(cause, message, silent=cause == "timeout", advice=advice)
    return Failure("other", message)
