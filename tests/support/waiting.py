"""Bounded waiting. A fixed sleep is too short on a busy machine or too long on an idle one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02  # seconds between two calls of a condition
LONGEST_PAUSE = 0.1  # most conditions log in to a server, so that a long wait would keep a processor busy


def eventually(condition: Callable[[], T], timeout: float = 10, describe: Callable[[], str] | None = None) -> T:
    """Call condition until it returns a true value, and return that value.

    timeout is in seconds. AssertionError after it, with the last value and the text of describe.
    """
    started = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        elapsed = time.monotonic() - started
        if elapsed > timeout:
            more = f"\n{describe()}" if describe else ""
            raise AssertionError(f"still false after {timeout} s; the last value was {value!r}{more}")
        time.sleep(min(max(PAUSE, elapsed / 20), LONGEST_PAUSE))
