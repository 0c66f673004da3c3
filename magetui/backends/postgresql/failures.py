"""Why there is no connection: libpq and poolers say so in words only (there is no SQLSTATE), so words it is."""

from __future__ import annotations

import re

from magetui.model.server import ConnectCause, Failure

# The first that is found holds; of several hosts, the message has what became of each.
WORDS: tuple[tuple[ConnectCause, str, str | None], ...] = (
    ("pooler", r"unsupported startup parameter", None),  # PgBouncer's
    (
        "refused",
        r"session is (?:not )?read-only|server is (?:not )?in hot standby mode",
        "No server that answers is what target_session_attrs asks for. Name the one that is, or ask for another.",
    ),
    (
        "refused",
        r"the database system is (?:starting up|shutting down|not (?:yet )?accepting connections|in recovery mode)",
        "It is starting, stopping or recovering: look again in a moment.",
    ),
    (
        "refused",
        r"pgbouncer cannot connect to server|server_login_retry|server login has been failing|server login failed",
        "The pooler answers, and does not get into the server behind it: check its own settings and log.",
    ),
    (
        "bad-url",
        r"definition of service|service file",
        "Check the service's name, and PGSERVICEFILE or ~/.pg_service.conf.",
    ),
    ("name", r"could not translate host name|Name or service not known|nodename nor servname", None),
    ("timeout", r"timeout expired|timed out", None),
    (
        "too-many-connections",
        r"too many clients|remaining connection slots|too many connections|no more connections allowed",
        None,
    ),
    ("tls", r"valid client certificate|root certificate file|certificate verify failed|private key file", None),
    (
        "tls",
        r"(?s)\A(?!.*SSL encryption).*pg_hba\.conf.*(?:no encryption|SSL off)",
        "The server's pg_hba.conf lets nobody in without TLS, or not this user at all: try sslmode=require in the URL.",
    ),
    (
        "password",
        r"pg_hba\.conf",
        "The server's pg_hba.conf lets nobody in from here as this user to this database: its administrator has to.",
    ),
    (
        "password",
        r"no password supplied",
        "Give it in the URL, in PGPASSWORD, or in ~/.pgpass, which nobody else may be able to read (chmod 600); or "
        "name the target in the configuration, with a password_command. The screen asks for it: magetui, then c.",
    ),
    (
        "password",
        r"password authentication failed.*\n?.*password retrieved from file",
        "The password file has another password than the server for this user: mend its line.",
    ),
    ("password", r'authentication failed|role ".*" does not exist', None),
    ("no-database", r'database ".*" does not exist|no such database', None),
    ("tls", r"SSL|certificate|TLS", None),
    ("refused", r"Connection refused|No such file or directory|No route to host|Network is unreachable", None),
    ("bad-url", r"invalid (dsn|connection option|port|integer value|sslmode)|invalid URI|invalid [\w_]+ value", None),
)


def unconnected(message: str) -> Failure:
    """What the message of a connection that could not be made means."""
    for cause, words, advice in WORDS:
        if re.search(words, message):
            return Failure(cause, message, silent=cause == "timeout", advice=advice)
    return Failure("other", message)
