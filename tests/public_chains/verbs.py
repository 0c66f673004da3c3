"""The verbs on a public chain, timed: each time is a multiple of the time that `alembic current` takes there.

`alembic current` imports what the application's env.py imports, and reads one row. Each verb runs twice, on two new
databases and with an empty cache, and the smaller time counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROUNDS = 2
SECONDS = 900
HEADER = ("chain", "database", "revisions", "heads", "`current`", "`upgrade`")
VERBS: Mapping[str, tuple[str, ...]] = {
    "plan migrate": ("plan", "migrate", "--revision", "heads"),
    "migrate": ("migrate", "--revision", "heads", "--yes"),
    "plan rollback": ("plan", "rollback", "--revision", "-1"),
    "rollback": ("rollback", "--revision", "-1", "--yes"),
    "verify": ("verify", "--yes"),
}


@dataclass(frozen=True)
class Place:
    """A chain's configuration for one new database, and another new database where `verify` may build schemas."""

    python: Path
    ini: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    scratch: str | None = None


@dataclass(frozen=True)
class Ended:
    """A process that ended."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float


@dataclass
class Timed:
    """What was seen of one chain on one database. A verb that was not done has a reason."""

    revisions: int = 0
    heads: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def row(self, chain: str, dialect: str) -> str:
        current = self.seconds.get("current")
        cells = [chain, dialect, str(self.revisions or ""), self.heads]
        cells.append("" if current is None else f"{current:.1f} s")
        cells += [self._cell(name, current) for name in ("upgrade", *VERBS)]
        return "| " + " | ".join(cells) + " |"

    def _cell(self, name: str, current: float | None) -> str:
        if name in self.reasons:
            return "no"
        return f"{self.seconds[name] / current:.1f}x" if current and name in self.seconds else ""


def timed(new_place: Callable[[], Place]) -> Timed:
    """Return the times of each verb. `new_place` makes a new database and configures the chain for it."""
    found = Timed()
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as home:
            _round(found, new_place(), Path(home))
    other = new_place()
    _note(found, "upgrade", _alembic(other, "upgrade", "heads"))
    return found


def _round(found: Timed, place: Place, home: Path) -> None:
    _alembic(place, "current")  # once before, so that its bytecode exists
    _note(found, "current", _alembic(place, "current"))
    read = _magetui(place, home, "history", "--json")
    if read.returncode:
        found.reasons["plan migrate"] = _reason(read)
        return
    revisions = json.loads(read.stdout)["revisions"]
    heads = sorted(revision["revision"] for revision in revisions if revision["head"])
    theirs = sorted(line.split()[0] for line in _alembic(place, "heads").stdout.splitlines() if "(head)" in line)
    found.revisions = len(revisions)
    found.heads = f"{len(heads)}, as Alembic" if heads == theirs else f"{heads}, and Alembic {theirs}"
    for name, words in VERBS.items():
        done = _magetui(place, home, *words)
        if name == "verify" and "--scratch-url" in done.stderr and place.scratch is not None:
            done = _magetui(place, home, *words, "--scratch-url", place.scratch)
        _note(found, name, done)


def _note(found: Timed, name: str, done: Ended) -> None:
    found.seconds[name] = min(done.seconds, found.seconds.get(name, done.seconds))
    if done.returncode not in ((0, 3) if name == "verify" else (0,)):
        found.reasons[name] = _reason(done)
    elif name == "verify" and done.returncode == 3:
        found.reasons.setdefault("verify, differences", " ".join(done.stdout.split())[:200])


def _reason(done: Ended) -> str:
    lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines() if line.strip()]
    told = next((line for line in reversed(lines) if "Error" in line or "magetui:" in line or "failed" in line), "")
    return f"status {done.returncode}: {told or ' '.join(lines[-1:])}"[:300]


def _alembic(place: Place, *words: str) -> Ended:
    return _run(place, [str(place.python), "-m", "alembic", "-c", str(place.ini), *words], {})


def _magetui(place: Place, home: Path, *words: str) -> Ended:
    own = {"XDG_STATE_HOME": str(home / "state"), "XDG_CACHE_HOME": str(home / "cache"), "MAGETUI_TRUST": "1"}
    flags = ["--config", str(place.ini), "--python", str(place.python)]
    return _run(place, [sys.executable, "-m", "magetui", *flags, *words], own)


def _run(place: Place, command: list[str], more: Mapping[str, str]) -> Ended:
    environment = {**os.environ, **place.variables, **more}
    # Not in the folder of the configuration, which may have modules named as Python's own, such as Airflow's `logging`.
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, env=environment, cwd="/"
        )
    except subprocess.TimeoutExpired:
        return Ended(-1, "", f"failed: no end after {SECONDS} s", SECONDS)
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - started)
