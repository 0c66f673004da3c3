"""Fixtures with the real parts that tests use. A part that is missing fails the test; no test is ever skipped."""

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
from tests.support.mage import CHECKOUT, HEAD, mage_directory, migrate_with_alembic, template_name
from tests.support.postgres import HOST, VERSIONS, PostgresServer
from tests.support.proxy import StallingProxy
from tests.support.secret_stores import SecretsManager

pytest_plugins = ("tests.support.debian", "tests.support.sqlserver.operators")

UNWANTED = ("VIRTUAL_ENV", "NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED")
FOREIGN_VARIABLES = ("MAGE_", "MAGETUI_", "DB_", "AWS_", "AZURE_", "IDENTITY_", "MSI_", "PG", "XDG_", "TEXTUAL")


# `nohup` and background jobs ignore these signals, and every process that a test starts would inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    # Without bytecode the start of a program takes three times as long: of this process, its workers and magetui.
    sys.dont_write_bytecode = False
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(CHECKOUT / ".cache" / "bytecode")


@pytest.fixture(autouse=True)
def state_dir(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Give the test an empty home without this machine's settings; return the state directory.

    After the test, the state directory must not contain the servers' password.
    """
    for name in os.environ:
        if name.startswith(FOREIGN_VARIABLES) or name in UNWANTED:
            monkeypatch.delenv(name)
    monkeypatch.setenv("MAGETUI_TRUST", "1")  # the projects of the tests are our own
    monkeypatch.setenv("MAGETUI_DESPITE_PREFLIGHT", "1")  # many of them fail on purpose
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # the tests may run on an EC2 instance
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    # The cache keeps recorded operations by the scripts' content. Recording Mage's forty scripts again for each test
    # would take most of the time.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    state = home / "state" / "magetui"
    yield state
    if state.is_dir():
        nowhere([state])


@pytest.fixture
def own(state_dir: Path) -> Path:
    """Return the operator's own configuration file, which is empty."""
    file = Path(os.environ["XDG_CONFIG_HOME"], "magetui", "config.toml")
    file.parent.mkdir(parents=True)
    file.touch(0o600)
    return file


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[dict[int, PostgresServer]]:
    """Return the servers started so far, by major version. They live as long as the test process."""
    servers: dict[int, PostgresServer] = {}
    yield servers
    for server in servers.values():
        server.remove()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the newest PostgreSQL, unless it is marked `every_version` or names a version itself.

    Runs on the older versions are marked `slow`.
    """
    versions = VERSIONS if metafunc.definition.get_closest_marker("every_version") else VERSIONS[-1:]
    runs = [
        pytest.param(version, id=f"pg{version}", marks=() if version == VERSIONS[-1] else pytest.mark.slow)
        for version in versions
    ]
    named = {name for mark in metafunc.definition.iter_markers("parametrize") for name in mark.args[0]}
    named |= {mark.args[0] for mark in metafunc.definition.iter_markers("parametrize")}
    for fixture, values in (("postgres", runs), ("database", [*runs, pytest.param("sqlite", id="sqlite")])):
        if fixture in metafunc.fixturenames and fixture not in named:
            metafunc.parametrize(fixture, values, indirect=True)


@pytest.fixture
def postgres(request: pytest.FixtureRequest, postgres_servers: dict[int, PostgresServer]) -> PostgresServer:
    """Return a running server of the newest version, or of each version if the test is marked `every_version`.

    Tests may restart the server, and may leave it stopped.
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
    """Return the URL of a fresh, empty database."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(url.rpartition("/")[2])


@pytest.fixture
def pg_database(postgres: PostgresServer, pg_url: str) -> PostgresDatabase:
    """Return a fresh, empty database."""
    return PostgresDatabase(postgres, pg_url.rpartition("/")[2])


@pytest.fixture
def proxy(pg_database: PostgresDatabase) -> Iterator[StallingProxy]:
    """Return a proxy to the server of `pg_database` that can stall or break connections."""
    with StallingProxy(HOST, pg_database.server.port) as proxy:
        yield proxy


@pytest.fixture
def sqlite_database(tmp_path: Path) -> SqliteDatabase:
    """Return a database whose file does not exist yet."""
    return SqliteDatabase(tmp_path / "data.db")


@pytest.fixture
def database(
    request: pytest.FixtureRequest,
    postgres_servers: dict[int, PostgresServer],
    sqlite_database: SqliteDatabase,
) -> Iterator[Database]:
    """Return a fresh, empty database: PostgreSQL as for `postgres`, then SQLite."""
    if request.param == "sqlite":
        yield sqlite_database
        return
    server = _running(postgres_servers, request.param)
    name = server.create_database().rpartition("/")[2]
    yield PostgresDatabase(server, name)
    server.drop_database(name)


@pytest.fixture(scope="session")
def secrets_manager() -> Iterator[SecretsManager]:
    """Return an AWS Secrets Manager without secrets. It lives as long as the test process."""
    secrets_manager = SecretsManager()
    yield secrets_manager
    secrets_manager.close()


@pytest.fixture(scope="session")
def mage_home() -> Path:
    """Return the directory that contains Mage's package `mage_ai`."""
    return mage_directory()


@pytest.fixture
def mage_importable(mage_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make Mage importable in this process, because one of its scripts imports Mage. Unload its modules afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(mage_home)])
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mage_ai"]:
        del sys.modules[name]


@pytest.fixture
def mage_pg_url(postgres: PostgresServer, mage_home: Path) -> Iterator[str]:
    """Return the URL of a fresh database at the head of Mage's chain, without rows."""
    template = template_name("head")
    is_made = postgres.execute("postgres", "SELECT 1 FROM pg_database WHERE datname = %s", (template,))
    url = postgres.create_database(template=template if is_made else None)
    if not is_made:
        migrate_with_alembic(url, mage_home)
    assert postgres.execute(url.rpartition("/")[2], "SELECT version_num FROM alembic_version") == [(HEAD,)]
    yield url
    postgres.drop_database(url.rpartition("/")[2])


@pytest.fixture(scope="session")
def mage_sqlite_file(tmp_path_factory: pytest.TempPathFactory, mage_home: Path) -> Path:
    """Return a SQLite database at the head of Mage's chain. Tests copy it and do not change it."""
    path = tmp_path_factory.mktemp("mage") / "mage-ai.db"
    migrate_with_alembic(f"sqlite:///{path}", mage_home)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]
    return path


@pytest.fixture
def mage_sqlite_url(mage_sqlite_file: Path, tmp_path: Path) -> str:
    """Return the URL of a fresh SQLite database (`mage-ai.db` in tmp_path) at the head of Mage's chain."""
    path = tmp_path / "mage-ai.db"
    shutil.copyfile(mage_sqlite_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def magetui(tmp_path: Path, state_dir: Path) -> Iterator[Magetui]:
    """Run the command line in tmp_path. After the test, no output may contain the servers' password."""
    command = Magetui(tmp_path)
    yield command
    command.close()
    nowhere(command.outcomes)
