"""Names as SQL identifiers, for statements that a person copies."""

from __future__ import annotations

import re


def quoted(name: str) -> str:
    """Return the name as PostgreSQL writes it: in double quotes unless it is plain."""
    plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) is not None
    return name if plain else '"' + name.replace('"', '""') + '"'
