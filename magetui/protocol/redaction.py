"""Redaction: removes credentials from everything that is shown, logged or raised.

SQLAlchemy's own `hide_password` shows `?password=` in a query and `PWD=` in `odbc_connect`. Drivers and scripts repeat
URLs in their errors. So a URL is redacted as text, before it is parsed, because it may not parse. Every text that
leaves the program is searched for the secrets that the URL contained. `odbc` reads the strings in `odbc_connect`.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

from magetui.protocol import odbc

HIDDEN = odbc.HIDDEN
SECRET_KEYS = r"(?:(?:PG|ssl|sslkey)?password|passwd|pwd|passfile|secret|(?:access_)?token|api_key)"
EQUALS, SEMICOLON = r"(?:=|%3[dD])", r"(?:;|%3[bB])"
OPEN, CLOSE = r"(?:\{|%7[bB])", r"(?:\}|%7[dD])"

# A password ends at the last @, also in a text that is no proper URL ('postgresql:/…', or without a scheme).
AUTHORITY = re.compile(r"^([^:]*(?:://[^:]*)?):(?!//)(.+)@", re.DOTALL)
# ODBC and libpq keywords, percent-encoded or not. A value in braces may contain any character (ODBC doubles closing
# braces), and so may a value in quotes (libpq). Any other value ends at a space, at &, or at a semicolon before a
# keyword. Repetitions are bounded: a script may print a word of a megabyte, and the time must not grow quadratically.
KEYWORD = re.compile(
    rf"(?P<key>(?:\b|(?<=%[0-9A-Fa-f]{{2}})){SECRET_KEYS}\s*{EQUALS}\s*)"
    rf"(?P<value>{OPEN}(?:{CLOSE}{CLOSE}|(?!{CLOSE}).){{0,1000}}{CLOSE}|[nN]?'(?:[^'\\]|\\.){{0,1000}}'"
    rf"|(?:(?!{SEMICOLON}\s{{0,20}}(?:[\w %]{{1,60}}?{EQUALS}|$|[&\s]))[^&\s])*)",
    re.IGNORECASE | re.DOTALL,
)
# A literal of SQL in each of its forms: '…', E'…', U&'…', N'…', $$…$$, $tag$…$tag$.
SQL_LITERAL = (
    r"(?:[eE]'(?:[^'\\]|\\.|''){0,1000}'|(?:[uU]&|[nN])?'(?:[^']|''){0,1000}'"
    r"|\$(?P<tag>\w{0,40})\$(?:(?!\$(?P=tag)\$).){0,1000}\$(?P=tag)\$)"
)
SQL_PASSWORD = re.compile(  # ALTER ROLE … PASSWORD '…'
    rf"(?P<before>\bpassword\s{{1,9}}){SQL_LITERAL}", re.IGNORECASE | re.DOTALL
)
NAMED_SECRET = r"[\w.\- ]{0,60}(?:password|passwd|pwd|secret|token|api_?key|private_key|credential)[\w.\- ]{0,60}"
# set_config('app.password', '…', false), and SET app.password TO '…'
SQL_SETTING = re.compile(
    rf"(?P<before>\bset_config\s{{0,9}}\(\s{{0,9}}'{NAMED_SECRET}'\s{{0,9}},\s{{0,9}}"
    rf"|\bset\s{{1,9}}(?:local\s{{1,9}}|session\s{{1,9}})?{NAMED_SECRET}\s{{1,9}}to\s{{1,9}})"
    rf"{SQL_LITERAL}",
    re.IGNORECASE | re.DOTALL,
)
# format('CREATE USER x PASSWORD %L', '…'): the arguments are hidden, to the end of the call or of the line.
SQL_FORMAT = re.compile(
    rf"(?P<before>\bformat\s{{0,9}}\(\s{{0,9}}'[^']{{0,500}}{NAMED_SECRET}[^']{{0,500}}'\s{{0,9}},)[^)\n]{{0,1000}}",
    re.IGNORECASE,
)
# "password": "…" of JSON, and 'password': '…' of a Python dict, also inside of a text, with backslashes.
QUOTED_PAIR = re.compile(
    rf"(?P<before>(?P<slashes>\\{{0,3}})(?P<quote>[\"']){NAMED_SECRET}(?P=slashes)(?P=quote)\s{{0,9}}:\s{{0,9}}"
    rf"(?P=slashes)(?P<other>[\"']))(?:(?!(?P=slashes)(?P=other))(?:\\.|.)){{1,1000}}(?=(?P=slashes)(?P=other))",
    re.IGNORECASE | re.DOTALL,
)
WRITTEN_SECRETS = (SQL_PASSWORD, SQL_SETTING, SQL_FORMAT, QUOTED_PAIR)
SHORTEST_SECRET = 3
SHORTEST_ENCODED = 8  # characters of base64 or hexadecimal digits: a shorter piece may be a part of anything
SHORTEST_STORE_SECRET = 8
# Names such as DB_PASSWORD, GITHUB_TOKEN, SECRET_KEY, AWS_SECRET_ACCESS_KEY.
SECRET_VARIABLE = re.compile(r"PASSWORD|PASSWD|_PWD$|SECRET|TOKEN|API_?KEY|PRIVATE_KEY|CREDENTIAL", re.IGNORECASE)
# Credentials of a secret store. They give access to more than this one database.
STORE_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_PASSWORD",
    "IDENTITY_HEADER",
)


def redact_url(url: str) -> str:
    """Return `url` with its user but no credentials, even if it does not parse. The password ends at the last `@`.

    A URL with `odbc_connect` becomes a short one, such as 'mssql+pyodbc://mage:***@db1:1433/orders'.
    """
    return odbc.shown_url(url) or KEYWORD.sub(rf"\g<key>{HIDDEN}", AUTHORITY.sub(rf"\1:{HIDDEN}@", url))


def secrets_of(url: str) -> tuple[str, ...]:
    """Return the credentials in `url` in each spelling, longest first, without words that the redacted URL shows."""
    shown = redact_url(url)
    # The value of odbc_connect is percent-encoded, so its keywords are visible only after decoding.
    secrets = {
        value for text in (url, unquote_plus(url)) for match in KEYWORD.finditer(text) for value in _values(match)
    }
    if match := AUTHORITY.match(url):
        secrets |= {match[2], match[2].split("@")[0]}
    if (string := odbc.in_url(url)) is not None and string.password is not None:
        secrets |= {string.password, odbc.braced(string.password)}
    secrets |= {decode(secret) for secret in secrets for decode in (unquote, unquote_plus)}
    return _longest_first(text for secret in secrets for text in spellings(secret) if text not in shown)


def store_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return a secret store's credentials in the environment, longest first, without short ones such as 'test'."""
    secrets = {environment.get(variable, "") for variable in STORE_VARIABLES}
    return _longest_first((text for secret in secrets for text in spellings(secret)), SHORTEST_STORE_SECRET)


