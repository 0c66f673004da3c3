"""A project's own environment, as old as is supported: Alembic 1.13 and SQLAlchemy 2.0, in the checkout's `.cache`.

It is made once, by uv, and links to this interpreter.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.wheels import CHECKOUT, INSTALL_TIMEOUT

PACKAGES = ("alembic==1.13.*", "sqlalchemy[asyncio]==2.0.*", "psycopg2-binary>=2.9.9,<3", "asyncpg")
HOME = CHECKOUT / ".cache" / "older" / f"{sys.version_info.major}.{sys.version_info.minor}"


def older_environment() -> Path:
    """The environment's home; makes it if it is not there yet."""
    HOME.parent.mkdir(parents=True, exist_ok=True)
    with HOME.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the test processes start at the same time
        made = HOME / "made"
        if not made.exists():
            shutil.rmtree(HOME, ignore_errors=True)
            uv = os.environ.get("UV") or shutil.which("uv")
            venv.create(HOME, with_pip=uv is None)
            python = str(HOME / "bin" / "python")
            pip = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install"]
            done = subprocess.run(
                [*pip, *PACKAGES],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT,
                check=False,
            )
            if done.returncode:
                raise RuntimeError(f"{pip} {PACKAGES} failed:\n{done.stdout}{done.stderr}")
            made.write_text("")
    return HOME
