"""Compare the recording of Mage's chain behind the barrier with the same recording without one.

Run it with `uv run python -m benchmarks.barrier`. Both are children as magetui starts them, in alternation; the second
one has its barrier taken out. Target: at most 1.2 times the time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time

from magetui.engine.directories import package_root
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.protocol.requests import RecordRequest, encode
from magetui.runner.__main__ import BOOT
from tests.support.mage import mage_directory

PAIRS = 9
TARGET = 1.2
WITHOUT = "import magetui.runner.barrier as b; b.raise_barrier = lambda cpu_seconds=0: b.Barrier(); "
IMPORT = "from magetui.runner.__main__"


def main() -> int:
    """Measure and print. The exit status is 1 if the target is missed."""
    workspace = Workspace(Selection(url="sqlite://", mage_path=str(mage_directory())), {})
    revisions = workspace.chain.revisions
    request = encode(
        RecordRequest(
            workspace.project.scripts,
            "postgresql",
            tuple(revision.revision for revision in revisions),
            tuple(str(revision.path) for revision in revisions),
        )
    )
    behind, without = BOOT, BOOT.replace(IMPORT, f"{WITHOUT}{IMPORT}")
    for boot in (behind, without):  # fill bytecode and file caches
        _seconds(boot, request)
    pairs = [(_seconds(behind, request), _seconds(without, request)) for _ in range(PAIRS)]
    ratio = statistics.median(first / second for first, second in pairs)
    print(f"behind the barrier   {statistics.median(first for first, _ in pairs) * 1000:6.0f} ms")
    print(f"without it           {statistics.median(second for _, second in pairs) * 1000:6.0f} ms")
    print(f"ratio, by pairs      {ratio:6.2f}    target: at most {TARGET}")
    return 0 if ratio <= TARGET else 1


def _seconds(boot: str, request: bytes) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, "-c", boot, package_root()]
        done = subprocess.run(command, input=request, cwd=folder, check=True, capture_output=True)
        elapsed = time.perf_counter() - started
    if not done.stdout.startswith(b"["):
        raise RuntimeError(f"no recordings: {done.stderr[-2000:]!r}")
    return elapsed


if __name__ == "__main__":
    sys.exit(main())
