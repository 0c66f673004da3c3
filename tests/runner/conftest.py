"""No run outlives the test that started it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.forked import WHOLE_STARTS
from tests.support.journals import journal, named


@pytest.fixture(autouse=True)
def no_child_stays(state_dir: Path) -> Iterator[None]:
    """A test that failed must not leave a run behind: its children are ended with it."""
    yield
    for path in (state_dir / "runs").glob("*.jsonl"):
        events = journal(state_dir, int(path.stem))
        if named(events, "run-ended"):
            continue
        for started in named(events, "run-started"):
            with suppress(ProcessLookupError, FileNotFoundError):
                if b"magetui" in Path(f"/proc/{started['pid']}/cmdline").read_bytes():
                    os.kill(started["pid"], signal.SIGKILL)


@pytest.fixture
def whole_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child is an interpreter that loads all by itself, as an operator's is."""
    monkeypatch.setenv(WHOLE_STARTS, "1")
