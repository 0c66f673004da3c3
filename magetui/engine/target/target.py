"""The target: the URL of the database and where it came from.

Credentials stay in `Target.url` only. URLs are parsed here, not by SQLAlchemy alone, because Mage's users write
passwords that are not percent-encoded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import quote

from magetui.engine.errors import ConnectError
from magetui.protocol import odbc
from magetui.protocol.redaction import redact, redact_url, secrets_of

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

# user:password@rest. The password may hold any character and ends at the last @, as in Mage.
AUTHORITY = re.compile(r"^(?P<scheme>[A-Za-z][\w+.-]*)://(?P<user>[^:/?#]*):(?P<password>.+)@(?P<rest>[^@]*)$")
# ?user=mage@server, as Azure names its users. SQLAlchemy would split the URL at that @.
AT_IN_QUERY = re.compile(r"^[^@?]*(?:@[^@?]*)?\?[\w.]+=[^/]*@[^/]*$")
PLAUSIBLE_REST = re.compile(r"^(?:\[[0-9A-Fa-f:.]+\]|[\w.,:-]*)(?::\d+)?(?:/.*)?(?:\?.*)?$")
PORTS = {"postgresql": 5432, "mssql": 1433, "mysql": 3306}
NEAR = ("127.0.0.1", "::1", ".", "(local)")  # this machine; the last two are SQL Server's words
LIBPQ_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
VARIABLES = re.compile(r"""\{\{\s*env_var\(\s*['"](\w+)['"]\s*\)\s*\}\}""")


@dataclass(frozen=True, slots=True)
class Target:
    """A database: its URL (a secret), and the source of the URL."""

    url: URL = field(repr=False)
    source: str
    credentials: tuple[str, ...] = field(default=(), repr=False)  # further secrets in the environment

    @property
    def redacted(self) -> str:
        """Return the URL as it is shown."""
        return redact_url(self.url.render_as_string())

    @property
    def text(self) -> str:
        """Return the URL with its credentials, which is for the child's request only."""
        return self.url.render_as_string(hide_password=False)

    @property
    def dialect(self) -> str:
        return self.url.get_backend_name()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the texts that must not occur in anything that is shown or stored."""
        return (*secrets_of(self.text), *self.credentials)

    @property
    def user(self) -> str | None:
        string = odbc_string(self.url)
        return self.url.username if string is None else string.user

    @property
    def has_password(self) -> bool:
        string = odbc_string(self.url)
        if string is not None:
            return string.password is not None
        return self.url.password is not None or "password" in self.url.query

    def with_password(self, password: str) -> Target:
        """Return the target with the password. SQLite targets have no password and stay unchanged."""
        if self.dialect == "sqlite":
            return self
        if (string := odbc_string(self.url)) is not None:
            query = {odbc.PARAMETER: string.with_password(password)}
            return replace(self, url=self.url.update_query_dict(query))
        if self.url.username is None and self.dialect == "postgresql":  # a URL without a user cannot hold a password
            return replace(self, url=self.url.update_query_dict({"password": password}))
        return replace(self, url=self.url.set(password=password))

    def clean(self, text: str) -> str:
        """Return `text` without this target's credentials."""
        return redact(text, self.secrets)


def parse_target(text: str, source: str, folder: Path | None = None) -> Target:
    """Parse a URL as a person wrote it, possibly with a password that is not percent-encoded.

    A relative path of a SQLite file or a certificate is resolved against `folder` (default: the current one), since the
    run's process works in the project's folder. Raises `ConnectError` (`bad-url`), which holds no credentials.
    """
    url = _parse_url(text.strip())
    if url is None:
        raise ConnectError("bad-url", f"The URL from {source} cannot be understood: {redact_url(text)!r}.")
    dialect = url.get_backend_name()
    if dialect == "postgres":
        raise ConnectError("bad-url", f"The URL from {source} starts with postgres://; SQLAlchemy wants postgresql://.")
    base, file = (folder or Path.cwd()).resolve(), database_file(url)
    is_uri = (url.database or "").startswith("file:")
    if file is not None and (not is_uri or "uri" in url.query):
        path = str(base / file)
        # In a URI's path only the characters with a special meaning are encoded (sqlite.org/uri.html).
        url = url.set(database="file:" + re.sub("[%?#]", lambda match: quote(match[0]), path) if is_uri else path)
    if dialect == "postgresql":
        named = {key: url.query.get(key) for key in LIBPQ_FILES}
        files = {key: base / name for key, name in named.items() if isinstance(name, str) and name}
        url = url.update_query_dict({key: str(path) for key, path in files.items() if path.is_file()})
    return Target(url, source)


def _parse_url(text: str) -> URL | None:
    """Return the URL. A password with plain `@ : / % #` ends at the last `@` and is used literally."""
    if AT_IN_QUERY.match(text):
        address, _, query = text.partition("?")
        text = f"{address}?{query.replace('@', '%40')}"
    match = AUTHORITY.match(text)
    if match and PLAUSIBLE_REST.match(match["rest"]) and not _is_encoded(match["password"]):
        rest = _make_url(f"{match['scheme']}://{match['user']}@{match['rest']}")
        return rest.set(password=match["password"]) if rest is not None else None
    return _make_url(text)


def _make_url(text: str) -> URL | None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        url = make_url(text)
        if url.get_backend_name() == "mssql":
            _require_driver(url)
        url.get_dialect()
    except NoSuchModuleError as error:
        name = text.partition("://")[0]
        if name.startswith("postgres:") or name == "postgres":
            return make_url(text)
        if name.startswith("mssql"):
            _refuse_driver(name)
        raise ConnectError("bad-url", f"There is no database kind or driver '{name}'.") from error
    except ModuleNotFoundError as error:
        raise ConnectError("driver-missing", f"The URL's driver is not installed: {error.name}.") from error
    except (ArgumentError, ValueError):
        return None
    return url


def _require_driver(url: URL) -> None:
    """Refuse a URL of SQL Server whose driver this program does not know, installed or not."""
    from magetui.backends.mssql.failures import DRIVERS

    _, _, driver = url.drivername.partition("+")
    if driver and driver not in DRIVERS:
        _refuse_driver(url.drivername)


def _refuse_driver(name: str) -> NoReturn:
    from magetui.backends.mssql.failures import dialect_missing

    advice = "Write one of these in the URL, and install its driver into the environment magetui runs in."
    raise ConnectError("driver-missing", f"{dialect_missing(name)}.", advice) from None


def _is_encoded(password: str) -> bool:
    """Return True if the password can be percent-encoded: no reserved characters, and every % starts a code."""
    return not re.search(r"[@:/#?\[\]\s]", password) and not re.search(r"%(?![0-9A-Fa-f]{2})", password)


def mage_target(environment: Mapping[str, str], project_path: Path) -> Target:
    """Return the database that Mage 0.9.80 would use (its orchestration/db/__init__.py), or raise `ConnectError`."""
    if url := environment.get("MAGE_DATABASE_CONNECTION_URL"):
        return parse_target(url, "MAGE_DATABASE_CONNECTION_URL", project_path)
    if secret := environment.get("AWS_DB_SECRETS_NAME"):
        from magetui.engine.target.secrets import aws_database

        return Target(aws_database(secret, environment), "AWS Secrets Manager, AWS_DB_SECRETS_NAME")
    if secret := environment.get("AZURE_SECRET_DB_CONN_URL"):
        return _azure_target(secret, environment, project_path)
    user, password, name = (environment.get(variable) for variable in ("DB_USER", "DB_PASS", "DB_NAME"))
    host, port = environment.get("DB_HOST", "127.0.0.1"), environment.get("DB_PORT", "5432")
    if user and password and name and host and port:
        text = f"postgresql://{user}:{password}@{host}:{port}/{name}"
        return parse_target(text, "DB_USER, DB_PASS, DB_NAME")
    path, source = _mage_sqlite(environment, project_path)
    from sqlalchemy.engine import URL

    return Target(URL.create("sqlite", database=str(path)), source)


def _azure_target(secret: str, environment: Mapping[str, str], project_path: Path) -> Target:
    """Return the database of a URL in a Key Vault. An invalid URL is not quoted: it may be another secret."""
    from magetui.engine.target.secrets import azure_text

    text = azure_text(secret, environment)
    try:
        return parse_target(text, "Azure Key Vault, AZURE_SECRET_DB_CONN_URL", project_path)
    except ConnectError as error:
        if error.cause != "bad-url":
            raise
        raise ConnectError(
            "secret",
            f"The secret '{secret}' in Azure Key Vault does not hold a valid URL of a database.",
            "Mage wants a URL such as postgresql://user:password@host:5432/database.",
        ) from None


def _mage_sqlite(environment: Mapping[str, str], project_path: Path) -> tuple[Path, str]:
    """Return Mage's default database, mage-ai.db in its variables directory, and the source of that directory."""
    project = project_path.resolve()
    directory, source = environment.get("MAGE_DATA_DIR"), "MAGE_DATA_DIR"
    if not directory:
        directory = _variables_dir(project / "metadata.yaml", environment)
        source = "variables_dir of metadata.yaml"
    if not directory:
        directory, source = "~/.mage_data", "Mage's default, ~/.mage_data"
    expanded = Path(directory).expanduser()
    appended = expanded.is_absolute() and expanded != project
    return (expanded / project.name if appended else project / expanded) / "mage-ai.db", source


def _variables_dir(metadata: Path, environment: Mapping[str, str]) -> str | None:
    """Return `variables_dir` of Mage's metadata.yaml, a top-level key whose value may name environment variables."""
    for line in metadata.read_text(errors="replace").splitlines() if metadata.is_file() else ():
        if match := re.match(r"variables_dir:\s*(.*?)\s*(?:\s#.*)?$", line):
            value = match[1].strip("'\"")
            return VARIABLES.sub(lambda m: environment.get(m[1], ""), value) or None
    return None


def odbc_string(url: URL) -> odbc.ConnectionString | None:
    """Return the ODBC connection string of a URL, or None if it has none that can be read."""
    text = url.query.get(odbc.PARAMETER) if url.get_backend_name() == "mssql" else None
    return odbc.parsed(text) if isinstance(text, str) else None


def loads_library(url: URL) -> bool:
    """Return whether the URL names an ODBC driver by a path, so that connecting loads the code of that file."""
    string = odbc_string(url)
    driver = url.query.get("driver") if string is None else string.value(("driver",))
    return isinstance(driver, str) and "/" in driver


def address(url: URL) -> tuple[object, ...]:
    """Return what identifies a database: kind, host, port and name, without the driver and the user.

    libpq also takes host and port from the query. For SQL Server, `odbc_connect` counts alone, a named instance stands
    for the port, and the names of databases are compared without case, as by the server's usual collation.
    """
    kind = url.get_backend_name()
    string = odbc_string(url)
    given_port: int | str | None
    if string is not None:
        host, given_port, database = string.host, string.port, string.database
    else:
        host, database = _text(url.host or url.query.get("host")), url.database
        given_port = _port(url.port or url.query.get("port"))
    host = host or ("localhost" if kind != "sqlite" else None)
    if kind == "mssql":
        database = database.lower() if database is not None else None
    port = given_port or (None if host is not None and "\\" in host else PORTS.get(kind))
    return (kind, "localhost" if host in NEAR else host and host.lower(), port, database)


def _text(value: str | tuple[str, ...] | None) -> str | None:
    return value if isinstance(value, str) else None if value is None else ",".join(value)


def _port(value: int | str | tuple[str, ...] | None) -> int | str | None:
    """Return the port as a number; several ports, as libpq takes them, stay a text."""
    if value is None or isinstance(value, int):
        return value
    text = _text(value) or ""
    return int(text) if text.isascii() and text.isdigit() else text


def database_file(url: URL) -> Path | None:
    """Return the file of a SQLite database, or None for other databases and databases in memory."""
    if url.get_backend_name() != "sqlite":
        return None
    from magetui.backends.sqlite.files import database_path

    return database_path(url)
