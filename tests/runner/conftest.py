"""What the incidents of runs need: a chain with a gate in it, and the engine's calls in a few words."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.journals import named
from tests.journals import journal as events_of


@pytest.fixture(autouse=True)
def no_child_stays(state_dir: Path) -> Iterator[None]:
    """A test that failed must not leave a run behind: its children are ended with it."""
    yield
    for path in (state_dir / "runs").glob("*.jsonl"):
        events = events_of(state_dir, int(path.stem))
        for started in [] if named(events, "run-ended") else named(events, "run-started"):
            with suppress(ProcessLookupError, FileNotFoundError):
                if b"magetui" in Path(f"/proc/{started['pid']}/cmdline").read_bytes():
                    os.kill(started["pid"], signal.SIGKILL)
