"""Detection of a connection pooler, and of whether the pooler keeps one session for each client.

At login, a server tells its client the process number of the session (manual, 55.2.1, BackendKeyData). A pooler
answers the login itself and makes up a number. So if that number differs from `pg_backend_pid()`, the session is not
ours alone. A second connection shows whether the session stays with us for the lifetime of the connection: two
connections that are open at once never share a session, unless they take turns with it.
"""

from __future__ import annotations

import ipaddress
import random
from contextlib import closing
from typing import Any

from sqlalchemy.engine import Connection

from magetui.backends.problems import driver_module

PROBE_SECONDS = 2  # for a second connection: a pool without a free session makes it wait
TURNS = 24
PID_SQL = "select pg_backend_pid()"


def serving(raw: Any) -> int:
    """Return the number of the session that serves a DB-API connection now."""
    cursor = raw.cursor()
    cursor.execute(PID_SQL)
    [pid] = cursor.fetchone()
    cursor.close()
    if not getattr(raw, "autocommit", False):
        raw.rollback()
    return int(pid)


def pid_at_login(raw: Any) -> int | None:
    """Return the session's number that the driver received at its login; None if the driver does not know it."""
    driver: Any = getattr(raw, "driver_connection", None)
    if hasattr(driver, "get_server_pid"):  # asyncpg
        return None if driver.is_closed() else int(driver.get_server_pid())
    pid = getattr(getattr(raw, "info", None), "backend_pid", None)
    return pid if isinstance(pid, int) else None


def is_pooled(raw: Any, session: int) -> bool:
    """Return whether a DB-API connection that `session` serves goes through a pooler."""
    at_login = pid_at_login(raw)
    return at_login is not None and at_login != session


def keeps_sessions(connection: Connection) -> bool | None:
    """Return whether a pooler keeps a session for each client; None if that is unknown.

    Two connections are asked in a random order, which a busy pool cannot follow by chance.
    """
    first, error = connection.connection.dbapi_connection, driver_module(connection.dialect).Error
    own = serving(first)
    try:
        with closing(_second(connection)) as second:
            other = serving(second)
            for turn in random.choices((first, second), k=TURNS):
                if own == other or serving(turn) != (own if turn is first else other):
                    return False
    except error:
        return None  # the pooler gives us no second connection, or not in time
    return True


def _second(connection: Connection) -> Any:
    """Open another connection to the same server, with a short timeout."""
    from magetui.backends.postgresql.bounded_reads import ReaderConnection, connect

    dialect = connection.dialect
    arguments, options = dialect.create_connect_args(connection.engine.url)
    more = {"connect_timeout": PROBE_SECONDS, "application_name": "", "connection_factory": ReaderConnection}
    raw = connect(dialect, None, list(arguments), {**options, **more})
    raw.autocommit = True
    raw.patience = PROBE_SECONDS
    return raw


def server_location(address: str | None, port: int | None) -> str:
    """Return where the server behind a pooler listens. The arguments are its end of the connection; None: a socket."""
    machine = "on the machine that the pooler runs on"
    if address is None:
        return f"it listens on a Unix socket, {machine}"
    if ipaddress.ip_address(address).is_loopback:
        return f"it listens on port {port}, {machine}"
    return f"it is {f'[{address}]' if ':' in address else address}:{port}"
