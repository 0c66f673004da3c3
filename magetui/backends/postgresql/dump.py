"""Backup of a PostgreSQL database into one file with pg_dump, and the commands that restore the file.

pg_dump must be of the server's version or newer, because only such a pg_dump knows every kind of object. The password
is neither in its arguments, which everybody on the machine can read, nor in its environment, which monitoring agents
and core dumps keep. The password is in a file without a name: pg_dump inherits the open file, and the kernel deletes
it when both processes end, however they end. Facts are from the manual's pages of pg_dump and createdb, and chapter 34
(libpq).
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

from sqlalchemy.engine import URL, Connection

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
# libpq's keywords for secrets and for files of secrets.
SECRETS = ("password", "sslpassword", "passfile")
OURS_ALONE = ("application_name", "connect_timeout")

# pg_database.datlocprovider as createdb spells it, and the option for its locale; libc is the default.
PROVIDERS = {"i": ("icu", "icu-locale"), "b": ("builtin", "builtin-locale")}

# Some columns exist only in some versions from 12 to 18. In JSON, a missing column is null.
ORIGIN_SQL = """
select current_setting('server_version'), current_setting('server_version_num')::int / 10000,
       pg_database_size(d.oid), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       to_jsonb(d) ->> 'datlocprovider', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'),
       current_user, (select rolcreatedb or rolsuper from pg_roles where rolname = current_user)
from pg_database d where d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Facts about the database to dump; `bytes` includes indexes, so a dump is smaller."""

    version: str
    major: int
    bytes: int
    encoding: str
    collate: str
    ctype: str
    provider: str | None
    locale: str | None
    role: str
    may_create: bool  # whether the role may create databases

    @classmethod
    def read(cls, connection: Connection) -> Origin:
        [row] = fetch(connection, ORIGIN_SQL, {})
        return cls(*row)


@dataclass(frozen=True, slots=True)
class PgDump:
    """A pg_dump that can dump a server; `named` is true if the operator named the program."""

    path: Path
    named: bool

    @classmethod
    def locate(cls, named: str | None, server: Origin) -> PgDump:
        """Return the named pg_dump, else the pg_dump on PATH. Raises `BackupFailedError` if it does not fit."""
        path = shutil.which(named or "pg_dump")
        packages = f"PostgreSQL's client programs of version {server.major} or newer"
        install = f"Install {packages} (Debian, Ubuntu: postgresql-client-{server.major}; Alpine, Homebrew: "
        install += f"postgresql{server.major}-client, postgresql@{server.major}), or name one with --pg-dump PATH."
        if path is None and named:
            raise BackupFailedError("tool", f"There is no program {named}. Give the path of a pg_dump with --pg-dump.")
        if path is None:
            raise BackupFailedError("tool", f"pg_dump is not on PATH, and a backup of PostgreSQL needs it. {install}")
        try:
            done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=END_SECONDS, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise BackupFailedError("tool", f"{path} cannot be run: {error}. {install}") from error
        version = VERSION.search(done.stdout)
        if version is None or "pg_dump" not in done.stdout:
            answer = done.stdout.strip()[:80]
            raise BackupFailedError("tool", f"{path} is no pg_dump: with --version it prints {answer!r}. {install}")
        if int(version[1]) < server.major:
            raise BackupFailedError(
                "tool",
                f"The server is PostgreSQL {server.version}, and {path} is version {version[0]}. pg_dump refuses a "
                f"server that is newer than itself. {install}",
            )
        return cls(Path(path), named is not None)

    def sibling(self, program: str) -> str:
        """Return what to type for another of PostgreSQL's programs: its path beside a named pg_dump, or its name."""
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

    def write(self, file: Path, report: Callable[[BackupProgress], None]) -> None:
        parameters = _parameters(self.url)
        if parameters.get("sslpassword"):
            raise BackupFailedError(
                "failed",
                "The URL has sslpassword, which pg_dump accepts only as an argument, where everybody on this machine "
                "could read it. Remove the password from the key file, or run pg_dump yourself.",
            )
        password = parameters.pop("password", None)
        ours = {"application_name": self.options.application_name, "connect_timeout": CONNECT_TIMEOUT_SECONDS}
        lock_ms = self.options.lock_ms
        arguments = [
            str(self.program.path),
            "--format=custom",
            "--verbose",  # names each table when its dump starts
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
                    start_new_session=True,  # ctrl+c interrupts us alone
                )
            except OSError as error:
                raise BackupFailedError("tool", f"{self.program.path} cannot be run: {error}.") from error
            try:
                complaints = self._follow(process, out, report)
            finally:
                _end(process)
            if process.returncode:
                raise self._failure(process.returncode, complaints)
            os.fsync(out.fileno())

    def _follow(
        self, process: subprocess.Popen[bytes], out: IO[bytes], report: Callable[[BackupProgress], None]
    ) -> Complaints:
        """Read pg_dump's messages until it closes stderr, and report the size of the file in the meantime."""
        assert process.stderr is not None
        complaints, table, rest = Complaints(), None, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stderr, selectors.EVENT_READ)
            while True:
                if selector.select(PULSE_SECONDS):
                    data = os.read(process.stderr.fileno(), 65_536)
                    if not data:
                        return complaints
                    *lines, rest = (rest + data).split(b"\n")
                    for line in (raw.decode(errors="replace") for raw in lines):
                        if started := AT_TABLE.search(line):
                            table = started[1]
                        complaints.add(line)
                report(BackupProgress(os.fstat(out.fileno()).st_size, self.origin.bytes, table))

    def _failure(self, status: int, complaints: Complaints) -> BackupFailedError:
        # The time tells a lock timeout, because the server's own words may be in any language.
        lock_ms = self.options.lock_ms
        if lock_ms and complaints.waited_ms >= lock_ms / 2 and LOCKING.search(complaints.text):
            return BackupFailedError("lock-timeout", "A table is locked, and pg_dump has to wait for it.")
        killed = f"it was killed by signal {-status}"
        no_reason = killed if status < 0 else f"it gave no reason, and its exit status is {status}"
        reason = " ".join(complaints.text.split()) or no_reason
        return BackupFailedError("failed", f"pg_dump failed: {reason.removeprefix('pg_dump: error: ')}")

    @property
    def restore_problem(self) -> str | None:
        if self.origin.may_create:
            return None
        return (
            f"The role {self.origin.role} may not create databases. Run createdb as a role that may (add -U NAME), or "
            "leave it out, and restore into an empty database that exists."
        )

    def restore_command(self, file: Path) -> str:
        """Return a command that restores into a new database on the same server; both programs ask for a password."""
        shown = {key: value for key, value in _parameters(self.url).items() if key not in (*SECRETS, *OURS_ALONE)}
        database = f"{shown.get('dbname') or 'database'}_restored"
        origin = self.origin
        options = {
            "maintenance-db": _conninfo(shown),
            "template": "template0",  # the only template that allows any encoding and locale
            "encoding": origin.encoding,
            "lc-collate": origin.collate,
            "lc-ctype": origin.ctype,
        }
        if origin.provider in PROVIDERS and origin.locale:
            provider, option = PROVIDERS[origin.provider]
            options |= {"locale-provider": provider, option: origin.locale}
        create = " ".join(f"--{name}={shlex.quote(value)}" for name, value in options.items())
        into = shlex.quote(_conninfo({**shown, "dbname": database}))
        name = f"{'-- ' if database.startswith('-') else ''}{shlex.quote(database)}"  # no option
        return (
            f"{self.program.sibling('createdb')} {create} {name} && "
            f"{self.program.sibling('pg_restore')} --exit-on-error --dbname={into} {shlex.quote(str(file))}"
        )


