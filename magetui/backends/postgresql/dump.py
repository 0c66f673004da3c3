"""A PostgreSQL database into one file, by pg_dump, and the commands that make a database of that file again.

pg_dump is PostgreSQL's own, and of the server's version or newer: nothing else writes down all that a database may
hold. The password reaches it by neither its arguments, which everybody on the machine can read, nor its environment,
which monitoring agents and core dumps keep. It stands in a password file that has no name: pg_dump inherits the open
file, and the kernel takes it away with the two processes, however they end. Facts are from the manual's pages of
pg_dump and createdb, and chapter 34 (libpq).
"""

from __future__ import annotations

import os
import re
import selectors
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from magetui.backends.backup import BackupFailedError, BackupOptions, BackupProgress
from magetui.backends.base import CONNECT_TIMEOUT_SECONDS
from magetui.backends.postgresql.query import fetch

PULSE_SECONDS = 0.2
END_SECONDS = 10
COMPLAINT_CHARACTERS = 2_000
VERSION = re.compile(r"(\d+)(?:\.\d+|devel|beta\d+|rc\d+)")
AT_TABLE = re.compile(r'dumping contents of table "(.*)"$')
LOCKING = re.compile(r"\bLOCK TABLE\b.* IN ACCESS SHARE MODE")
COMPLAINS = re.compile(r"^pg_dump: (?:error|fatal|\[)")
# libpq's keywords that are secrets, or the name of a file of secrets.
SECRETS = ("password", "sslpassword", "passfile")
OURS_ALONE = ("application_name", "connect_timeout")

# pg_database.datlocprovider as createdb spells it, and the option for its locale; libc is the default.
PROVIDERS = {"i": ("icu", "icu-locale"), "b": ("builtin", "builtin-locale")}

# Columns came and went between versions 12 and 18: as JSON, a missing one is null.
ORIGIN_SQL = """
select current_setting('server_version'), current_setting('server_version_num')::int / 10000,
       pg_database_size(d.oid), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       to_jsonb(d) ->> 'datlocprovider', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')
from pg_database d where d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of a database before it is dumped; `bytes` is with indexes, so more than a dump takes."""

    version: str
    major: int
    bytes: int
    encoding: str
    collate: str
    ctype: str
    provider: str | None
    locale: str | None

    @classmethod
    def read(cls, connection: Connection) -> Origin:
        [row] = fetch(connection, ORIGIN_SQL, {})
        return cls(*row)


@dataclass(frozen=True, slots=True)
class PgDump:
    """A pg_dump that can dump a server; `named` where the operator said which one."""

    path: Path
    named: bool

    @classmethod
    def found(cls, named: str | None, server: Origin) -> PgDump:
        """The one that was named, else the one on PATH. Raises `BackupFailedError` where there is none that fits."""
        found = shutil.which(named or "pg_dump")
        packages = f"PostgreSQL's client programs of version {server.major} or newer"
        install = f"Install {packages} (Debian, Ubuntu: postgresql-client-{server.major}; Alpine, Homebrew: "
        install += f"postgresql{server.major}-client, postgresql@{server.major}), or name one with --pg-dump PATH."
        if found is None and named:
            raise BackupFailedError("tool", f"There is no program {named}. Say --pg-dump with the path of a pg_dump.")
        if found is None:
            raise BackupFailedError("tool", f"pg_dump is not on PATH, and PostgreSQL is backed up with it. {install}")
        try:
            said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=END_SECONDS, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise BackupFailedError("tool", f"{found} cannot be run: {error}. {install}") from error
        version = VERSION.search(said.stdout)
        if version is None or "pg_dump" not in said.stdout:
            raise BackupFailedError("tool", f"{found} is no pg_dump: it says {said.stdout.strip()[:80]!r}. {install}")
        if int(version[1]) < server.major:
            raise BackupFailedError(
                "tool",
                f"The server is PostgreSQL {server.version}, and {found} is version {version[0]}: pg_dump refuses a "
                f"server that is newer than itself. {install}",
            )
        return cls(Path(found), named is not None)

    def sibling(self, program: str) -> str:
        """Another of PostgreSQL's programs, as it is to be typed."""
        beside = self.path.absolute().with_name(program)
        return shlex.quote(str(beside)) if self.named and beside.exists() else program


