"""Beginning anew after a lock timeout: how often, after which pause, and that each attempt is on record."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from magetui.protocol import events
from magetui.protocol.journal import Journal, now

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0


class Retries:
    """Of one run, which may begin anew `retries` times unless `forbids` gives a reason against it."""

    def __init__(
        self, journal: Journal, cancelled: threading.Event, retries: int, forbids: Callable[[], str | None]
    ) -> None:
        self._journal = journal
        self._cancelled = cancelled
        self._retries = retries
        self._forbids = forbids
        self._failed = 0

    def another_is_due(self, error: str) -> bool:
        """Write that an attempt failed; where another is due, wait until then, or until the run is cancelled.

        The pauses grow, and are of uneven length, so that two who meet do not go on meeting.
        """
        if not self._retries or self._cancelled.is_set():
            return False
        self._failed += 1
        used_up = self._failed > self._retries
        reason = f"all {self._failed} attempts were used up" if used_up else self._forbids()
        longest = min(FIRST_PAUSE_SECONDS * 2 ** (self._failed - 1), LONGEST_PAUSE_SECONDS)
        pause = longest * random.uniform(0.5, 1.0)
        self._journal.append(
            events.AttemptFailed(
                at=now(),
                number=self._failed,
                of=self._retries + 1,
                error=error,
                retry_in_ms=int(pause * 1000) if reason is None else None,
                reason=reason,
            )
        )
        if reason is None:
            self._cancelled.wait(pause)
        return reason is None
