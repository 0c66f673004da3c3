"""Mage's real chain of migrations, from its own wheel: a chain of ours would only prove our own ideas.

The wheel is installed without its dependencies (they pin what this project needs newer) into the checkout's
`.cache`, once. Run as a program, this module brings the database of the URL on its standard input to the
chain's head with nothing but Alembic: what the project's own runner does is compared with that.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "0.9.80"
HEAD = "39d36f1dab73"
COUNT = 40

CHECKOUT = Path(__file__).resolve().parent.parent
CACHE = CHECKOUT / ".cache" / "mage"
SCRIPTS = Path("mage_ai", "orchestration", "db", "migrations")
INSTALL_TIMEOUT = 600  # seconds; the wheel has 40 MB
MIGRATE_TIMEOUT = 120


def mage_directory() -> Path:
    """The directory that contains `mage_ai`; installs it if it is not there yet."""
    directory = CACHE / VERSION
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{VERSION}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the test processes start at the same time
        if not directory.exists():
            partial = CACHE / f"{VERSION}.partial"
            if partial.exists():
                shutil.rmtree(partial)
            _install(partial)
            partial.rename(directory)
    found = len(list((directory / SCRIPTS / "versions").glob("*.py")))
    if found != COUNT:
        raise RuntimeError(f"{directory} has {found} revisions instead of {COUNT}: delete it and run again")
    return directory


def _installer() -> list[str]:
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", sys.executable]
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable]
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "install"]
    pip = shutil.which("pip3") or shutil.which("pip")
    if pip:
        return [pip, "install"]
    raise RuntimeError("neither uv nor pip found: run the tests with `uv run pytest`")


def _install(directory: Path) -> None:
    command = [*_installer(), "--no-deps", "--target", str(directory), f"mage-ai=={VERSION}"]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def migrate_with_alembic(url: str, directory: Path, revision: str = "head") -> None:
    """Upgrade the database to revision, in a process of its own and with nothing of this project."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.mage", str(directory), revision],
        cwd=CHECKOUT,
        input=url,
        capture_output=True,
        text=True,
        timeout=MIGRATE_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Alembic alone could not migrate to {revision}:\n{done.stdout}{done.stderr}")


def _upgrade(url: str, directory: Path, revision: str) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import create_engine, make_url

    sys.path.insert(0, str(directory))  # one revision imports a module of Mage
    config = Config()
    config.set_main_option("script_location", str(directory / SCRIPTS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    address = make_url(url)
    if address.drivername == "postgresql":  # whose default driver depends on the release of SQLAlchemy
        address = address.set(drivername="postgresql+psycopg2")
    context = EnvironmentContext(
        config,
        script,
        fn=lambda current, _: script._upgrade_revs(revision, current),  # what command.upgrade does
        destination_rev=revision,
    )
    with create_engine(address).connect() as connection, context:
        context.configure(connection=connection, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()  # SQLite: Alembic leaves it to the caller


if __name__ == "__main__":
    _upgrade(sys.stdin.read(), Path(sys.argv[1]), sys.argv[2])
