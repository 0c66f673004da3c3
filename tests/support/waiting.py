"""Bounded waiting, because a fixed sleep is either too short on a busy machine or too long on an idle one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02  # seconds between two looks


def eventually(condition: Callable[[], T], timeout: float = 10, describe: Callable[[], str] | None = None) -> T:
    """Call condition until it returns something true, and return that.

    timeout is in seconds. AssertionError when it runs out, with the last value and what describe says.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            more = f"\n{describe()}" if describe else ""
            raise AssertionError(f"still not so after {timeout} s; the last value was {value!r}{more}")
        time.sleep(PAUSE)
