"""Fixtures for the runner tests: they end leftover runs and choose how the child starts."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.forked import REAL_STARTS
from tests.support.journals import journal, named


@pytest.fixture(autouse=True)
def no_child_stays(state_dir: Path) -> Iterator[None]:
    """End the children of runs that a failed test left behind."""
    yield
    for path in (state_dir / "runs").glob("*.jsonl"):
        events = journal(state_dir, int(path.stem))
        if named(events, "run-ended"):
            continue
        for event in named(events, "run-started"):
            with suppress(ProcessLookupError, FileNotFoundError):
                if b"magetui" in Path(f"/proc/{event['pid']}/cmdline").read_bytes():
                    os.kill(event["pid"], signal.SIGKILL)


@pytest.fixture
def real_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the child as a new interpreter that loads everything itself, as in production."""
    monkeypatch.setenv(REAL_STARTS, "1")
