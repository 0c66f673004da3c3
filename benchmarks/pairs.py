"""Commands in alternation, each as a new process. A benchmark's result is the median of the ratios of the pairs."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

PAIRS = 7


@dataclass(frozen=True)
class Pairs:
    """The seconds of both sides, pair by pair."""

    seconds: tuple[tuple[float, float], ...]

    @property
    def ours_ms(self) -> float:
        return statistics.median(ours for ours, _ in self.seconds) * 1000

    @property
    def theirs_ms(self) -> float:
        return statistics.median(theirs for _, theirs in self.seconds) * 1000

    @property
    def ratio(self) -> float:
        return statistics.median(ours / theirs for ours, theirs in self.seconds)


def in_alternation(ours: Callable[[], float], theirs: Callable[[], float], pairs: int = PAIRS) -> Pairs:
    """Measure both sides once to fill bytecode and file caches, which does not count, and then in alternation."""
    ours()
    theirs()
    return Pairs(tuple((ours(), theirs()) for _ in range(pairs)))


def seconds(command: list[str], environment: Mapping[str, str], folder: str, accepted: Collection[int] = (0,)) -> float:
    """Return how long a command takes. Raises `RuntimeError` if its exit status is not one of `accepted`."""
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=folder, check=False, capture_output=True, text=True)
    elapsed = time.perf_counter() - started
    if done.returncode not in accepted:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return elapsed


def own_environment(**more: str) -> dict[str, str]:
    """Return this process's environment with `more`. Python may write its bytecode, as it does for an operator."""
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, **more}
