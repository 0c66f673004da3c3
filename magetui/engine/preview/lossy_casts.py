"""The rules that tell if a column's new type keeps less of a value than the old type.

A value that the server refuses is no loss: the migration fails. A value that the server cuts or rounds silently is.
"""

from __future__ import annotations

from magetui.engine.preview.column_rules import FRACTIONS, read_type, wide_enough
from magetui.engine.schema.defaults import bare
from magetui.engine.schema.facts import type_of

TEXTS = frozenset({"text", "character varying", "character", "citext", "name"})
INTEGERS = frozenset({"smallint", "integer", "bigint"})
FLOATS = frozenset({"real", "double precision"})
# The most characters that a value of the type has.
WIDTHS = {"boolean": 5, "smallint": 6, "date": 10, "integer": 11, "bigint": 20, "uuid": 36}
DIGITS_OF_DOUBLE = 15


def only_casts(using: str, column: str) -> bool:
    """Return True if USING is the column itself, cast any number of times."""
    return bare(using).strip('"').lower() == column.lower()


def narrows(old: str, new: str, dialect: str, *, explicit: bool) -> bool:
    """Return True if values may be cut or rounded. `explicit`: by a cast, which cuts what PostgreSQL else refuses."""
    if dialect == "sqlite":
        return _narrows_on_sqlite(type_of(old, dialect), type_of(new, dialect))
    was, had = read_type(old)
    will, has = read_type(new)
    if will in TEXTS:
        longest = had[0] if was in TEXTS and had else WIDTHS.get(was)
        return explicit and bool(has) and (longest is None or longest > has[0])
    if will in ("date", "time without time zone", "time with time zone") and was.startswith("timestamp"):
        return True
    if will in FRACTIONS and was in FRACTIONS:
        return not wide_enough(had, has)
    return _rounds(was, had, will, has)


def _rounds(was: str, had: tuple[int, ...], will: str, has: tuple[int, ...]) -> bool:
    """Return True if numbers may be rounded. A `numeric` without a length keeps all digits of a value."""
    behind_the_point = 0 if was in INTEGERS else had[1] if was == "numeric" and had else None
    if was not in INTEGERS and was not in FLOATS and was != "numeric":
        return False
    if will in INTEGERS:
        return behind_the_point != 0
    if will == "numeric" and has:
        return behind_the_point is None or behind_the_point > has[1]
    if will == "real":
        return was not in ("real", "smallint")
    if will == "double precision":
        return was == "bigint" or (was == "numeric" and (not had or had[0] > DIGITS_OF_DOUBLE))
    return will == "boolean" and was in INTEGERS


def _narrows_on_sqlite(old: str, new: str) -> bool:
    """Return True if a batch operation changes values: it copies them by CAST if Alembic sees two kinds of types.

    A CAST to anything but a text makes numbers: 2024 from '2024-05-01', and 0 from 'a'.
    """
    was, will = _affinity(old), _affinity(new)
    if will in ("text", "blob") or was == "integer" or old.partition("(")[0] in (new.partition("(")[0], "BOOLEAN"):
        return False
    return will == "integer" or was != "real"


def _affinity(kind: str) -> str:
    """Return the affinity of a column of that declared type (SQLite documentation, Datatypes, 3.1)."""
    if "INT" in kind:
        return "integer"
    if any(part in kind for part in ("CHAR", "CLOB", "TEXT", "JSON")):  # Alembic makes no cast to JSON
        return "text"
    if "BLOB" in kind or not kind:
        return "blob"
    return "real" if any(part in kind for part in ("REAL", "FLOA", "DOUB")) else "numeric"
