"""What PostgreSQL locks and does for each kind of change, as rules that both typed operations and raw SQL ask.

The lock modes are those of the manual's chapter 13.3 and of ALTER TABLE's page; where the manual is silent (a table
that is dropped also locks those its foreign keys refer to), they are what servers 16 and 18 show in pg_locks. Nothing
here asks a database: what has to be known of its tables is in `Known`, and where it is not, an effect without a
table says which tables are meant. Partitions and children of a table are not in what is known: what is said of a
table holds for them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from magetui.engine.preview.known_tables import Known, Name

Work = Literal["unknown", "catalog", "data", "scan", "build", "rewrite"]

ACCESS_SHARE = "AccessShareLock"
ROW_SHARE = "RowShareLock"
ROW_EXCLUSIVE = "RowExclusiveLock"
SHARE_UPDATE_EXCLUSIVE = "ShareUpdateExclusiveLock"
SHARE = "ShareLock"
SHARE_ROW_EXCLUSIVE = "ShareRowExclusiveLock"
EXCLUSIVE = "ExclusiveLock"
ACCESS_EXCLUSIVE = "AccessExclusiveLock"
MODES = (
    "",
    ACCESS_SHARE,
    ROW_SHARE,
    ROW_EXCLUSIVE,
    SHARE_UPDATE_EXCLUSIVE,
    SHARE,
    SHARE_ROW_EXCLUSIVE,
    EXCLUSIVE,
    ACCESS_EXCLUSIVE,
)
WORKS: tuple[Work, ...] = ("unknown", "catalog", "data", "scan", "build", "rewrite")


@dataclass(frozen=True, slots=True)
class Effect:
    """One lock on one table, and the work that is done while it is held.

    `mode` is as pg_locks spells it. `table` None: tables that nobody here can name, and `note` says which. `mode` "":
    what is locked, and whether anything is, cannot be told, and `note` says why. `work`: only the catalog, changes
    rows, reads every row, builds an index, writes the table anew.
    """

    table: str | None
    schema: str | None
    mode: str
    work: Work
    note: str | None = None

    @property
    def unknown(self) -> bool:
        """Whether even the lock cannot be told."""
        return not self.mode


def on(name: Name, mode: str, work: Work = "catalog", note: str | None = None) -> Effect:
    return Effect(name[1], name[0], mode, work, note)


def unnamed(mode: str, note: str, work: Work = "catalog") -> Effect:
    return Effect(None, None, mode, work, note)


def cannot_tell(note: str) -> Effect:
    return Effect(None, None, "", "unknown", note)


def merged(effects: Iterable[Effect], known: Known) -> tuple[Effect, ...]:
    """For each table the strongest lock and the most work, without those that only this transaction sees."""
    tables: dict[object, Effect] = {}
    for one in effects:
        if one.table is not None and (one.schema, one.table) in known.created:
            continue
        key: object = (one.schema, one.table) if one.table is not None else one
        tables[key] = _both(tables[key], one) if key in tables else one
    return tuple(tables.values())


def _both(one: Effect, other: Effect) -> Effect:
    notes = tuple(dict.fromkeys(note for note in (one.note, other.note) if note))
    mode = max(one.mode, other.mode, key=MODES.index)
    work = max(one.work, other.work, key=WORKS.index)
    return Effect(one.table, one.schema, mode, work, "; ".join(notes) or None)


# -- whole tables


def create_table(name: Name, referred: Iterable[Name]) -> Iterator[Effect]:
    """Of other tables only: nobody sees the new one yet."""
    for other in referred:
        if other != name:
            yield on(other, SHARE_ROW_EXCLUSIVE, note="a foreign key of the new table refers to it")


def drop_table(known: Known, name: Name, cascade: bool = False) -> Iterator[Effect]:
    yield on(name, ACCESS_EXCLUSIVE)
    for _, other in known.referred(name):
        yield on(other, ACCESS_EXCLUSIVE, note="a foreign key of the dropped table refers to it")
    if known.tables.get(name) is None and not known.whole:
        yield unnamed(ACCESS_EXCLUSIVE, f"the tables that foreign keys of {name[1]} refer to")
    if cascade:
        yield from _referring(known, name, "its foreign key to the dropped table goes")
        yield unnamed(ACCESS_EXCLUSIVE, f"views that read {name[1]}")


def _referring(known: Known, name: Name, note: str) -> Iterator[Effect]:
    for _, other in known.referring(name):
        yield on(other, ACCESS_EXCLUSIVE, note=note)
    if not known.whole:
        yield unnamed(ACCESS_EXCLUSIVE, f"the tables whose foreign keys refer to {name[1]}")


def truncate(known: Known, name: Name, cascade: bool) -> Iterator[Effect]:
    seen: set[Name] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            yield on(one, ACCESS_EXCLUSIVE, "data", "empties the table")
            waiting += [other for _, other in known.referring(one)] if cascade else []
    if cascade and not known.whole:
        yield unnamed(ACCESS_EXCLUSIVE, f"the tables whose foreign keys refer to {name[1]}, emptied too", "data")


# -- columns


def drop_column(known: Known, name: Name, column: str, cascade: bool = False) -> Iterator[Effect]:
    yield on(name, ACCESS_EXCLUSIVE)
    for key, other in known.referred(name):
        if column in key.columns:
            yield on(other, ACCESS_EXCLUSIVE, note="the column's foreign key refers to it")
    if known.tables.get(name) is None:
        yield unnamed(ACCESS_EXCLUSIVE, f"the table that a foreign key of {name[1]}.{column} refers to")
    if cascade:
        for key, other in known.referring(name):
            if column in key.referred_columns:
                yield on(other, ACCESS_EXCLUSIVE, note="its foreign key to the dropped column goes")
        if not known.whole:
            yield unnamed(ACCESS_EXCLUSIVE, f"the tables whose foreign keys refer to {name[1]}.{column}")
        yield unnamed(ACCESS_EXCLUSIVE, f"views that read {name[1]}.{column}")


# Functions that the server calls once for the whole table (stable or immutable), and names that only look like one.
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
SERIAL = re.compile(r"^(small|big)?serial[248]?$", re.IGNORECASE)
IDENTITY = re.compile(r"\bgenerated\s+(always|by\s+default)\s+as\s+identity\b", re.IGNORECASE)
STORED = re.compile(r"\bgenerated\s+always\s+as\s*\(.*\)\s*stored\b", re.IGNORECASE | re.DOTALL)
VIRTUAL = re.compile(r"\bgenerated\s+always\s+as\s*\(", re.IGNORECASE)


def add_column(name: Name, kind: str, default: str | None, nullable: bool) -> Effect:  # noqa: PLR0911 - a case a kind of default
    """`default` may be a generated column's or identity's clause; see ALTER TABLE, notes, in the manual."""
    if SERIAL.match(kind.strip()):
        return on(name, ACCESS_EXCLUSIVE, "rewrite", "gives every row a number")
    if default is None or default.strip().lower() == "null":
        if nullable:
            return on(name, ACCESS_EXCLUSIVE)
        return on(name, ACCESS_EXCLUSIVE, "scan", "fails if there is a row: NOT NULL without a default")
    if IDENTITY.search(default):
        return on(name, ACCESS_EXCLUSIVE, "rewrite", "gives every row a number")
    if STORED.search(default):
        return on(name, ACCESS_EXCLUSIVE, "rewrite", "computes the column for every row")
    if VIRTUAL.search(default):
        return on(name, ACCESS_EXCLUSIVE, "catalog" if nullable else "scan")
    calls = [call.lower() for call in CALL.findall(STRING.sub("''", default))]
    volatile = next((call for call in calls if call in EACH), None)
    if volatile:
        return on(name, ACCESS_EXCLUSIVE, "rewrite", f"fills in a volatile default: {volatile}()")
    other = next((call for call in calls if call not in ONCE), None)
    if other:
        return on(name, ACCESS_EXCLUSIVE, "rewrite", f"fills in a default, unless {other}() is not volatile")
    return on(name, ACCESS_EXCLUSIVE)


def set_not_null(known: Known, name: Name, column: str) -> Effect:
    if known.is_not_null(name, column):
        return on(name, ACCESS_EXCLUSIVE)
    return on(name, ACCESS_EXCLUSIVE, "scan", "looks for nulls, unless a valid CHECK excludes them")


def set_type(known: Known, name: Name, column: str, new: str, using: str | None) -> Iterator[Effect]:
    """A changed type also drops and makes again the foreign keys on both sides of the column."""
    old = known.column_type(name, column)
    changed = type_change(old, new, column, using)
    yield on(name, ACCESS_EXCLUSIVE, *changed)
    others: Work = "scan" if changed[0] == "rewrite" else "catalog"
    keys = [other for key, other in known.referred(name) if column in key.columns]
    keys += [other for key, other in known.referring(name) if column in key.referred_columns]
    for other in keys:
        yield on(other, ACCESS_EXCLUSIVE, others, "a foreign key between the two is made again")
    detail = known.tables.get(name)
    if detail is None or not known.whole:
        yield unnamed(ACCESS_EXCLUSIVE, f"the tables that a foreign key connects with {name[1]}.{column}")
    if detail and any(
        one.kind == "check" and column in re.findall(r"\w+", one.definition) for one in detail.constraints
    ):
        yield on(name, ACCESS_EXCLUSIVE, "scan", "a check of the column is made again")


ALIASES: Mapping[str, str] = {
    "character varying": "varchar",
    "char varying": "varchar",
    "character": "char",
    "decimal": "numeric",
    "dec": "numeric",
    "int": "integer",
    "int4": "integer",
    "int2": "smallint",
    "int8": "bigint",
    "bool": "boolean",
    "float8": "double precision",
    "float": "double precision",
    "float4": "real",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "time with time zone": "timetz",
    "bit varying": "varbit",
}
LENGTHS = ("varchar", "varbit")
FRACTIONS = ("timestamp", "timestamptz", "time", "timetz")
DIGITS_OF_A_SECOND = 6


def read_type(text: str) -> tuple[str, tuple[int, ...]]:
    """A type's plain name and its modifiers: ('varchar', (255,))."""
    text = " ".join(text.lower().replace('"', "").split())
    found = re.search(r"\(([\d\s,]+)\)", text)
    base = " ".join(re.sub(r"\([^)]*\)", " ", text).split()).removeprefix("pg_catalog.")
    modifiers = tuple(int(one) for one in found[1].split(",")) if found else ()
    base = ALIASES.get(base, base)
    return base, (1,) if base == "char" and not modifiers else modifiers


