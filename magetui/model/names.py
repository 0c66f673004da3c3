"""Names and texts as SQL, for statements that a person copies."""

from __future__ import annotations

import re

# Words that are no names without quotes: PostgreSQL's manual, appendix C, "reserved". Others reserve most of them, too.
RESERVED = re.compile(
    r"all|analy[sz]e|and|any|array|as|asc|asymmetric|authorization|binary|both|case|cast|check|collate|collation|column"
    r"|concurrently|constraint|create|cross|current_\w+|default|deferrable|desc|distinct|do|else|end|except|false|fetch"
    r"|for|foreign|freeze|from|full|grant|group|having|ilike|in|initially|inner|intersect|into|is|isnull|join|lateral"
    r"|leading|left|like|limit|localtime|localtimestamp|natural|not|notnull|null|offset|on|only|or|order|outer|overlaps"
    r"|placing|primary|references|returning|right|select|session_user|similar|some|symmetric|system_user|table"
    r"|tablesample|then|to|trailing|true|union|unique|user|using|variadic|verbose|when|where|window|with"
)


def quoted(name: str) -> str:
    """Return the name as PostgreSQL writes it: in double quotes unless it is plain and not reserved."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None and RESERVED.fullmatch(name) is None
    return name if plain else '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return the text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
