"""Redaction: removes credentials from everything that is shown, logged or raised.

SQLAlchemy's own `hide_password` shows `?password=` in a query and `PWD=` in `odbc_connect`. Drivers and scripts repeat
URLs in their errors. So a URL is redacted as text, before it is parsed, because it may not parse. Every text that
leaves the program is searched for the secrets that the URL contained. `odbc` reads the strings in `odbc_connect`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
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
    rf"(?P<value>{OPEN}(?:{CLOSE}{CLOSE}|(?!{CLOSE}).){{0,1000}}{CLOSE}|'(?:[^'\\]|\\.){{0,1000}}'"
    rf"|(?:(?!{SEMICOLON}\s{{0,20}}(?:[\w %]{{1,60}}?{EQUALS}|$|[&\s]))[^&\s])*)",
    re.IGNORECASE | re.DOTALL,
)
SQL_PASSWORD = re.compile(r"(\bpassword\s{1,9})'(?:[^']|''){0,1000}'", re.IGNORECASE)  # ALTER ROLE … PASSWORD '…'
# The last one is SQLAlchemy's spelling in a URL, with every reserved character encoded.
PLAIN_AND_ENCODED: tuple[Callable[[str], str], ...] = (str, quote, quote_plus, partial(quote, safe=""))
SHORTEST_SECRET = 3
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
    spellings = (*PLAIN_AND_ENCODED, unquote, unquote_plus)
    return _longest_first(spell(secret) for secret in secrets for spell in spellings if spell(secret) not in shown)


def store_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return a secret store's credentials in the environment, longest first, without short ones such as 'test'."""
    secrets = {environment.get(variable, "") for variable in STORE_VARIABLES}
    spelled = (spell(secret) for secret in secrets for spell in PLAIN_AND_ENCODED)
    return _longest_first(spelled, SHORTEST_STORE_SECRET)


def without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with its credentials hidden: in URLs, and the values of variables that are named so."""
    return {
        name: HIDDEN if SECRET_VARIABLE.search(name) and not name.endswith("_FILE") else redact(value, ())
        for name, value in environment.items()
    }


def password_spellings(password: str, shown: str) -> tuple[str, ...]:
    """Return the spellings of a password that is in no URL, longest first, without those in the redacted URL."""
    return _longest_first(spell(password) for spell in PLAIN_AND_ENCODED if spell(password) not in shown)


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
    return SQL_PASSWORD.sub(rf"\1{HIDDEN}", KEYWORD.sub(rf"\g<key>{HIDDEN}", text))


def clean_json(value: Any, clean: Callable[[str], str], exact: Collection[str] = ()) -> Any:
    """Return the JSON value with `clean` applied to each text in it, except the values of the keys in `exact`."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: item if key in exact else clean_json(item, clean, exact) for key, item in value.items()}
    return [clean_json(item, clean, exact) for item in value] if isinstance(value, list) else value
