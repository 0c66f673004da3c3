"""Looking again and again at who waits for whom, as rarely as that costs the server, which has troubles enough.

What a look takes grows with the sessions. The line's part in it is no work of the server's, so it is taken off; and
since what remains is a clock's word about a busy machine, a rest has an end that somebody who watches can bear.
"""

from __future__ import annotations

import time

from sqlalchemy import Connection

from magetui.backends.base import Backend
from magetui.model.sessions import Session

LOOK_SECONDS = 1.0
MOST_SECONDS = 5.0  # with 200 sessions that wait, a look costs PostgreSQL 7 ms of processor time
SHARE_OF_SERVER = 0.003  # of one processor, at most
NOBODY = 0  # no session's number


class Looks:
    """Through one connection after another, if need be: the first look on each has the catalog to read as well."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: Connection | None = None

    def look(self, connection: Connection) -> tuple[tuple[Session, ...], float]:
        """The sessions now, and for how many seconds the server is to be left alone before the next look."""
        if connection is not self._known:
            sessions = self._backend.sessions(connection)
            self._known = connection
            return sessions, LOOK_SECONDS
        began = time.monotonic()
        self._backend.session_waits(connection, NOBODY)  # what the line alone takes
        asked = time.monotonic()
        sessions = self._backend.sessions(connection)
        return sessions, rest((time.monotonic() - asked) - (asked - began))


def rest(work: float) -> float:
    """How long to leave a server alone that has worked for us for so long, in seconds."""
    return min(MOST_SECONDS, max(LOOK_SECONDS, work / SHARE_OF_SERVER))
