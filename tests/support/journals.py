"""Readers of the journals of runs on disk."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually

Event = dict[str, Any]


def journal(state_dir: Path, run: int = 1) -> list[Event]:
    """Return the events of a run so far. A run that has not started has none."""
    path = state_dir / "runs" / f"{run}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def named(events: list[Event], name: str) -> list[Event]:
    """Return the events with this name."""
    return [event for event in events if event["event"] == name]


def moment(event: Event) -> float:
    """Return the time of an event in seconds since the epoch."""
    return datetime.fromisoformat(event["at"].replace("Z", "+00:00")).timestamp()


def wait_for_statement(state_dir: Path, words: str, run: int = 1) -> Event:
    """Wait until the journal reports the start of a statement that contains these words, and return that event."""

    def started() -> list[Event]:
        return [event for event in named(journal(state_dir, run), "statement-started") if words in event["sql"]]

    return eventually(started, 20, lambda: f"no statement with {words!r} in {journal(state_dir, run)}")[0]


def child_of(state_dir: Path, run: int = 1) -> int:
    """Return the process id of the run's child."""
    [started] = named(journal(state_dir, run), "run-started")
    return int(started["pid"])
