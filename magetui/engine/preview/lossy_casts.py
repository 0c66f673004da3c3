"""Whether a column's new type keeps less of a value than the old one did.

A value that a server refuses is no loss: the migration fails. One that it cuts or rounds without a word is.
"""

from __future__ import annotations

from magetui.engine.preview.lock_rules import DIGITS_OF_A_SECOND, FRACTIONS, read_type
from magetui.engine.schema.defaults import bare
from magetui.engine.schema.facts import type_of

TEXTS = frozenset({"text", "varchar", "char", "citext", "name"})
INTEGERS = frozenset({"smallint", "integer", "bigint"})
FLOATS = frozenset({"real", "double precision"})
# As many characters as such a value has at most.
WIDTHS = {"boolean": 5, "smallint": 6, "date": 10, "integer": 11, "bigint": 20, "uuid": 36}
DIGITS_OF_DOUBLE = 15


def only_casts(using: str, column: str) -> bool:
    """Whether USING is the column itself, cast any number of times."""
    return bare(using).strip('"').lower() == column.lower()


def narrows(old: str, new: str, dialect: str, *, explicit: bool) -> bool:
    """Whether values may be cut or rounded. `explicit`: by a cast, which PostgreSQL lets cut what else it refuses."""
    if dialect == "sqlite":
        return _narrows_on_sqlite(type_of(old, dialect), type_of(new, dialect))
    was, had = read_type(type_of(old, "postgresql"))
    will, has = read_type(type_of(new, "postgresql"))
    if will in TEXTS:
        longest = had[0] if was in TEXTS and had else WIDTHS.get(was)
        return explicit and bool(has) and (longest is None or longest > has[0])
    if will in ("date", "time", "timetz") and was.startswith("timestamp"):
        return True
    if will in FRACTIONS and was in FRACTIONS:
        return (has or (DIGITS_OF_A_SECOND,))[0] < (had or (DIGITS_OF_A_SECOND,))[0]
    return _rounds(was, had, will, has)


def _rounds(was: str, had: tuple[int, ...], will: str, has: tuple[int, ...]) -> bool:
    """Of numbers; a `numeric` without a length has as many digits as it is given."""
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
    """A batch operation copies the values by CAST where Alembic takes the types for different in kind.

    That makes a number of everything but texts: of '2024-05-01' the number 2024, of 'a' the number 0.
    """
    was, will = _affinity(old), _affinity(new)
    if will in ("text", "blob") or was == "integer" or old.partition("(")[0] in (new.partition("(")[0], "BOOLEAN"):
        return False
    return will == "integer" or was != "real"


def _affinity(kind: str) -> str:
    """What SQLite keeps in a column that was so declared (its documentation, Datatypes, 3.1)."""
    if "INT" in kind:
        return "integer"
    if any(part in kind for part in ("CHAR", "CLOB", "TEXT", "JSON")):  # Alembic casts nothing to JSON
        return "text"
    if "BLOB" in kind or not kind:
        return "blob"
    return "real" if any(part in kind for part in ("REAL", "FLOA", "DOUB")) else "numeric"