def type_change(old: str | None, new: str, column: str, using: str | None) -> tuple[Work, str | None]:
    """What ALTER COLUMN TYPE does to the rows (its page in the manual: binary coercible types keep them)."""
    if using is not None and not _only_casts(using, column, new):
        return "rewrite", "computes the column for every row"
    if old is None:
        return "rewrite", "unless the type it has now is stored in the same way"
    (was, had), (will, has) = read_type(old), read_type(new)
    if (was, had) == (will, has):
        return "catalog", None
    if {was, will} == {"timestamp", "timestamptz"} and _wide_enough(had, has):
        return "rewrite", "unless the session's time zone is UTC"
    if _keeps_rows(was, had, will, has):
        return "catalog", None
    return "rewrite", f"from {old} to {new}"


def _keeps_rows(was: str, had: tuple[int, ...], will: str, has: tuple[int, ...]) -> bool:
    if was == will and was in LENGTHS:
        return not has or (bool(had) and has[0] >= had[0])
    if was == will and was in FRACTIONS:
        return _wide_enough(had, has)
    if was == will and was == "numeric":
        scales = had[1:] or (0,), has[1:] or (0,)
        return not has or (bool(had) and has[0] >= had[0] and scales[0] == scales[1])
    free = not has
    return (was, will) in {("varchar", "text"), ("cidr", "inet")} or (was == "text" and will == "varchar" and free)


