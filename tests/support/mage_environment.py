"""Mage as an operator has it: installed with all its dependencies in its own environment.

Mage's extra `postgres` pins a psycopg2 that needs PostgreSQL's headers to build. The binary wheel replaces it here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.environments import environment
from tests.support.mage import VERSION

PACKAGES = (f"mage-ai=={VERSION}", "psycopg2-binary")
# The versions that Mage pins have no wheels for later Pythons. The date in OPTIONS fixes the hundred other packages.
PYTHONS = ((3, 10), (3, 11))
OPTIONS = ("--only-binary", ":all:", "--exclude-newer", "2026-11-25")
# `mage start` migrates the database in this way before it serves requests (mage_ai/server/server.py).
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
    """Return the environment with `bin/mage`. Installs it if it is missing: a gigabyte, in half a minute."""
    python = sys.executable if sys.version_info[:2] in PYTHONS else "{}.{}".format(*PYTHONS[-1])
    return environment(f"mage-full/{VERSION}", PACKAGES, *OPTIONS, python=python, warmed_by=WARMED_BY)


def starting_mage(home: Path, url: str, folder: Path) -> subprocess.Popen[str]:
    """Start Mage's own migration of the database, by its own code under its own interpreter."""
    folder.mkdir()
    return subprocess.Popen(
        [str(home / "bin" / "python"), "-c", MIGRATES],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "MAGE_DATABASE_CONNECTION_URL": url,
            "MAGE_DATA_DIR": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",  # every file that appears in the environment must come from magetui
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
