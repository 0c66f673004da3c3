"""Polls of a server's sessions, made as rarely as their cost demands.

The cost of one poll grows with the number of sessions. The network's share of the time is subtracted. The rest is
measured by the clock of a busy machine, so the pause has an upper limit that an operator can accept.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from magetui.backends.base import Backend
    from magetui.model.sessions import Session

POLL_SECONDS = 1.0
MOST_SECONDS = 5.0  # with 200 waiting sessions, one poll costs PostgreSQL 7 ms of processor time
SHARE_OF_SERVER = 0.003  # the largest share of one processor that polling may take
NO_SESSION = 0  # no session has this number


class SessionPoller:
    """Polls sessions. The first poll on a connection also loads the catalog caches, so its time is not typical."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._polled: Connection | None = None

    def poll(self, connection: Connection) -> tuple[tuple[Session, ...], float]:
        """Return the current sessions, and the pause before the next poll in seconds."""
        if connection is not self._polled:
            sessions = self._backend.sessions(connection)
            self._polled = connection
            return sessions, POLL_SECONDS
        began = time.monotonic()
        self._backend.session_waits(connection, NO_SESSION)  # measures the network alone
        asked = time.monotonic()
        sessions = self._backend.sessions(connection)
        return sessions, pause((time.monotonic() - asked) - (asked - began))


def pause(work: float) -> float:
    """Return how many seconds to leave a server alone after `work` seconds of its time."""
    return min(MOST_SECONDS, max(POLL_SECONDS, work / SHARE_OF_SERVER))
