"""The list of the database's sessions, without those of magetui that nobody has to act on, and without credentials."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from magetui.backends.polling import SessionPoller
from magetui.engine.errors import ProjectError, RefusedError
from magetui.engine.workspace import Workspace
from magetui.model.sessions import PREPARED, READER, Session

if TYPE_CHECKING:
    from sqlalchemy import Connection

# A run's watcher and the holder of its mutex. The list shows the migrating session in their place.
OWN_HELPER = re.compile(r"^magetui run \d+ (watcher|mutex)\b")
OWN_RUN = re.compile(r"^magetui run (\d+)\b")
OWN = "magetui"


@dataclass(frozen=True, slots=True)
class Poll:
    """The sessions at one moment, and the number of seconds to leave the server alone before the next poll."""

    sessions: tuple[Session, ...]
    rest: float


def list_sessions(workspace: Workspace) -> tuple[Session, ...]:
    """Return the other sessions of the database. Raises `ConnectError`."""
    with workspace.reading() as connection:
        return shown_sessions(workspace, _with_mutex(workspace, connection, workspace.backend.sessions(connection)))


def shown_sessions(workspace: Workspace, sessions: Sequence[Session]) -> tuple[Session, ...]:
    """Leave out sessions that only watch a run, and magetui's readers, unless they wait, block others, or stay."""
    blockers = {pid for s in sessions for pid in s.blocked_by}
    return tuple(
        s
        for s in _without_credentials(workspace, sessions)
        if not OWN_HELPER.search(s.application or "")
        and (not s.is_passing_reader or s.pid in blockers or s.waits_for is not None)
        and (s.application != READER or s.holds or s.waits_for is not None)
    )


def visibility_problem(workspace: Workspace) -> str | None:
    """Return a sentence if the server hides others' sessions completely, which PostgreSQL never does, or None."""
    if workspace.backend.name != "mssql":
        return None
    with workspace.reading() as connection:
        return workspace.backend.server(connection).hidden


def poll_sessions(workspace: Workspace) -> Generator[Poll, None, None]:
    """Yield the sessions over one connection. The caller closes the generator. Raises `ConnectError`."""
    with workspace.reading() as connection:
        poller = SessionPoller(workspace.backend)
        while True:
            sessions, rest = poller.poll(connection)
            yield Poll(shown_sessions(workspace, _with_mutex(workspace, connection, sessions)), rest)


def find_session(workspace: Workspace, pid: int) -> Session:
    """Return the session with the number `pid`. Raises `RefusedError` if there is none."""
    if pid == PREPARED:
        raise RefusedError(prepared_transaction_message("ended from here"))
    with workspace.reading() as connection:
        session = next((s for s in all_sessions(workspace, connection) if s.pid == pid), None)
    if session is None:
        raise RefusedError(f"There is no session {pid} in this database.")
    return session


def all_sessions(workspace: Workspace, connection: Connection) -> tuple[Session, ...]:
    return _without_credentials(workspace, _with_mutex(workspace, connection, workspace.backend.sessions(connection)))


def prepared_transaction_message(action: str) -> str:
    """Return why a prepared transaction cannot be acted on, and what ends it. `action` is a participle."""
    return (
        f"The blocker is a prepared transaction: it has no session that could be {action}. ROLLBACK PREPARED or COMMIT "
        "PREPARED ends it. pg_prepared_xacts lists it."
    )


def process_message(session: Session) -> str:
    """Return why a process that has a SQLite database locked is not signalled, and how to end it."""
    program = f" ({session.application})" if session.application else ""
    return (
        f"{session.pid} is a process of this machine{program}, not a session of a server, so magetui does not signal "
        f"it. If the process is yours, end it where it runs, or with: kill {session.pid}"
    )


def _with_mutex(workspace: Workspace, connection: Connection, sessions: Sequence[Session]) -> Sequence[Session]:
    """Mark the session that holds the migration mutex of the project, if there is a project here."""
    try:
        key = workspace.located.mutex_key
    except ProjectError:
        return sessions
    holder = workspace.backend.mutex_holder(connection, key, workspace.target.url)
    return [replace(s, has_mutex=True) if holder is not None and s.pid == holder.pid else s for s in sessions]


def _without_credentials(workspace: Workspace, sessions: Sequence[Session]) -> tuple[Session, ...]:
    """Remove credentials from the queries: another user's ALTER ROLE … PASSWORD holds one."""
    clean = workspace.target.clean
    return tuple(replace(s, query=clean(s.query)) if s.query else s for s in sessions)
