"""Mage as an operator has it: installed with all its dependencies in an environment of its own, and starting by itself.

Its extra `postgres` pins a psycopg2 that only builds where PostgreSQL's headers are; the driver's wheel stands in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.environments import environment
from tests.support.mage import VERSION

PACKAGES = (f"mage-ai=={VERSION}", "psycopg2-binary")
# What it pins has no wheels for later Pythons. The day holds the hundred packages that it does not pin in place.
PYTHONS = ((3, 10), (3, 11))
OPTIONS = ("--only-binary", ":all:", "--exclude-newer", "2026-11-25")
# What `mage start` does with the database before it serves anything (mage_ai/server/server.py).
MIGRATES = """
from mage_ai.orchestration.db.database_manager import database_manager
database_manager.run_migrations()
"""
WARMED_BY = """
import os
os.environ["MAGE_DATABASE_CONNECTION_URL"] = "sqlite://"
import mage_ai.orchestration.db.database_manager
from mage_ai.orchestration.db.models import oauth, schedules, secrets, tags
"""


def mage_environment() -> Path:
    """The environment's home, with `bin/mage` in it; makes it if it is not there yet: a gigabyte, in half a minute."""
    python = sys.executable if sys.version_info[:2] in PYTHONS else "{}.{}".format(*PYTHONS[-1])
    return environment(f"mage-full/{VERSION}", PACKAGES, *OPTIONS, python=python, warmed_by=WARMED_BY)


def starting_mage(home: Path, url: str, folder: Path) -> subprocess.Popen[str]:
    """Mage, at its own start-up migration of the database, by its own code under its own interpreter."""
    folder.mkdir()
    return subprocess.Popen(
        [str(home / "bin" / "python"), "-c", MIGRATES],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "MAGE_DATABASE_CONNECTION_URL": url,
            "MAGE_DATA_DIR": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # what is written in its environment is to be ours, if anything is
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
