"""Mage's real chain of migrations, from its own wheel: a chain of ours would only prove our own ideas.

The wheel is installed without its dependencies (they pin what this project needs newer) into the checkout's
`.cache`, once. Run as a program, this module brings the database of the URL on its standard input to the
chain's head with nothing but Alembic: what the project's own runner does is compared with that.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support import wheels

VERSION = "0.9.80"
HEAD = "39d36f1dab73"
COUNT = 40

CHECKOUT = wheels.CHECKOUT
SCRIPTS = Path("mage_ai", "orchestration", "db", "migrations")
MIGRATE_TIMEOUT = 120


def mage_directory() -> Path:
    """The directory that contains `mage_ai`; installs it if it is not there yet."""
    directory = wheels.installed("mage-ai", VERSION, f"mage/{VERSION}", "--no-deps")
    wheels.scripts_in(directory, SCRIPTS, COUNT)
    return directory


def migrate_with_alembic(url: str, directory: Path, revision: str = "head") -> None:
    """Upgrade the database to revision, in a process of its own and with nothing of this project."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.mage", str(directory), revision],
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
