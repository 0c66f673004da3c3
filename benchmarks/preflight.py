"""Compare a plan of Mage's complete chain with its preflight, and the same plan without one.

Run it with `uv run python -m benchmarks.preflight`. The plan is a rollback of all revisions on PostgreSQL, in which
nothing fails. Both are made in alternation. Target: at most 1.3 times the time.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any
from unittest.mock import patch

from magetui.engine.plan import make_plan
from magetui.engine.preview.preflight.preflight import preflight
from magetui.engine.preview.preview import preview_plan
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.mage import mage_directory, migrate_with_alembic
from tests.support.postgres import VERSIONS, PostgresServer

ROUNDS = 9
TARGET = 1.3


def main() -> int:
    """Measure and print. The exit status is 1 if the target is missed."""
    with PostgresServer(VERSIONS[-1]) as server:
        url = server.create_database()
        migrate_with_alembic(url, mage_directory())
        for preflights in (True, False):  # fill the caches
            _seconds(url, preflights=preflights)
        rounds = [(_seconds(url, preflights=True), _seconds(url, preflights=False)) for _ in range(ROUNDS)]
    ratio = statistics.median(first / second for first, second in rounds)
    print(f"with a preflight     {statistics.median(first for first, _ in rounds) * 1000:6.0f} ms")
    print(f"without one          {statistics.median(second for _, second in rounds) * 1000:6.0f} ms")
    print(f"ratio, by rounds     {ratio:6.2f}    target: at most {TARGET}")
    return 0 if ratio <= TARGET else 1


def _seconds(url: str, *, preflights: bool) -> float:
    """Return how long a plan takes with its preview, of which the preflight is a part or is left out."""
    workspace = Workspace(Selection(url=url, mage_path=str(mage_directory())), {})
    made: Any = preflight if preflights else lambda *_: None
    started = time.perf_counter()
    with open_reading(workspace) as reading, patch("magetui.engine.preview.preview.preflight", made):
        preview_plan(reading, make_plan(reading, "rollback", "base"))
        return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
