"""The wait for the mutex that keeps two migrations of one database apart.

The mutex is polled. A blocking wait can deadlock with CREATE INDEX CONCURRENTLY, which waits for all older
transactions, and it could not be cancelled.
"""

from __future__ import annotations

import time

from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from magetui.backends.base import Backend, Mutex
from magetui.protocol import events
from magetui.protocol.journal import Journal, now
from magetui.protocol.requests import Request
from magetui.runner.refusals import MutexTimeout
from magetui.runner.watch import Progress

PULSE_SECONDS = 0.2


class MutexWait:
    """The wait of one run for a mutex, at most as long as the run may wait for a lock."""

    def __init__(
        self, request: Request, backend: Backend, reader: Engine, journal: Journal, progress: Progress
    ) -> None:
        self._request = request
        self._backend = backend
        self._url = make_url(request.url)
        self._reader = reader
        self._journal = journal
        self._progress = progress

    def take(self, mutex: Mutex) -> None:
        """Take the mutex. Raises `MutexTimeout`, and `RunCancelled` if the operator cancels the wait."""
        limit_ms = self._request.timeouts.lock_ms
        started = time.monotonic()
        reported = False
        while not mutex.try_acquire():
            self._progress.check()
            waited_ms = int((time.monotonic() - started) * 1000)
            if not reported:
                reported = True
                self._report_holder()
            if limit_ms and waited_ms > limit_ms:
                raise MutexTimeout(
                    f"Somebody else is migrating this database and did not finish within {limit_ms / 1000:g} s. "
                    "Nothing was done."
                )
            self._progress.cancelled.wait(PULSE_SECONDS)
        waited_ms = int((time.monotonic() - started) * 1000)
        self._journal.append(events.MutexTaken(at=now(), waited_ms=waited_ms))

    def _report_holder(self) -> None:
        with self._reader.connect() as connection:
            holder = self._backend.mutex_holder(connection, self._request.mutex_key, self._url)
        self._journal.append(
            events.MutexAwaited(
                at=now(),
                timeout_ms=self._request.timeouts.lock_ms,
                holder=holder.session if holder else None,
                note=holder.described() if holder else None,
            )
        )
