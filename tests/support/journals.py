"""The journals of runs as they lie on the disk."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually

Event = dict[str, Any]


def journal(state_dir: Path, run: int = 1) -> list[Event]:
    """The events of a run so far; none where it has not begun."""
    path = state_dir / "runs" / f"{run}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def named(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event["event"] == name]


def moment(event: Event) -> float:
    """When it happened, in seconds since the epoch."""
    return datetime.fromisoformat(event["at"].replace("Z", "+00:00")).timestamp()


def wait_for_statement(state_dir: Path, words: str, run: int = 1) -> Event:
    """Wait until the run's journal says that it began a statement with these words in it."""

    def began() -> list[Event]:
        return [e for e in named(journal(state_dir, run), "statement-started") if words in e["sql"]]

    return eventually(began, 20, lambda: f"no statement with {words!r} in {journal(state_dir, run)}")[0]


def child_of(state_dir: Path, run: int = 1) -> int:
    """The process id of the run's child."""
    [started] = named(journal(state_dir, run), "run-started")
    return int(started["pid"])
