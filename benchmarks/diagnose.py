"""Compare `diagnose` on Mage's chain with `alembic current` in Mage's own folder and environment.

Run it with `uv run python -m benchmarks.diagnose`. It installs Mage with all its dependencies into a virtual
environment under `.cache` (once, a gigabyte) and starts a PostgreSQL 16. It runs both commands in alternation, each
as a new process, and takes the median of the pairs. Target: at most a quarter of the time.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.environments import site_packages
from tests.support.mage import mage_directory, migrate_with_alembic
from tests.support.mage_environment import mage_environment
from tests.support.postgres import PostgresServer

PAIRS = 7
TARGET = 0.25


def main() -> int:
    """Measure and print. The exit status is 1 if the target is missed."""
    home = mage_environment()
    package = site_packages(home) / "mage_ai"
    with tempfile.TemporaryDirectory() as folder, PostgresServer(16) as server:
        url = server.create_database("mage")
        migrate_with_alembic(url, mage_directory())
        plain = url.replace("postgresql://", "postgresql+psycopg2://")
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "MAGE_DATABASE_CONNECTION_URL": plain,
            "HOME": folder,
        }
        # Mage's alembic.ini names a relative SQLite file. This copy names the server.
        database = package / "orchestration" / "db"
        text = (database / "alembic.ini").read_text()
        text = text.replace("script_location = migrations", f"script_location = {database / 'migrations'}")
        text = text.replace("sqlite:///mage-ai.db", plain.replace("%", "%%"))
        ini = Path(folder, "alembic.ini")
        ini.write_text(text)
        ours = [sys.executable, "-m", "magetui", "diagnose", "--mage-path", str(package)]
        theirs = [str(home / "bin" / "python"), "-m", "alembic", "-c", str(ini), "current"]
        for command in (ours, theirs):  # fill bytecode and file caches
            _seconds(command, environment, folder)
        pairs = [(_seconds(ours, environment, folder), _seconds(theirs, environment, folder)) for _ in range(PAIRS)]
    ratio = statistics.median(first / second for first, second in pairs)
    print(f"magetui diagnose   {statistics.median(first for first, _ in pairs) * 1000:6.0f} ms")
    print(f"alembic current    {statistics.median(second for _, second in pairs) * 1000:6.0f} ms")
    print(f"ratio, by pairs    {ratio:6.2f}    target: at most {TARGET}")
    return 0 if ratio <= TARGET else 1


def _seconds(command: list[str], environment: dict[str, str], folder: str) -> float:
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=folder, check=False, capture_output=True, text=True)
    elapsed = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return elapsed


if __name__ == "__main__":
    sys.exit(main())
