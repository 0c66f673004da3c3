"""Rules for a new column or a new type of a column: the work on rows on PostgreSQL, and the values that are cut."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from magetui.engine.schema.defaults import bare
from magetui.engine.schema.facts import type_of
from magetui.engine.sql.tables import SERIAL

if TYPE_CHECKING:
    from magetui.model.lock_modes import TableWork

# Functions that the server calls once for a table (stable or immutable), and names that only look like a function.
ONCE = frozenset(
    """now current_timestamp transaction_timestamp statement_timestamp current_date current_time localtime
    localtimestamp current_user session_user current_setting current_schema timezone date_trunc date_part extract
    to_timestamp to_char to_date make_date make_time make_timestamp make_timestamptz make_interval age lower upper
    initcap trim btrim ltrim rtrim substr substring left right replace concat coalesce nullif greatest least abs round
    floor ceil length md5 sha256 encode decode cast convert array row json_build_object jsonb_build_object
    json_build_array jsonb_build_array to_json to_jsonb array_fill int4range int8range numrange tsrange tstzrange
    daterange to_tsvector txid_current pg_current_xact_id varchar char character varying numeric decimal bit varbit
    timestamp timestamptz time timetz interval float and or not in""".split()  # noqa: SIM905 - to be read, not scrolled
)
EACH = frozenset(
    """random random_normal clock_timestamp timeofday nextval currval lastval setval gen_random_uuid uuidv4 uuidv7
    uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 gen_random_bytes gen_salt""".split()  # noqa: SIM905
)
STRING = re.compile(r"'(?:[^']|'')*'")
CALL = re.compile(r"([\w$]+)\s*\(")
IDENTITY = re.compile(r"\bgenerated\s+(always|by\s+default)\s+as\s+identity\b", re.IGNORECASE)
STORED = re.compile(r"\bgenerated\s+always\s+as\s*\(.*\)\s*stored\b", re.IGNORECASE | re.DOTALL)
VIRTUAL = re.compile(r"\bgenerated\s+always\s+as\s*\(", re.IGNORECASE)


def new_column(kind: str, default: str | None, nullable: bool) -> tuple[TableWork, str | None]:  # noqa: PLR0911 - a case a kind of default
    """Return the work of ADD COLUMN with a note (manual, ALTER TABLE). `default` may be a GENERATED clause."""
    if SERIAL.fullmatch(kind.strip()):
        return "rewrite", "gives every row a number"
    if default is None or default.strip().lower() == "null":
        return ("catalog", None) if nullable else ("scan", "fails if there is a row: NOT NULL without a default")
    if IDENTITY.search(default):
        return "rewrite", "gives every row a number"
    if STORED.search(default):
        return "rewrite", "computes the column for every row"
    if VIRTUAL.search(default):
        return "catalog" if nullable else "scan", None
    calls = [call.lower() for call in CALL.findall(STRING.sub("''", default))]
    volatile = next((call for call in calls if call in EACH), None)
    if volatile:
        return "rewrite", f"fills in a volatile default: {volatile}()"
    other = next((call for call in calls if call not in ONCE), None)
    if other:
        return "rewrite", f"fills in a default, unless {other}() is not volatile"
    return "catalog", None


TIMESTAMPS = frozenset({"timestamp without time zone", "timestamp with time zone"})
LENGTHS = ("character varying", "bit varying")
FRACTIONS = (*TIMESTAMPS, "time without time zone", "time with time zone")
DIGITS_OF_A_SECOND = 6
MODIFIERS = re.compile(r"\(([\d\s,]+)\)")


def read_type(text: str) -> tuple[str, tuple[int, ...]]:
    """Return the name of a type in PostgreSQL's spelling, and its modifiers: ('character varying', (255,))."""
    spelled = type_of(text, "postgresql")
    modifiers = MODIFIERS.search(spelled)
    base = " ".join(re.sub(r"\([^)]*\)", " ", spelled).split())
    return base, tuple(int(modifier) for modifier in modifiers[1].split(",")) if modifiers else ()


def type_change(old: str | None, new: str, column: str, using: str | None) -> tuple[TableWork, str | None]:
    """Return the work of ALTER COLUMN TYPE with a note; binary coercible types keep the rows (manual)."""
    if using is not None and not _is_plain_cast(using, column, new):
        return "rewrite", "computes the column for every row"
    if old is None:
        return "rewrite", "unless the type it has now is stored in the same way"
    (was, had), (will, has) = read_type(old), read_type(new)
    if (was, had) == (will, has):
        return "catalog", None
    if {was, will} == TIMESTAMPS and _wide_enough(had, has):
        return "rewrite", "unless the session's time zone is UTC"
    if _keeps_rows(was, had, will, has):
        return "catalog", None
    return "rewrite", f"from {old} to {new}"


def _keeps_rows(was: str, had: tuple[int, ...], will: str, has: tuple[int, ...]) -> bool:
    if was == will and was in FRACTIONS:
        return _wide_enough(had, has)
    if was == will and (was in LENGTHS or was == "numeric"):
        scales = had[1:] or (0,), has[1:] or (0,)
        return not has or (bool(had) and has[0] >= had[0] and scales[0] == scales[1])
    if (was, will) == ("text", "character varying"):
        return not has
    return (was, will) in {("character varying", "text"), ("cidr", "inet")}


def _wide_enough(had: tuple[int, ...], has: tuple[int, ...]) -> bool:
    """Return True if a time of the new precision keeps all digits of the old one."""
    return (has or (DIGITS_OF_A_SECOND,))[0] >= (had or (DIGITS_OF_A_SECOND,))[0]


CAST = re.compile(r"cast\s*\((.+)\s+as\s+(.+)\)", re.IGNORECASE | re.DOTALL)


def _is_plain_cast(using: str, column: str, new: str) -> bool:
    """Return True if USING says no more than the server does without it: the column, or its cast to the new type."""
    spelled = CAST.fullmatch(using.strip())
    what, _, kind = (spelled[1], "::", spelled[2]) if spelled else using.partition("::")
    while kind.count(")") > kind.count("("):
        kind = kind.rstrip().removesuffix(")")
    is_column = what.strip(' ()"\n').lower() == column.lower()
    return is_column and (not kind or read_type(kind) == read_type(new))


# -- types that keep less of a value: the server cuts or rounds it silently, while a value that it refuses is no loss


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
        return not _wide_enough(had, has)
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
