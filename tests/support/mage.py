"""Mage's real chain of migrations, from Mage's wheel. A chain of our own would only prove our own ideas.

The wheel is installed once into the checkout's `.cache`, without its dependencies, because they pin older releases
than this project needs. Run as a program, this module upgrades the database whose URL is on standard input with
Alembic alone. Tests compare the project's own runner with that.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from psycopg2 import extensions, sql
from sqlalchemy import URL, make_url

from tests.support import wheels

VERSION = "0.9.80"
HEAD = "39d36f1dab73"
COUNT = 40

CHECKOUT = wheels.CHECKOUT
SCRIPTS = Path("mage_ai", "orchestration", "db", "migrations")
MIGRATE_TIMEOUT = 120
UNUSED = """
SELECT datacl IS NULL
    AND NOT EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = database.oid)
    AND NOT EXISTS (SELECT FROM pg_stat_activity WHERE datid = database.oid)
FROM pg_database database WHERE datname = %s
"""
# Objects that users create have numbers from 16384 (PostgreSQL's access/transam.h, FirstNormalObjectId).
EMPTY = """
SELECT NOT EXISTS (
    SELECT oid FROM pg_class WHERE oid >= 16384 UNION ALL SELECT oid FROM pg_namespace WHERE oid >= 16384
    UNION ALL SELECT oid FROM pg_type WHERE oid >= 16384 UNION ALL SELECT oid FROM pg_proc WHERE oid >= 16384
)
"""


def mage_directory() -> Path:
    """Return the directory that contains `mage_ai`. Installs it if it is missing."""
    directory = wheels.installed("mage-ai", VERSION, f"mage/{VERSION}", "--no-deps")
    wheels.scripts_in(directory, SCRIPTS, COUNT)
    return directory


def migrate_with_alembic(url: str, directory: Path, revision: str = "head") -> None:
    """Upgrade the database to revision in another process, without any module of this project.

    A PostgreSQL server keeps the first result for each revision as a template. A fresh database becomes a copy of it,
    in a tenth of the time.
    """
    address = make_url(url)
    if address.drivername != "postgresql" or address.query or not _is_fresh(address):
        _run(url, directory, revision)
        return
    name, template = address.database or "", template_name(revision)
    with _session(address.set(database="postgres")) as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (template,))
        if cursor.fetchall():
            source, copy = template, name
            cursor.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(copy)))
        else:
            _run(url, directory, revision)
            source, copy = name, template
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(copy), sql.Identifier(source)))


def template_name(revision: str) -> str:
    """Return the name of the database that `migrate_with_alembic` keeps for a revision."""
    return f"mage_at_{revision}"


def _is_fresh(address: URL) -> bool:
    """Report whether the database is as CREATE DATABASE made it, and without sessions."""
    with _session(address.set(database="postgres")) as cursor:
        cursor.execute(UNUSED, (address.database,))
        unused = cursor.fetchall() == [(True,)]
    with _session(address) as cursor:
        cursor.execute(EMPTY)
        return unused and cursor.fetchall() == [(True,)]


@contextmanager
def _session(address: URL) -> Iterator[extensions.cursor]:
    with closing(psycopg2.connect(address.render_as_string(hide_password=False))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def _run(url: str, directory: Path, revision: str) -> None:
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
    from sqlalchemy import create_engine

    sys.path.insert(0, str(directory))  # one script imports a module of Mage
    config = Config()
    config.set_main_option("script_location", str(directory / SCRIPTS).replace("%", "%%"))
    script = ScriptDirectory.from_config(config)
    address = make_url(url)
    if address.drivername == "postgresql":  # its default driver depends on the release of SQLAlchemy
        address = address.set(drivername="postgresql+psycopg2")
    context = EnvironmentContext(
        config,
        script,
        fn=lambda current, _: script._upgrade_revs(revision, current),  # as command.upgrade does
        destination_rev=revision,
    )
    with create_engine(address).connect() as connection, context:
        context.configure(connection=connection, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()  # Alembic leaves this to the caller on SQLite


if __name__ == "__main__":
    _upgrade(sys.stdin.read(), Path(sys.argv[1]), sys.argv[2])