def _wide_enough(had: tuple[int, ...], has: tuple[int, ...]) -> bool:
    return (has or (DIGITS_OF_A_SECOND,))[0] >= (had or (DIGITS_OF_A_SECOND,))[0]


CAST = re.compile(r"cast\s*\((.+)\s+as\s+(.+)\)", re.IGNORECASE | re.DOTALL)


def _only_casts(using: str, column: str, new: str) -> bool:
    """Whether USING says no more than the server would do without it: the column itself, or cast to the new type."""
    spelled = CAST.fullmatch(using.strip())
    what, _, kind = (spelled[1], "::", spelled[2]) if spelled else using.partition("::")
    while kind.count(")") > kind.count("("):
        kind = kind.rstrip().removesuffix(")")
    is_column = what.strip(' ()"\n').lower() == column.lower()
    return is_column and (not kind or read_type(kind) == read_type(new))


# -- constraints and indexes


def add_foreign_key(name: Name, referred: Name, valid: bool = True) -> Iterator[Effect]:
    if not valid:
        yield on(name, SHARE_ROW_EXCLUSIVE, note="does not look at the rows that are there")
    else:
        yield on(name, SHARE_ROW_EXCLUSIVE, "scan", "looks up every row's key while writers wait")
    if referred != name:
        yield on(referred, SHARE_ROW_EXCLUSIVE, "scan" if valid else "catalog", "the foreign key refers to it")


