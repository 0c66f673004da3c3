"""What the wheel's PostgreSQL cannot be: a server that speaks TLS, and PgBouncer in front of one.

They come from Debian's packages, `apt-get install pgbouncer postgresql`. Where these are missing, the tests that are
marked `debian` are left out, and the run says so at its end; with `--require-debian`, as CI has it, they are run, and
fail. This module is a plugin of pytest's (see conftest.py).
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
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psycopg2
import pytest

from tests.support.postgres import GUARD, HOST, PASSWORD, USER, PostgresServer
from tests.support.waiting import eventually

PACKAGES = "pgbouncer postgresql"
DAYS = "30"
PoolMode = Literal["transaction", "session", "statement"]


def postgres_home() -> Path | None:
    """The newest of Debian's servers: the directory that holds its bin/."""
    found = [path.parents[1] for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda path: int(path.name), default=None)


def pgbouncer_program() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")  # on no user's PATH


def missing() -> bool:
    return postgres_home() is None or pgbouncer_program() is None or shutil.which("openssl") is None


# -- the plugin


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-debian", action="store_true", help=f"fail where {PACKAGES} are not installed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"debian: needs Debian's packages {PACKAGES}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if missing() and not config.getoption("--require-debian"):
        left_out = [item for item in items if item.get_closest_marker("debian")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if missing() and not config.getoption("--require-debian"):
        terminalreporter.write_line(
            "LEFT OUT: the tests of TLS and of PgBouncer, which need Debian's packages: "
            f"apt-get install {PACKAGES}. CI requires them (--require-debian).",
            yellow=True,
        )


@pytest.fixture(scope="session")
def debian() -> Iterator[DebianServer]:
    """Debian's PostgreSQL, which speaks TLS; it lives as long as the test process."""
    server = DebianServer()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def debian_url(debian: DebianServer) -> Iterator[str]:
    """The URL of a fresh, empty database of Debian's server."""
    url = debian.create_database()
    yield url
    debian.drop_database(url.rpartition("/")[2])


# -- the parts


class DebianServer(PostgresServer):
    """Debian's server, on TCP (IPv6 too, where this machine has it) and a socket, with TLS for whoever asks for it."""

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
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


class Authority:
    """A certificate authority of the tests' own, and what it issues, in a directory that everybody can read."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.certificate = directory / "root.crt"
        self._key = directory / "root.key"
        _openssl("req", "-x509", *NEW_KEY, "-keyout", self._key, "-out", self.certificate, "-subj", "/CN=tests")

    def issue(self, name: str, alternatives: str | None = None) -> tuple[Path, Path]:
        """The key (for its owner alone) and the certificate of a server, or of a role called `name`."""
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
    """PgBouncer in front of a server, on a port of its own; use it in `with`.

    `ignored` are startup parameters that it drops; of any other that it does not know it complains.
    """

    def __init__(self, server: PostgresServer, mode: PoolMode, *, size: int = 1, ignored: str = "") -> None:
        program = pgbouncer_program()
        if program is None:
            raise RuntimeError(f"Debian's packages are missing: apt-get install {PACKAGES}")
        self.server = server
        self.port = _free_port()
        # It refuses to run as root, as PostgreSQL does.
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
        # Outlives a killed test run just long enough to take it along.
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
        self._process.kill()  # it keeps nothing, and asked to leave it takes its time where clients are connected
        self._process.wait(10)
        shutil.rmtree(self.directory)

    @property
    def log(self) -> str:
        path = self.directory / "log"
        return path.read_text() if path.exists() else ""

    def url(self, database: str) -> str:
        """The database through it."""
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{HOST}:{self.port}/{database}"

    def session(self, database: str) -> psycopg2.extensions.connection:
        """Another client of it, in autocommit; the caller closes it."""
        connection = psycopg2.connect(self.url(database), connect_timeout=10)
        connection.autocommit = True
        return connection

    def _listens(self) -> bool:
        assert self._process.poll() is None, f"PgBouncer has ended\n{self.log}"
        with socket.socket() as probe:
            return probe.connect_ex((HOST, self.port)) == 0

    @cached_property
    def version(self) -> str:
        program = pgbouncer_program()
        assert program is not None
        said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        [version] = re.findall(r"PgBouncer (\S+)", said)
        return str(version)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
