"""Credentials out of everything that is shown, logged or raised.

SQLAlchemy's own `hide_password` shows `?password=` in a query and `PWD=` in `odbc_connect`; drivers and
scripts repeat URLs in their errors. So a URL is redacted as text, before it is parsed (it may not parse), and
every text that leaves the program is searched for the secrets that the URL held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
SECRET_KEYS = r"(?:(?:PG|ssl|sslkey)?password|passwd|pwd|passfile|secret|(?:access_)?token|api_key)"
EQUALS, SEMICOLON = r"(?:=|%3[dD])", r"(?:;|%3[bB])"
OPEN, CLOSE = r"(?:\{|%7[bB])", r"(?:\}|%7[dD])"

# A password ends at the last @, also in what is no proper URL ('postgresql:/…', or no scheme at all).
AUTHORITY = re.compile(r"^([^:]*(?:://[^:]*)?):(?!//)(.+)@", re.DOTALL)
# ODBC and libpq keywords, percent-encoded or not. A value in braces may hold anything (ODBC writes closing
# braces twice), in quotes too (libpq); else it ends at a space, at &, or at a semicolon before a keyword.
# What is repeated has a bound: a script may print a megabyte in one word, and the time must not be its square.
KEYWORD = re.compile(
    rf"(?P<key>(?:\b|(?<=%[0-9A-Fa-f]{{2}})){SECRET_KEYS}\s*{EQUALS}\s*)"
    rf"(?P<value>{OPEN}(?:{CLOSE}{CLOSE}|(?!{CLOSE}).){{0,1000}}{CLOSE}|'(?:[^'\\]|\\.){{0,1000}}'"
    rf"|(?:(?!{SEMICOLON}\s{{0,20}}(?:[\w %]{{1,60}}?{EQUALS}|$|[&\s]))[^&\s])*)",
    re.IGNORECASE | re.DOTALL,
)
SQL_PASSWORD = re.compile(r"(\bpassword\s{1,9})'(?:[^']|''){0,1000}'", re.IGNORECASE)  # ALTER ROLE … PASSWORD '…'
SHORTEST_SECRET = 3
SHORTEST_STORE_SECRET = 8
# What opens a secret store: whoever has it may read more than this one database.
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
    """`url` without its credentials, whether it parses or not; the user's name stays.

    The password ends at the last `@`, so that one with `@ : / % #` in it is hidden whole.
    """
    return KEYWORD.sub(rf"\g<key>{HIDDEN}", AUTHORITY.sub(rf"\1:{HIDDEN}@", url))


def secrets_of(url: str) -> tuple[str, ...]:
    """The credentials in `url`, in each spelling that a message might repeat them in, longest first.

    Not those that the redacted URL shows anyway: where user, password and database are all 'mage', hiding
    that word would tear every message apart and hide nothing.
    """
    shown = redact_url(url)
    # Inside odbc_connect, percent-encoded as a whole, the keywords show only after decoding.
    found = {value for text in (url, unquote_plus(url)) for match in KEYWORD.finditer(text) for value in _values(match)}
    if match := AUTHORITY.match(url):
        found.add(match[2])
        found.add(match[2].split("@")[0])
    spellings = {
        spell(secret) for secret in found for spell in (str, unquote, unquote_plus, quote, quote_plus, _quoted)
    }
    secret = (one for one in spellings if len(one) >= SHORTEST_SECRET and one not in shown)
    return tuple(sorted(secret, key=len, reverse=True))


def store_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The credentials in the environment that open a secret store, as they stand and percent-encoded, longest first.

    Not one that is short: 'test', as a practice store takes it, is no secret, and stands in many a database's name.
    """
    found = {environment.get(variable, "") for variable in STORE_VARIABLES}
    spellings = {spell(secret) for secret in found for spell in (str, quote, quote_plus, _quoted)}
    return tuple(sorted((one for one in spellings if len(one) >= SHORTEST_STORE_SECRET), key=len, reverse=True))


def password_spellings(password: str, shown: str) -> tuple[str, ...]:
    """A password that stands in no URL, as it is and percent-encoded, longest first; `shown` is the redacted URL.

    As with a URL's own, not where that shows it anyway.
    """
    spellings = {spell(password) for spell in (str, quote, quote_plus, _quoted)}
    secret = (one for one in spellings if len(one) >= SHORTEST_SECRET and one not in shown)
    return tuple(sorted(secret, key=len, reverse=True))


def _quoted(secret: str) -> str:
    """As SQLAlchemy spells it in a URL: with every reserved character encoded."""
    return quote(secret, safe="")


def _values(match: re.Match[str]) -> tuple[str, ...]:
    """A keyword's value as it stands, and without its braces or quotes."""
    value = match["value"]
    if value.startswith("{"):
        return value, value[1:-1], value[1:-1].replace("}}", "}")
    if value.startswith("'"):
        return value, value[1:-1], re.sub(r"\\(.)", r"\1", value[1:-1])
    return (value,)


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """`text` without any of `secrets` and without the credentials of any URL in it."""
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
