"""Calls in a thread of their own, for libraries that wait in C or obey no time limit. Their caller can still be
interrupted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

TURN_SECONDS = 0.2


class ThreadCall(Generic[T]):
    """One call of `work`. An error of the work is raised again in `result`."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._values: list[T] = []
        self._error: BaseException | None = None
        self._done = threading.Event()

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def start(self, name: str) -> None:
        """Start the thread. The program can end before the thread does."""
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def wait(self, seconds: float = float("inf")) -> bool:
        """Return whether the call ends in time. ctrl+c is noticed within `TURN_SECONDS`, however it arrives."""
        deadline = time.monotonic() + seconds
        while not self._done.wait(max(0.0, min(TURN_SECONDS, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                return False
        return True

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._values[0]

    def _run(self) -> None:
        try:
            self._values.append(self._work())
        except BaseException as error:  # noqa: BLE001 - `result` raises it again
            self._error = error
        finally:
            self._done.set()
