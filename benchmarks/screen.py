"""Measure the full-screen program: its start, its cost at rest, and its memory.

Run it with `uv run python -m benchmarks.screen`. The program runs in a pseudo-terminal on a new PostgreSQL 16 with
Mage's real chain, in alternation with a bare Textual app. Measured are:

- the time from the start of the process until all panes are drawn and keys work
  (target: at most 1.15 times the bare app)
- the time until the screen shows the state of the database (target: at most 2 times the bare app)
- the processor time (no target) and the bytes written (target: none) in ten seconds at rest
- the resident memory (target: under 100 MB)
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.mage import mage_directory, migrate_with_alembic
from tests.support.postgres import PostgresServer
from tests.support.terminal import Terminal

ROUNDS = 9
REST_SECONDS = 10
TARGET, STATE_TARGET, MEMORY_MB = 1.15, 2.0, 100
SIZE = (120, 36)
PANES, STATE, BARE = "4 Log", "BEHIND BY 2", "bare app is ready"
TICK = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure and print. The exit status is 1 if a target is missed."""
    with tempfile.TemporaryDirectory() as state, PostgresServer(16) as server:
        url = server.create_database("mage")
        migrate_with_alembic(url, mage_directory(), "42a14d6143f1")
        environment: dict[str, str | None] = {
            "MAGE_DATABASE_CONNECTION_URL": url,
            "XDG_STATE_HOME": state,
            "PYTHONDONTWRITEBYTECODE": None,
        }
        ours = [sys.executable, "-m", "magetui", "--mage-path", str(mage_directory())]
        bare = [sys.executable, "-m", "benchmarks.bare"]
        for _ in range(2):  # fill bytecode and file caches
            _seen(bare, environment, BARE)
            _seen(ours, environment, PANES, STATE)
        rounds = [(*_seen(ours, environment, PANES, STATE), *_seen(bare, environment, BARE)) for _ in range(ROUNDS)]
        cpu, written, memory = _at_rest(ours, environment)
    panes_ms, state_ms, bare_ms = (statistics.median(times) for times in zip(*rounds, strict=True))
    panes = statistics.median(panes / bare for panes, _, bare in rounds)
    known = statistics.median(state / bare for _, state, bare in rounds)
    print(f"bare Textual app      {bare_ms:6.0f} ms")
    print(f"first usable screen   {panes_ms:6.0f} ms    ratio, by rounds {panes:5.2f}    target: at most {TARGET}")
    print(
        f"state on the screen   {state_ms:6.0f} ms    ratio, by rounds {known:5.2f}    target: at most {STATE_TARGET}"
    )
    print(f"at rest, {REST_SECONDS} s         {cpu * 1000:6.0f} ms of processor time, {written} bytes    target: none")
    print(f"resident memory       {memory:6.0f} MB    target: under {MEMORY_MB}")
    return 0 if panes <= TARGET and known <= STATE_TARGET and written == 0 and memory < MEMORY_MB else 1


def _seen(command: list[str], environment: dict[str, str | None], *wanted: str) -> tuple[float, ...]:
    """Return the milliseconds from the start of the program until its screen shows each of the texts, in this order."""
    started = time.perf_counter()
    with Terminal(command, SIZE, environment) as terminal:
        times = []
        for text in wanted:
            terminal.wait_seen(text, 60)
            times.append((time.perf_counter() - started) * 1000)
        terminal.wait_for(wanted[-1], 60)
        terminal.press("ctrl+q")
        terminal.wait_exit()
    return tuple(times)


def _at_rest(command: list[str], environment: dict[str, str | None]) -> tuple[float, int, float]:
    """Return processor seconds and bytes written at rest, and resident megabytes."""
    with Terminal(command, SIZE, environment) as terminal:
        terminal.wait_for(STATE, 60)
        terminal.wait_for("diagnose", 60)
        terminal.wait_quiet(quiet=2)  # the screen is complete after the first reading
        written, used = len(terminal.output), _cpu_seconds(terminal.pid)
        time.sleep(REST_SECONDS)
        at_rest = _cpu_seconds(terminal.pid) - used, len(terminal.output) - written
        memory = _resident_mb(terminal.pid)
        terminal.press("q")
        terminal.wait_exit()
    return (*at_rest, memory)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
