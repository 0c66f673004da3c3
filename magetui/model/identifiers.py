"""Names as PostgreSQL stores them, cut after 63 bytes, and as it chooses them for a constraint without a name."""

from __future__ import annotations

from collections.abc import Container, Iterable
from itertools import count

MOST_BYTES = 63  # NAMEDATALEN - 1 (manual, 4.1.1)


def stored(name: str) -> str:
    """Return the name as PostgreSQL stores it: it cuts after 63 bytes, and never within a character."""
    return _cut(name, MOST_BYTES) if len(name) * 4 > MOST_BYTES else name


def chosen_name(table: str, columns: Iterable[str], label: str, taken: Container[str] = ()) -> str:
    """Return the name that PostgreSQL gives to an unnamed constraint: 'task_owner_id_fkey'.

    `label` is 'pkey', 'key' or 'fkey'. If the name is `taken`, the first free number is appended. Of table and columns,
    the longer one is shortened until the name fits (`makeObjectName` and `ChooseRelationName` in PostgreSQL's source).
    """
    part = stored("_".join(columns))
    numbered = (label if number == 0 else f"{label}{number}" for number in count())
    return next(name for suffix in numbered if (name := _made(table, part, suffix)) not in taken)


def _made(table: str, part: str, label: str) -> str:
    room = MOST_BYTES - len(label) - 1 - bool(part)
    lengths = [len(table.encode()), len(part.encode())]
    while sum(lengths) > room:
        longer = 0 if lengths[0] > lengths[1] else 1
        lengths[longer] -= 1
    return "_".join(text for text in (_cut(table, lengths[0]), _cut(part, lengths[1]), label) if text)


def _cut(name: str, most: int) -> str:
    return name.encode()[:most].decode(errors="ignore")
