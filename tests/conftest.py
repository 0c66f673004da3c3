"""The real parts that tests stand on. One that cannot be had fails the test; none is ever skipped."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.leaks import nowhere
from tests.support.mage import CHECKOUT, HEAD, mage_directory, migrate_with_alembic
from tests.support.postgres import HOST, VERSIONS, PostgresServer
from tests.support.proxy import StallingProxy
from tests.support.secret_stores import SecretsManager

pytest_plugins = ("tests.support.debian",)

MAGE_TEMPLATE = "mage_at_head"
UNWANTED = ("VIRTUAL_ENV", "NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED")
FOREIGN_VARIABLES = ("MAGE_", "MAGETUI_", "DB_", "AWS_", "AZURE_", "IDENTITY_", "MSI_", "PG", "XDG_", "TEXTUAL")


# Whoever starts the tests under `nohup`, or in the background, has these ignored, and what is started here would
# inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: much of what is tested is waiting, for locks and for silent servers."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def state_dir(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """An operator's empty home, and none of this machine's settings; the state directory, searched for passwords."""
    for name in os.environ:
        if name.startswith(FOREIGN_VARIABLES) or name in UNWANTED:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # this machine may be one of AWS's
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    # What scripts do is kept by their content: asking Mage's forty anew for each test would take most of the time.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):
        # Every start of the program would compile all that it imports, and take three times as long.
        monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
        monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(CHECKOUT / ".cache" / "bytecode"))
    state = home / "state" / "magetui"
    yield state
    if state.is_dir():
        nowhere([state])


@pytest.fixture
def own(state_dir: Path) -> Path:
    """The operator's own configuration file, empty."""
    file = Path(os.environ["XDG_CONFIG_HOME"], "magetui", "config.toml")
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    return file


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[dict[int, PostgresServer]]:
    """The servers that have been needed so far, by major version; they live as long as the test process."""
    servers: dict[int, PostgresServer] = {}
    yield servers
    for server in servers.values():
        server.remove()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """PostgreSQL's newest version, unless a test is marked as one to which versions matter, or names one itself."""
    versions = VERSIONS if metafunc.definition.get_closest_marker("every_version") else VERSIONS[-1:]
    named = {name for mark in metafunc.definition.iter_markers("parametrize") for name in mark.args[0]}
    named |= {mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")}
    for fixture, kinds in (("postgres", versions), ("database", (*versions, "sqlite"))):
        if fixture in metafunc.fixturenames and fixture not in named:
            metafunc.parametrize(fixture, kinds, indirect=True, ids=[k if k == "sqlite" else f"pg{k}" for k in kinds])


@pytest.fixture
def postgres(request: pytest.FixtureRequest, postgres_servers: dict[int, PostgresServer]) -> PostgresServer:
    """A running server of the newest version, or of each in turn where the test is marked `every_version`.

    Tests may restart it, and even leave it stopped.
    """
    return _running(postgres_servers, request.param)


def _running(servers: dict[int, PostgresServer], major: int) -> PostgresServer:
    if major not in servers:
        servers[major] = PostgresServer(major)
    if not servers[major].running:
        servers[major].start()
    return servers[major]


@pytest.fixture
def pg_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url.rpartition("/")[2])


@pytest.fixture
def pg_database(postgres: PostgresServer, pg_url: str) -> PostgresDatabase:
    """A fresh, empty database."""
    return PostgresDatabase(postgres, pg_url.rpartition("/")[2])


@pytest.fixture
def proxy(pg_database: PostgresDatabase) -> Iterator[StallingProxy]:
    """A line to the server of that database, which can fall silent or break."""
    with StallingProxy(HOST, pg_database.server.port) as proxy:
        yield proxy


@pytest.fixture
def sqlite_database(tmp_path: Path) -> SqliteDatabase:
    """A file that does not exist yet."""
    return SqliteDatabase(tmp_path / "data.db")


@pytest.fixture
def database(
    request: pytest.FixtureRequest,
    postgres_servers: dict[int, PostgresServer],
    sqlite_database: SqliteDatabase,
) -> Iterator[Database]:
    """A fresh, empty database: PostgreSQL as for `postgres`, then SQLite."""
    if request.param == "sqlite":
        yield sqlite_database
        return
    server = _running(postgres_servers, request.param)
    name = server.create_database().rpartition("/")[2]
    yield PostgresDatabase(server, name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def secrets_manager() -> Iterator[SecretsManager]:
    """AWS Secrets Manager, without secrets; it lives as long as the test process."""
    served = SecretsManager()
    yield served
    served.close()


@pytest.fixture(scope="session")
def mage_home() -> Path:
    """The directory that contains Mage's package `mage_ai`."""
    return mage_directory()


@pytest.fixture
def mage_importable(mage_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Mage's scripts can be run in this process: one of them imports a module of Mage. Afterwards none is left here."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(mage_home)])
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mage_ai"]:
        del sys.modules[name]


@pytest.fixture
def mage_pg_url(postgres: PostgresServer, mage_home: Path) -> Iterator[str]:
    """The URL of a fresh database at the head of Mage's chain, without rows."""
    made = postgres.execute("postgres", "SELECT 1 FROM pg_database WHERE datname = %s", (MAGE_TEMPLATE,))
    if not made:
        unfinished = f"{MAGE_TEMPLATE}_unfinished"
        postgres.drop_database(unfinished)
        migrate_with_alembic(postgres.create_database(unfinished), mage_home)
        assert postgres.execute(unfinished, "SELECT version_num FROM alembic_version") == [(HEAD,)]
        postgres.execute("postgres", f"ALTER DATABASE {unfinished} RENAME TO {MAGE_TEMPLATE}")
    url = postgres.create_database(template=MAGE_TEMPLATE)
    yield url
    postgres.drop_database(url.rpartition("/")[2])


@pytest.fixture(scope="session")
def mage_sqlite_file(tmp_path_factory: pytest.TempPathFactory, mage_home: Path) -> Path:
    """A SQLite database at the head of Mage's chain, to be copied and not touched."""
    path = tmp_path_factory.mktemp("mage") / "mage-ai.db"
    migrate_with_alembic(f"sqlite:///{path}", mage_home)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    return path


@pytest.fixture
def mage_sqlite_url(mage_sqlite_file: Path, tmp_path: Path) -> str:
    """The URL of a fresh SQLite database (`mage-ai.db` in tmp_path) at the head of Mage's chain."""
    path = tmp_path / "mage-ai.db"
    shutil.copyfile(mage_sqlite_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def magetui(tmp_path: Path, state_dir: Path) -> Iterator[Magetui]:
    """Runs the command line in tmp_path. What it said is searched for the servers' password afterwards."""
    command = Magetui(tmp_path)
    yield command
    command.close()
    nowhere(command.outcomes)