def add_check(name: Name, valid: bool = True) -> Effect:
    if not valid:
        return on(name, ACCESS_EXCLUSIVE, note="does not look at the rows that are there")
    return on(name, ACCESS_EXCLUSIVE, "scan", "checks every row")


def add_index_constraint(name: Name) -> Effect:
    return on(name, ACCESS_EXCLUSIVE, "build", "builds the index while readers and writers wait")


def drop_constraint(
    known: Known, name: Name, constraint: str | None, kind: str | None, cascade: bool = False
) -> Iterator[Effect]:
    """`kind` None where only the name is known."""
    yield on(name, ACCESS_EXCLUSIVE)
    keys = [(key, other) for key, other in known.referred(name) if key.name == constraint]
    for _, other in keys:
        yield on(other, ACCESS_EXCLUSIVE, note="the foreign key refers to it")
    if known.tables.get(name) is None and kind in {None, "foreign"}:
        yield unnamed(ACCESS_EXCLUSIVE, f"the table that {constraint} refers to, if it is a foreign key")
    elif kind == "foreign" and not keys:
        yield unnamed(ACCESS_EXCLUSIVE, f"the table that {constraint} refers to")
    if cascade and not keys and kind not in {"foreign", "check"}:
        yield from _referring_key(known, name, constraint)


def _referring_key(known: Known, name: Name, constraint: str | None) -> Iterator[Effect]:
    """The tables whose foreign keys rest on a primary key or unique constraint."""
    detail = known.tables.get(name)
    if detail is None or not known.whole:
        yield unnamed(ACCESS_EXCLUSIVE, f"the tables whose foreign keys refer to {name[1]}")
    if detail is None or any(one.name == constraint and one.kind != "unique" for one in detail.constraints):
        return
    columns = next((one.columns for one in detail.indexes if one.name == constraint), detail.primary_key)
    for key, other in known.referring(name):
        if set(columns) == set(key.referred_columns):
            yield on(other, ACCESS_EXCLUSIVE, note="its foreign key rests on the constraint, and goes")


def create_index(name: Name, concurrently: bool) -> Effect:
    if concurrently:
        note = "builds the index beside readers and writers, and waits for transactions that are open"
        return on(name, SHARE_UPDATE_EXCLUSIVE, "build", note)
    return on(name, SHARE, "build", "builds the index while writers wait")


def drop_index(known: Known, schema: str | None, index: str, table: Name | None, concurrently: bool) -> Effect:
    mode = SHARE_UPDATE_EXCLUSIVE if concurrently else ACCESS_EXCLUSIVE
    name = known.table_of_index(schema, index) or table
    return unnamed(mode, f"the table of index {index}") if name is None else on(name, mode)
