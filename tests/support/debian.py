"""A PostgreSQL server with TLS, which the wheel's PostgreSQL lacks, and PgBouncer.

Both come from Debian's packages: `apt-get install pgbouncer postgresql openssl`. If these are missing, pytest deselects
the tests marked `debian` and says so at its end. The same holds for the tests marked `odbc`: two drivers of SQL Server
need the package `unixodbc`. With `--require-debian`, as in CI, these tests run and fail. This module is a pytest plugin
(see conftest.py).
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from ctypes.util import find_library
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psycopg2
import pytest

from tests.support.postgres import GUARD, HOST, PASSWORD, USER, PostgresServer
from tests.support.waiting import eventually

PACKAGES, ODBC = "pgbouncer postgresql openssl", "unixodbc"
SUBJECTS = {"debian": "TLS and of PgBouncer", "odbc": "SQL Server's drivers that use ODBC"}
DAYS = "30"
PoolMode = Literal["transaction", "session", "statement"]


def postgres_home() -> Path | None:
    """Return the directory that contains bin/ of Debian's newest server."""
    homes = [path.parents[1] for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(homes, key=lambda path: int(path.name), default=None)


def pgbouncer_program() -> str | None:
    """Return the path of PgBouncer, if it is installed."""
    return shutil.which(
        "pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin"
    )  # which is not on an ordinary user's PATH


def missing() -> bool:
    """Report whether one of the packages is not installed."""
    return postgres_home() is None or pgbouncer_program() is None or shutil.which("openssl") is None


def odbc_missing() -> bool:
    """Report whether unixODBC, or libltdl with it, is not installed."""
    return find_library("odbc") is None or find_library("ltdl") is None


# -- the plugin


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-debian", action="store_true", help=f"fail if {PACKAGES} {ODBC} are not installed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"debian: needs Debian's packages {PACKAGES}")
    config.addinivalue_line("markers", f"odbc: needs Debian's package {ODBC}")


def left_out(config: pytest.Config) -> dict[str, str]:
    """Return the marks of the tests that cannot run here, and the packages that they need."""
    if config.getoption("--require-debian"):
        return {}
    lacking = {"debian": missing(), "odbc": odbc_missing()}
    return {mark: packages for mark, packages in (("debian", PACKAGES), ("odbc", ODBC)) if lacking[mark]}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    deselected = [item for item in items if any(item.get_closest_marker(mark) for mark in left_out(config))]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in deselected]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for mark, packages in left_out(config).items():
        terminalreporter.write_line(
            f"LEFT OUT: the tests of {SUBJECTS[mark]}, which need Debian's packages: apt-get install {packages}. CI "
            "requires them (--require-debian).",
            yellow=True,
        )


@pytest.fixture(scope="session")
def debian() -> Iterator[DebianServer]:
    """Return Debian's PostgreSQL, which supports TLS. It lives as long as the test process."""
    server = DebianServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def debian_url(debian: DebianServer) -> Iterator[str]:
    """Return the URL of a fresh, empty database of Debian's server."""
    url = debian.create_database()
    yield url
    debian.drop_database(url.rpartition("/")[2])


# -- the parts


