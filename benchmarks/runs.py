"""Compare `runs` with fifty records of 10,000 events each with `runs` with one record.

Run it with `uv run python -m benchmarks.runs`. Each record has its summary, which the first `runs` after the end of the
run writes; the time of that first call is printed too. Both commands run in alternation, each as a new process. Target:
at most twice the time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from magetui.protocol import events
from magetui.protocol.journal import now

PAIRS = 9
RUNS, EVENTS = 50, 10_000
TARGET = 2.0


def main() -> int:
    """Measure and print. The exit status is 1 if the target is missed."""
    with tempfile.TemporaryDirectory() as folder:
        one, many = Path(folder, "one"), Path(folder, "many")
        _write(one, 1)
        _write(many, RUNS)
        first = _seconds(many)
        _seconds(one)
        pairs = [(_seconds(many), _seconds(one)) for _ in range(PAIRS)]
    ratio = statistics.median(with_many / with_one for with_many, with_one in pairs)
    print(f"{RUNS} runs, first time    {first * 1000:6.0f} ms")
    print(f"{RUNS} runs                {statistics.median(many for many, _ in pairs) * 1000:6.0f} ms")
    print(f"1 run                  {statistics.median(one for _, one in pairs) * 1000:6.0f} ms")
    print(f"ratio, by pairs        {ratio:6.2f}    target: at most {TARGET}")
    return 0 if ratio <= TARGET else 1


def _write(home: Path, runs: int) -> None:
    """Write the records of runs into a state directory."""
    directory = home / "magetui" / "runs"
    directory.mkdir(parents=True, mode=0o700)
    (home / "magetui").chmod(0o700)
    at = now()
    statement = [
        events.encode(events.StatementStarted(at=at, number=1, sql="insert into t1 (id) values (1)")),
        events.encode(events.StatementEnded(at=at, number=1, elapsed_ms=1)),
    ]
    for run in range(1, runs + 1):
        started = events.RunStarted(
            at=at,
            run=run,
            verb="migrate",
            target_revision="head",
            current=(),
            steps=(),
            database="sqlite:////srv/app.db",
            project="app",
            pid=1,
            user="operator",
            host="db1",
            lock_timeout_ms=10_000,
            statement_timeout_ms=0,
        )
        ended = events.RunEnded(at=at, outcome="done", current=("rev1",), elapsed_ms=10_000)
        lines = [events.encode(started), *statement * (EVENTS // 2 - 1), events.encode(ended)]
        path = directory / f"{run}.jsonl"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)


def _seconds(home: Path) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "magetui", "runs"]
    started = time.perf_counter()
    subprocess.run(command, env={**environment, "XDG_STATE_HOME": str(home)}, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
