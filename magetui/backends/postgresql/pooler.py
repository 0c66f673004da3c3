"""Whether a connection pooler stands between us and the server, and whether it keeps one session for each client.

At login a server tells its client the number of the process that serves it (the manual's 55.2.1, BackendKeyData). A
pooler, which answers the login itself, makes one up. So where that number is not what `pg_backend_pid()` says, the
session is not ours alone. Whether it stays with us as long as the connection does is seen with a second connection:
two that are open at once are never served by the same session, unless they take turns with it.
"""

from __future__ import annotations

import ipaddress
import random
from contextlib import closing
from typing import Any

from sqlalchemy import Connection

PROBE_SECONDS = 2  # for a second connection: a pool that is used up lets it wait
TURNS = 24
PID_SQL = "select pg_backend_pid()"


def serving(raw: Any) -> int:
    """The number of the session that serves a DB-API connection now."""
    cursor = raw.cursor()
    cursor.execute(PID_SQL)
    [pid] = cursor.fetchone()
    cursor.close()
    if not getattr(raw, "autocommit", False):
        raw.rollback()
    return int(pid)


def told_at_login(raw: Any) -> int | None:
    """The number that the driver was told at its login; None where it does not say."""
    driver: Any = getattr(raw, "driver_connection", None)
    if hasattr(driver, "get_server_pid"):  # asyncpg
        return None if driver.is_closed() else int(driver.get_server_pid())
    pid = getattr(getattr(raw, "info", None), "backend_pid", None)
    return pid if isinstance(pid, int) else None


def is_pooled(raw: Any, session: int) -> bool:
    """Whether a DB-API connection that `session` serves goes through a pooler."""
    told = told_at_login(raw)
    return told is not None and told != session


def keeps_sessions(connection: Connection) -> bool | None:
    """Whether the pooler of a reader's connection keeps a session for each client; None where it cannot be told.

    Two connections are asked in turn, in no order that a busy pool could follow by chance.
    """
    first, driver_error = connection.connection.dbapi_connection, connection.dialect.loaded_dbapi.Error
    own = serving(first)
    try:
        with closing(_second(connection)) as second:
            other = serving(second)
            for turn in random.choices((first, second), k=TURNS):
                if own == other or serving(turn) != (own if turn is first else other):
                    return False
    except driver_error:
        return None  # it gives us no second one, or not in time
    return True


def _second(connection: Connection) -> Any:
    """Another connection to where the reader's is, which does not wait for long."""
    from magetui.backends.postgresql.bounded_reads import ReaderConnection, connect

    dialect = connection.dialect
    arguments, options = dialect.create_connect_args(connection.engine.url)
    more = {"connect_timeout": PROBE_SECONDS, "application_name": "", "connection_factory": ReaderConnection}
    made = connect(dialect, None, list(arguments), {**options, **more})
    made.autocommit = True
    made.patience = PROBE_SECONDS
    return made


def server_place(address: str | None, port: int | None) -> str:
    """Where the server itself listens, by what it says of its own end of the line to the pooler, in words."""
    there = "on the machine that the pooler runs on"
    if address is None:
        return f"it listens on a Unix socket, {there}"
    if ipaddress.ip_address(address).is_loopback:
        return f"it listens on port {port}, {there}"
    return f"it is {f'[{address}]' if ':' in address else address}:{port}"
