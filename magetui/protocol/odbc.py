"""ODBC connection strings, and the URLs of SQL Server that contain one: `mssql+pyodbc://?odbc_connect=…`.

Such a URL says nothing about its database outside of the string. So this module is the one place that reads the string:
for the identity of a target, for what is shown of it, and for its password. The grammar is that of [MS-ODBCSTR]; the
keywords are those of Microsoft's driver ("DSN and Connection String Keywords and Attributes") and of FreeTDS.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus

PARAMETER = "odbc_connect"
# `key=value;`, and a value in braces may contain any character, a closing brace written twice.
PAIR = re.compile(
    r"\s*(?P<key>[^=;{}]+?)\s*=\s*(?:\{(?P<braced>(?:[^}]|\}\})*)\}\s*|(?P<plain>(?!\{)[^;]*?)\s*)(?:;|$)", re.DOTALL
)
NOTHING = re.compile(r"[\s;]*")
IN_URL = re.compile(r"^(?P<scheme>mssql(?:\+\w+)?)://[^?]*\?(?:[^&]*&)*?odbc_connect=(?P<string>[^&]*)", re.IGNORECASE)
SERVER = ("server", "addr", "address", "network address", "data source", "servername")
DATABASE = ("database", "initial catalog")
USER = ("uid", "user id", "user", "username")
PASSWORD = ("pwd", "password")
PROTOCOL = re.compile(r"^tcp:", re.IGNORECASE)
HIDDEN = "***"


@dataclass(frozen=True, slots=True)
class Pair:
    """A keyword in lower case, its value without braces, and both as written."""

    key: str
    value: str
    written: str


@dataclass(frozen=True, slots=True)
class ConnectionString:
    """A connection string. The first of two equal keywords counts."""

    pairs: tuple[Pair, ...]

    def value(self, keywords: tuple[str, ...]) -> str | None:
        """Return the value of the first keyword that is one of these synonyms."""
        return next((pair.value for pair in self.pairs if pair.key in keywords), None)

    @property
    def host(self) -> str | None:
        """Return the host, with its named instance ('db1\\sales'); or the name of a DSN; None without a server."""
        server = self.value(SERVER)
        if server is None:
            return self.value(("dsn",))
        host = PROTOCOL.sub("", server.strip()).partition(",")[0].strip()
        return host.partition("\\")[0] if self.port is not None else host  # a port wins over an instance

    @property
    def port(self) -> int | None:
        after = (self.value(SERVER) or "").partition(",")[2].strip() or (self.value(("port",)) or "").strip()
        return int(after) if after.isascii() and after.isdigit() else None

    @property
    def database(self) -> str | None:
        return self.value(DATABASE) or None

    @property
    def user(self) -> str | None:
        return self.value(USER) or None

    @property
    def password(self) -> str | None:
        return self.value(PASSWORD)

    def with_password(self, password: str | None) -> str:
        """Return the string with this password, or without any password (None)."""
        written = [pair.written for pair in self.pairs if pair.key not in PASSWORD]
        if password is not None:
            written.append(f"PWD={braced(password)}")
        return ";".join(written) + ";"

    def shown(self, scheme: str) -> str | None:
        """Return a short URL without the password: 'mssql+pyodbc://mage:***@db1:1433/orders'. None without a server."""
        if not self.host:
            return None
        credentials = (self.user or "") + ("" if self.password is None else f":{HIDDEN}")
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{scheme}://{credentials}{'@' if credentials else ''}{host}{port}/{self.database or ''}".rstrip("/")


def parsed(text: str) -> ConnectionString | None:
    """Return the connection string, or None if `text` does not follow the grammar."""
    pairs = []
    position = NOTHING.match(text).end()  # type: ignore[union-attr]
    while position < len(text):
        match = PAIR.match(text, position)
        if match is None:
            return None
        value = match["plain"] if match["braced"] is None else match["braced"].replace("}}", "}")
        pairs.append(Pair(match["key"].lower(), value, match[0].strip().rstrip(";")))
        position = NOTHING.match(text, match.end()).end()  # type: ignore[union-attr]
    return ConnectionString(tuple(pairs))


def in_url(url: str) -> ConnectionString | None:
    """Return the connection string in the text of a URL, percent-encoded or not; None if there is none to read."""
    match = IN_URL.match(url)
    return None if match is None else parsed(unquote_plus(match["string"]))


def shown_url(url: str) -> str | None:
    """Return what is shown of a URL with `odbc_connect`; None for other URLs, and if its string cannot be read."""
    string = in_url(url)
    return None if string is None else string.shown(url.partition("://")[0])


def braced(value: str) -> str:
    """Return a value in braces, which may contain any character."""
    return "{" + value.replace("}", "}}") + "}"
