"""Credentials out of everything that is shown, logged or raised.

SQLAlchemy's own `hide_password` shows `?password=` in a query and `PWD=` in `odbc_connect`; drivers and scripts
repeat URLs in their errors. So a URL is redacted as text, before it is parsed (it may not parse), and every text
that leaves the program is searched for the secrets that the URL held.
"""

from __future__ import annotations

import re
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"
SECRET_KEYS = r"(?:password|passwd|pwd|passfile|sslpassword|sslkeypassword|secret|token|access_token|api_key)"
EQUALS, SEMICOLON = r"(?:=|%3[dD])", r"(?:;|%3[bB])"

AUTHORITY = re.compile(r"^([A-Za-z][\w+.-]*://[^:/?#@]*):(.+)@", re.DOTALL)
# ODBC and libpq keywords, percent-encoded or not; a value in braces may hold anything but a brace (ODBC).
KEYWORD = re.compile(
    rf"(?P<key>\b{SECRET_KEYS}\s*{EQUALS}\s*)"
    rf"(?P<value>(?:\{{|%7[bB]).*?(?:\}}|%7[dD])|'(?:[^'\\]|\\.)*'|(?:(?!{SEMICOLON})[^&\s])*)",
    re.IGNORECASE,
)
SHORTEST_SECRET = 3


def redact_url(url: str) -> str:
    """`url` without its credentials, whether it parses or not; the user's name stays.

    The password ends at the last `@`, so that one with `@ : / % #` in it is hidden whole.
    """
    return KEYWORD.sub(rf"\g<key>{HIDDEN}", AUTHORITY.sub(rf"\1:{HIDDEN}@", url))


def secrets_of(url: str) -> tuple[str, ...]:
    """The credentials in `url`, in each spelling that a message might repeat them in, longest first."""
    found = {match["value"].strip("{}'") for match in KEYWORD.finditer(url)}
    # Inside odbc_connect, percent-encoded as a whole, the keywords show only after decoding.
    found |= {match["value"].strip("{}'") for match in KEYWORD.finditer(unquote_plus(url))}
    if match := AUTHORITY.match(url):
        found.add(match[2])
        found.add(match[2].split("@")[0])
    spellings = {spell(secret) for secret in found for spell in (str, unquote, unquote_plus, quote, quote_plus)}
    return tuple(sorted((s for s in spellings if len(s) >= SHORTEST_SECRET), key=len, reverse=True))


def redact(text: str, secrets: tuple[str, ...]) -> str:
    """`text` without any of `secrets` and without the credentials of any URL in it."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return re.sub(r"[A-Za-z][\w+.-]*://\S+", lambda match: redact_url(match[0]), KEYWORD.sub(rf"\g<key>{HIDDEN}", text))