def without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with its credentials hidden: in URLs, and the values of variables that are named so."""
    return {
        name: HIDDEN if SECRET_VARIABLE.search(name) and not name.endswith("_FILE") else redact(value, ())
        for name, value in environment.items()
    }


def password_spellings(password: str, shown: str) -> tuple[str, ...]:
    """Return the spellings of a password that is in no URL, longest first, without those in the redacted URL."""
    return _longest_first(text for text in spellings(password) if text not in shown)


def spellings(secret: str) -> frozenset[str]:
    """Return the secret as programs write it: in a URL, Python, JSON, SQL, a shell, .pgpass, HTML, base64 and hex."""
    in_urls = [
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
        quote(secret, safe="", errors="replace"),
    ]
    doubled = secret.replace("\\", "\\\\")
    texts = [
        secret,
        *in_urls,
        *(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text) for text in in_urls),
        repr(secret)[1:-1],
        doubled.replace("'", "\\'"),
        doubled.replace('"', '\\"'),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(secret)[1:-1])[1:-1],
        secret.replace("'", "''"),
        doubled.replace("'", "''"),
        secret.replace("'", "'\"'\"'"),
        secret.replace("'", "'\\''"),
        doubled.replace(":", "\\:"),
        html.escape(secret),
    ]
    data = secret.encode(errors="replace")
    texts.append(repr(data)[2:-1])
    pieces = [data.hex(), data.hex().upper(), *_in_base64(data)]
    return frozenset([*texts, *(piece for piece in pieces if len(piece) >= SHORTEST_ENCODED)])


def _in_base64(data: bytes) -> Iterator[str]:
    """Yield what base64 makes of the data inside of a longer text, where it may start at any of three places."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).rstrip(b"=").decode()
        first = -(-before * 8 // 6)  # the first characters, and the last one, depend on what stands beside the data
        last = len(encoded) if (before + len(data)) % 3 == 0 else len(encoded) - 1
        yield encoded[first:last]
        yield encoded[first:last].replace("+", "-").replace("/", "_")


def _longest_first(spelled: Iterable[str], shortest: int = SHORTEST_SECRET) -> tuple[str, ...]:
    """Return the secrets that are long enough to hide. The longest is first, because it may contain a shorter one."""
    return tuple(sorted({secret for secret in spelled if len(secret) >= shortest}, key=len, reverse=True))


def _values(match: re.Match[str]) -> tuple[str, ...]:
    """Return a keyword's value as written, and without its braces or quotes."""
    value = match["value"]
    if value.startswith("{"):
        return value, value[1:-1], value[1:-1].replace("}}", "}")
    if value.startswith("'"):
        return value, value[1:-1], re.sub(r"\\(.)", r"\1", value[1:-1])
    return (value,)


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """Return `text` without `secrets` and without the credentials of any URL in it."""
    text = re.sub(r"[A-Za-z][\w+.-]{0,40}://\S+", lambda match: redact_url(match[0]), text)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    for pattern in WRITTEN_SECRETS:
        text = pattern.sub(rf"\g<before>{HIDDEN}", text)
    return KEYWORD.sub(rf"\g<key>{HIDDEN}", text)


def clean_json(value: Any, clean: Callable[[str], str], exact: Collection[str] = ()) -> Any:
    """Return the JSON value with `clean` applied to each text in it, except the values of the keys in `exact`."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: item if key in exact else clean_json(item, clean, exact) for key, item in value.items()}
    return [clean_json(item, clean, exact) for item in value] if isinstance(value, list) else value
