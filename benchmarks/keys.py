"""Measure how long a key takes to be answered on the screen while the engine works.

Run it with `uv run python -m benchmarks.keys`. The program starts in a pseudo-terminal on a new PostgreSQL 16 with
Mage's real chain. From the first paint until the state is shown, a worker imports the engine and reads, and the keys 2
and 3 change the pane in turn. Then `d` starts one complete reading after the other, and `j` and `k` move the cursor in
the list of revisions. A change of the pane is answered by the first byte that the terminal receives, since nothing else
is drawn. A move is answered when another row is in reverse video. Target: every key within 50 ms.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from tests.support.mage import mage_directory, migrate_with_alembic
from tests.support.postgres import PostgresServer
from tests.support.terminal import Terminal

STARTS, MOVES = 5, 20
ANSWER_SECONDS = 10
TARGET_MS = 50
SIZE = (120, 36)
PANES, STATE = "4 Log", "BEHIND BY 2"
PAUSE = 0.02  # seconds between an answer and the next key


def main() -> int:
    """Measure and print. The exit status is 1 if the target is missed."""
    with tempfile.TemporaryDirectory() as state, PostgresServer(16) as server:
        url = server.create_database("mage")
        migrate_with_alembic(url, mage_directory(), "42a14d6143f1")
        environment: dict[str, str | None] = {
            "MAGE_DATABASE_CONNECTION_URL": url,
            "XDG_STATE_HOME": state,
            "PYTHONDONTWRITEBYTECODE": None,
        }
        starts = [_answers(environment) for _ in range(STARTS)]
    met = True
    for name, number in (("panes, at the start", 0), ("rows, while reading", 1)):
        times = [ms for start in starts for ms in start[number]]
        met = met and max(times) <= TARGET_MS
        print(
            f"{name}    {len(times):4d} keys    median {statistics.median(times):5.0f} ms    "
            f"slowest {max(times):5.0f} ms    target: at most {TARGET_MS}"
        )
    return 0 if met else 1


def _answers(environment: dict[str, str | None]) -> tuple[list[float], list[float]]:
    """Return the milliseconds until the answers, of changing the pane and of moving the cursor."""
    command = [sys.executable, "-m", "magetui", "--mage-path", str(mage_directory())]
    with Terminal(command, SIZE, environment) as terminal:
        terminal.wait_seen(PANES, 60)
        panes: list[float] = []
        while STATE not in terminal.screen():
            panes.append(_pane_ms(terminal, "3" if len(panes) % 2 == 0 else "2"))
            terminal.wait_quiet(PAUSE)
        terminal.press("2")
        terminal.wait_quiet()
        rows = []
        for move in range(MOVES):
            terminal.press("d")
            terminal.wait_quiet(PAUSE)
            rows.append(_row_ms(terminal, "j" if move % 2 == 0 else "k"))
        terminal.press("ctrl+q")
        terminal.wait_exit()
    return panes, rows


def _pane_ms(terminal: Terminal, key: str) -> float:
    written = len(terminal.output)
    return _ms(terminal, key, lambda: len(terminal.output) > written)


def _row_ms(terminal: Terminal, key: str) -> float:
    row = terminal.reversed_text()
    return _ms(terminal, key, lambda: terminal.reversed_text() != row)


def _ms(terminal: Terminal, key: str, is_answered: Callable[[], bool]) -> float:
    """Press the key. Return the milliseconds until it is answered, to the nearest one."""
    started = time.perf_counter()
    terminal.press(key)
    while not is_answered():
        if time.perf_counter() - started > ANSWER_SECONDS:
            raise RuntimeError(f"{key} was not answered within {ANSWER_SECONDS} s:\n{terminal.screen()}")
        time.sleep(0.001)
    return (time.perf_counter() - started) * 1000


if __name__ == "__main__":
    sys.exit(main())