class Complaints:
    """pg_dump's messages from its first error on, and how long it was silent before that error."""

    def __init__(self) -> None:
        self.text = ""
        self.waited_ms = 0.0
        self._last_line = time.monotonic()

    def add(self, line: str) -> None:
        if not self.text and COMPLAINS.match(line):
            self.waited_ms = (time.monotonic() - self._last_line) * 1000
            self.text = line
        elif self.text and len(self.text) < COMPLAINT_CHARACTERS:
            self.text += f"\n{line}"
        self._last_line = time.monotonic()


def _parameters(url: URL) -> dict[str, Any]:
    """Return the URL as libpq's keywords, including secrets, as SQLAlchemy would pass them to the driver."""
    url = url.set(drivername="postgresql+psycopg2")
    _, parameters = url.get_dialect()().create_connect_args(url)
    return dict(parameters)


def _conninfo(parameters: Mapping[str, Any]) -> str:
    from psycopg2.extensions import make_dsn

    return str(make_dsn(**parameters))


@contextmanager
def _password_file(password: str | None) -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """Yield the environment for pg_dump, and the file descriptors that it must inherit.

    Its messages are in English, so that they can be recognised. Without a password in the URL, libpq finds the password
    itself, as for our own connections. With a password in the URL, PGPASSWORD must not override it.
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


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a pg_dump. At SIGTERM it cancels its query on the server too; if it does not react, it is killed."""
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
