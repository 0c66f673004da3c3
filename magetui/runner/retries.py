"""Retries after a lock timeout or a deadlock: how often, after which pause, and the record of each failed attempt."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from magetui.protocol import events
from magetui.protocol.journal import Journal, now

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0


@dataclass(eq=False)
class Retries:
    """The retries of one run: up to `retries` of them, unless `forbids` returns a reason against another one."""

    journal: Journal
    cancelled: threading.Event
    retries: int
    forbids: Callable[[], str | None]
    failed: int = 0

    def wait_for_next(self, error: str, outcome: events.LockFailure = "lock-timeout") -> bool:
        """Record a failed attempt. If a retry is due, pause and return True. Random pauses keep two runs apart."""
        if not self.retries or self.cancelled.is_set():
            return False
        self.failed += 1
        used_up = self.failed > self.retries
        reason = f"all {self.failed} attempts were used up" if used_up else self.forbids()
        longest = min(FIRST_PAUSE_SECONDS * 2 ** (self.failed - 1), LONGEST_PAUSE_SECONDS)
        pause = longest * random.uniform(0.5, 1.0)
        self.journal.append(
            events.AttemptFailed(
                at=now(),
                number=self.failed,
                of=self.retries + 1,
                error=error,
                retry_in_ms=int(pause * 1000) if reason is None else None,
                reason=reason,
                outcome=outcome,
            )
        )
        if reason is None:
            self.cancelled.wait(pause)
        return reason is None
