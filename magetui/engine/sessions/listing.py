"""Sessions, what they hold and wait for, the tree of who waits for whom, and ending what is in the way.

Ending a session is somebody else's work lost, so it is done to the very session that was consented to or not at all:
a number may have been given to another in the meantime. What is said afterwards was read back.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from magetui.backends.polling import Looks
from magetui.engine.errors import RefusedError
from magetui.engine.workspace import APPLICATION_NAME, Workspace
from magetui.model.sessions import Session

# A run's watcher and the holder of its mutex: no concern of the operator's, the migrating session stands for them.
OWN_HELPER = re.compile(r"^magetui run \d+ (watcher|mutex)\b")
OWN_RUN = re.compile(r"^magetui run (\d+)\b")
OWN = "magetui"
PREPARED = 0  # the pid that pg_blocking_pids() gives a prepared transaction (manual, 9.26)


@dataclass(frozen=True, slots=True)
class Look:
    """The sessions at one moment, and how many seconds the server is to be left alone before the next look."""

    sessions: tuple[Session, ...]
    rest: float


def list_sessions(workspace: Workspace) -> tuple[Session, ...]:
    """The other sessions of the database. Raises `ConnectError`."""
    with workspace.reading() as connection:
        return _shown(all_sessions(workspace, connection))


def shown_sessions(workspace: Workspace, sessions: Sequence[Session]) -> tuple[Session, ...]:
    """Return the sessions of a snapshot as `list_sessions` shows them, without credentials."""
    return _shown(_cleaned(workspace, sessions))


def hidden(workspace: Workspace) -> str | None:
    """That the sessions of others may not be seen at all, as a sentence; None where they may."""
    if workspace.backend.name != "mssql":
        return None  # PostgreSQL shows that they are there
    with workspace.reading() as connection:
        return workspace.backend.server(connection).hidden


def looks(workspace: Workspace) -> Generator[Look, None, None]:
    """Look at the sessions over one connection, as often as the caller asks; close it when done. Raises as reading.

    A new connection for each look would cost the server more than the look.
    """
    with workspace.reading() as connection:
        made = Looks(workspace.backend)
        while True:
            sessions, rest = made.look(connection)
            yield Look(_shown(_cleaned(workspace, sessions)), rest)


def find_session(workspace: Workspace, pid: int) -> Session:
    """The session of that number. Raises `RefusedError` where there is none."""
    if pid == PREPARED:
        raise RefusedError(no_session_of_prepared("ended from here"))
    with workspace.reading() as connection:
        session = next((s for s in all_sessions(workspace, connection) if s.pid == pid), None)
    if session is None:
        raise RefusedError(f"There is no session {pid} in this database.")
    return session


def _shown(sessions: Sequence[Session]) -> tuple[Session, ...]:
    """Without the sessions that only watch a run, and those of a reading, which are gone by the next look."""
    return tuple(s for s in sessions if not OWN_HELPER.search(s.application or "") and not _only_reads(s))


def _only_reads(session: Session) -> bool:
    return session.application == APPLICATION_NAME and not session.holds and session.waits_for is None


def all_sessions(workspace: Workspace, connection: Connection) -> tuple[Session, ...]:
    return _cleaned(workspace, workspace.backend.sessions(connection))


def _cleaned(workspace: Workspace, sessions: Sequence[Session]) -> tuple[Session, ...]:
    clean = workspace.target.clean  # a colleague's ALTER ROLE … PASSWORD is nobody's business
    return tuple(replace(s, query=clean(s.query)) if s.query else s for s in sessions)


def no_session_of_prepared(done: str) -> str:
    return (
        f"What is in the way is a prepared transaction: it has no session that could be {done}. ROLLBACK PREPARED or "
        "COMMIT PREPARED ends it; pg_prepared_xacts lists it."
    )
