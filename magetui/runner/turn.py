"""The run's turn to migrate: it waits for the mutex, and for migrators that do not take the mutex.

A plain `alembic upgrade` takes no lock of its own. Two of them, as replicas of an application start them, run the same
steps at the same time, and one fails. Such a session is recognised by its locks on the version table.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.engine import Engine, make_url

from magetui.backends.base import Backend, Mutex
from magetui.backends.polling import SessionPoller
from magetui.model.sessions import MutexHolder, Session, is_migrator
from magetui.protocol import events
from magetui.protocol.journal import Journal, milliseconds_since, now
from magetui.protocol.requests import Request
from magetui.runner.refusals import MutexTimeout
from magetui.runner.watch import Progress

PULSE_SECONDS = 0.2
WITHOUT_MUTEX = "it migrates without the migration lock"


@dataclass(frozen=True, eq=False)
class Turn:
    """The waits of one run before its first statement."""

    request: Request
    backend: Backend
    reader: Engine
    journal: Journal
    progress: Progress

    def wait(self, mutex: Mutex) -> bool:
        """Take the mutex, and wait until no other session migrates. Raises `MutexTimeout`.

        Returns whether there was a wait, so that the database may have changed meanwhile. The mutex is polled: a
        blocking wait can deadlock with CREATE INDEX CONCURRENTLY.
        """
        started = time.monotonic()
        waited = self._poll(started, mutex.try_acquire, self._report_holder, self._holder_kept)
        others: list[Session] = []

        def are_gone() -> bool:
            others[:] = self._migrators()
            return not others

        def kept(limit: float) -> str:
            other = others[0]
            kept = f"{other.named} migrates without the migration lock and did not end within {limit:g} s"
            return f"{kept}; it is {other.doing}." if other.state else f"{kept}."

        waited = self._poll(started, are_gone, lambda: self._report(others[0], WITHOUT_MUTEX), kept) or waited
        self.journal.append(events.MutexTaken(at=now(), waited_ms=milliseconds_since(started)))
        return waited

    def _poll(
        self, started: float, is_over: Callable[[], bool], report: Callable[[], None], kept: Callable[[float], str]
    ) -> bool:
        limit_ms = self.request.timeouts.lock_ms
        waited = False
        while not is_over():
            self.progress.check()
            if not waited:
                waited = True
                report()
            if limit_ms and milliseconds_since(started) > limit_ms:
                raise MutexTimeout(kept(limit_ms / 1000))
            self.progress.cancelled.wait(PULSE_SECONDS)
        return waited

    def _holder(self) -> MutexHolder | None:
        with self.reader.connect() as connection:
            holder = self.backend.mutex_holder(connection, self.request.mutex_key, make_url(self.request.url))
            return holder and holder.found_in(self.backend.sessions(connection))

    def _holder_kept(self, limit: float) -> str:
        return (self._holder() or MutexHolder(None)).waited_for(limit)

    def _report_holder(self) -> None:
        holder = self._holder()
        session = holder.session if holder else None
        self._report(session and replace(session, has_mutex=True), holder.described() if holder else None)

    def _report(self, session: Session | None, note: str | None) -> None:
        timeout_ms = self.request.timeouts.lock_ms
        self.journal.append(events.MutexAwaited(at=now(), timeout_ms=timeout_ms, holder=session, note=note))

    def _migrators(self) -> list[Session]:
        with self.reader.connect() as connection:
            sessions, _rest = SessionPoller(self.backend).poll(connection)
        return [session for session in sessions if is_migrator(session, self.request.scripts.version_table)]