class DebianServer(PostgresServer):
    """Debian's server on TCP (with IPv6 if the machine has it) and on a socket. TLS is optional for clients."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        home = postgres_home()
        if missing() or home is None:
            raise RuntimeError(f"Debian's packages are missing: apt-get install {PACKAGES}")
        self._home = home
        addresses = f"{HOST},::1" if has_ipv6() else HOST
        super().__init__(int(home.name), {"listen_addresses": addresses, **(settings or {})})
        self.authority = Authority(self.directory / "tls")
        key, certificate = self.authority.issue("localhost", f"DNS:localhost,IP:{HOST}")
        for path in (key, certificate):
            self._own(path)
        self.settings |= {
            "ssl": "on",
            "ssl_key_file": str(key),
            "ssl_cert_file": str(certificate),
            "ssl_ca_file": str(self.authority.certificate),
        }

    def _reachable_installation(self) -> Path:
        return self._home


def has_ipv6() -> bool:
    """Report whether a server can listen on ::1."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class Authority:
    """A certificate authority of the tests and its certificates, in a directory that every user can read."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.certificate = directory / "root.crt"
        self._key = directory / "root.key"
        _openssl("req", "-x509", *NEW_KEY, "-keyout", self._key, "-out", self.certificate, "-subj", "/CN=tests")

    def issue(self, name: str, alternatives: str | None = None) -> tuple[Path, Path]:
        """Return the key (readable only by its owner) and the certificate of a server or role called `name`."""
        key, certificate = (self._directory / f"{name}.{suffix}" for suffix in ("key", "crt"))
        request = self._directory / f"{name}.csr"
        _openssl("req", *NEW_KEY, "-keyout", key, "-out", request, "-subj", f"/CN={name}")
        extension = self._directory / f"{name}.ext"
        extension.write_text(f"subjectAltName={alternatives}\n" if alternatives else "")
        signed = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", DAYS)
        _openssl("x509", "-req", "-in", request, "-out", certificate, *signed, "-extfile", extension)
        key.chmod(0o600)
        return key, certificate


NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", DAYS)


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl failed:\n{done.stderr}")


class PgBouncer:
    """PgBouncer in front of a server, on its own port. Use it in `with`.

    PgBouncer drops the startup parameters in `ignored`, and rejects any other parameter that it does not know.
    """

    def __init__(self, server: PostgresServer, mode: PoolMode, *, size: int = 1, ignored: str = "") -> None:
        program = pgbouncer_program()
        if program is None:
            raise RuntimeError(f"Debian's packages are missing: apt-get install {PACKAGES}")
        self.server = server
        self.port = _free_port()
        # PgBouncer refuses to run as root, as PostgreSQL does.
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.directory = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
        (self.directory / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
        settings = {
            "listen_addr": HOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": self.directory / "users",
            "pool_mode": mode,
            "default_pool_size": size,
            "admin_users": USER,
            "logfile": self.directory / "log",
            "ignore_startup_parameters": ignored,
        }
        lines = [f"{name} = {value}" for name, value in settings.items()]
        configuration = self.directory / "pgbouncer.ini"
        configuration.write_text(
            "\n".join([f"[databases]\n* = host={HOST} port={server.port}", "[pgbouncer]", *lines, ""])
        )
        identity: dict[str, Any] = {}
        if account is not None:
            identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
            for path in (self.directory, *self.directory.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)
        self._process = subprocess.Popen(
            [program, configuration],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **identity,
        )
        # If the test run is killed, the guard stops PgBouncer and deletes its directory.
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", str(self._process.pid), str(self.directory)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        eventually(self._listens, 10, lambda: f"PgBouncer does not listen\n{self.log}")

    def __enter__(self) -> PgBouncer:
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.kill()
        self._guard.communicate()
        self._process.kill()  # it stores nothing, and a normal stop waits for connected clients
        self._process.wait(10)
        shutil.rmtree(self.directory)

    @property
    def log(self) -> str:
        """Return what PgBouncer has logged so far."""
        path = self.directory / "log"
        return path.read_text() if path.exists() else ""

    def url(self, database: str) -> str:
        """Return the URL of the database through PgBouncer."""
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{HOST}:{self.port}/{database}"

    def session(self, database: str) -> psycopg2.extensions.connection:
        """Return another client in autocommit mode. The caller closes it."""
        connection = psycopg2.connect(self.url(database), connect_timeout=10)
        connection.autocommit = True
        return connection

    def _listens(self) -> bool:
        assert self._process.poll() is None, f"PgBouncer has ended\n{self.log}"
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    @cached_property
    def version(self) -> str:
        """Return PgBouncer's version."""
        program = pgbouncer_program()
        assert program is not None
        output = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        [version] = re.findall(r"PgBouncer (\S+)", output)
        return str(version)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