@dataclass(frozen=True, slots=True)
class Dump:
    """See `BackupJob`."""

    url: URL = field(repr=False)
    origin: Origin
    program: PgDump
    options: BackupOptions

    @property
    def most(self) -> int:
        return self.origin.bytes

    def write(self, file: Path, told: Callable[[BackupProgress], None]) -> None:
        parameters = _parameters(self.url)
        if parameters.get("sslpassword"):
            raise BackupFailedError(
                "failed",
                "The URL holds sslpassword, which pg_dump takes among its arguments alone, where everybody on this "
                "machine could read it. Take the password off the key file, or run pg_dump yourself.",
            )
        password = parameters.pop("password", None)
        ours = {"application_name": self.options.application_name, "connect_timeout": CONNECT_TIMEOUT_SECONDS}
        lock_ms = self.options.lock_ms
        arguments = [
            str(self.program.path),
            "--format=custom",
            "--verbose",  # says which table it is at
            "--no-password",
            *([f"--lock-wait-timeout={lock_ms}"] if lock_ms else []),
            f"--dbname={_conninfo({**ours, **parameters})}",
        ]
        with file.open("wb") as out, _password_file(password) as (environment, inherited):
            try:
                process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.PIPE,
                    env=environment,
                    pass_fds=inherited,
                    start_new_session=True,  # ctrl+c is ours to hear
                )
            except OSError as error:
                raise BackupFailedError("tool", f"{self.program.path} cannot be run: {error}.") from error
            try:
                complaints = self._followed(process, out, told)
            finally:
                _ended(process)
            if process.returncode:
                raise self._failure(process.returncode, complaints)
            os.fsync(out.fileno())

    def _followed(
        self, process: subprocess.Popen[bytes], out: IO[bytes], told: Callable[[BackupProgress], None]
    ) -> Complaints:
        """Read what pg_dump says until it closes its stderr, and tell how large the file is meanwhile."""
        assert process.stderr is not None
        complaints, table, rest = Complaints(), None, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stderr, selectors.EVENT_READ)
            while True:
                if selector.select(PULSE_SECONDS):
                    said = os.read(process.stderr.fileno(), 65_536)
                    if not said:
                        return complaints
                    *lines, rest = (rest + said).split(b"\n")
                    for line in (raw.decode(errors="replace") for raw in lines):
                        if begun := AT_TABLE.search(line):
                            table = begun[1]
                        complaints.hear(line)
                told(BackupProgress(os.fstat(out.fileno()).st_size, self.origin.bytes, table))

    def _failure(self, status: int, complaints: Complaints) -> BackupFailedError:
        # By the time, since the server's own words may be in any language.
        lock_ms = self.options.lock_ms
        if lock_ms and complaints.waited_ms >= lock_ms / 2 and LOCKING.search(complaints.text):
            return BackupFailedError("lock-timeout", "A table is locked, and pg_dump has to wait for it.")
        said = " ".join(complaints.text.split()) or _unsaid(status)
        return BackupFailedError("failed", f"pg_dump failed: {said.removeprefix('pg_dump: error: ')}")

    def restore_command(self, file: Path) -> str:
        """A new database on the same server; both programs ask for the password."""
        shown = {k: v for k, v in _parameters(self.url).items() if k not in (*SECRETS, *OURS_ALONE)}
        there = f"{shown.get('dbname') or 'database'}_restored"
        origin = self.origin
        options = {
            "maintenance-db": _conninfo(shown),
            "template": "template0",  # which alone takes any encoding and locale
            "encoding": origin.encoding,
            "lc-collate": origin.collate,
            "lc-ctype": origin.ctype,
        }
        if origin.provider in PROVIDERS and origin.locale:
            provider, option = PROVIDERS[origin.provider]
            options |= {"locale-provider": provider, option: origin.locale}
        create = " ".join(f"--{name}={shlex.quote(value)}" for name, value in options.items())
        into = shlex.quote(_conninfo({**shown, "dbname": there}))
        return (
            f"{self.program.sibling('createdb')} {create} {shlex.quote(there)} && "
            f"{self.program.sibling('pg_restore')} --exit-on-error --dbname={into} {shlex.quote(str(file))}"
        )


class Complaints:
    """What pg_dump said from its first error on, and how long it had been silent before that."""

    def __init__(self) -> None:
        self.text = ""
        self.waited_ms = 0.0
        self._last_word = time.monotonic()

    def hear(self, line: str) -> None:
        if not self.text and COMPLAINS.match(line):
            self.waited_ms = (time.monotonic() - self._last_word) * 1000
            self.text = line
        elif self.text and len(self.text) < COMPLAINT_CHARACTERS:
            self.text += f"\n{line}"
        self._last_word = time.monotonic()


def _unsaid(status: int) -> str:
    return (
        f"it was killed by signal {-status}" if status < 0 else f"it said no reason, and its exit status was {status}"
    )


def _parameters(url: URL) -> dict[str, Any]:
    """The URL as libpq's keywords, secrets among them, as SQLAlchemy would hand them to the driver."""
    url = url.set(drivername="postgresql+psycopg2")
    _, parameters = url.get_dialect()().create_connect_args(url)
    return dict(parameters)


def _conninfo(parameters: Mapping[str, Any]) -> str:
    from psycopg2.extensions import make_dsn

    return str(make_dsn(**parameters))


@contextmanager
def _password_file(password: str | None) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """The environment for pg_dump, and what it has to inherit for that.

    Its messages are English, so that they can be told apart. Without a password in the URL, whatever libpq finds by
    itself holds, as for our own connections; with one, PGPASSWORD must not win over it.
    """
    environment = {**os.environ, "LC_ALL": "C"}
    if password is None:
        yield environment, ()
        return
    environment.pop("PGPASSWORD", None)
    with tempfile.TemporaryFile() as file:
        escaped = re.sub(r"([\\:])", r"\\\1", password)
        file.write(f"*:*:*:*:{escaped}\n".encode())
        file.flush()
        yield {**environment, "PGPASSFILE": f"/dev/fd/{file.fileno()}"}, (file.fileno(),)


def _ended(process: subprocess.Popen[bytes]) -> None:
    """See a pg_dump to its end: at SIGTERM it cancels its query on the server, too. A deaf one is killed."""
    try:
        if process.stderr is not None:
            process.stderr.close()
        if process.poll() is None:
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
