"""A schema as single facts, in a spelling that scripts and servers share.

A script says VARCHAR(255) and CURRENT_TIMESTAMP; PostgreSQL reports 'character varying(255)' and 'now()'. Two schemas
are alike if their facts are equal. A fact that one side could only guess is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from magetui.engine.schema.defaults import COLLATION, STRING, bare, number_in
from magetui.model.schema import Column

FactKind = Literal[
    "table",
    "column",
    "type",
    "null",
    "default",
    "primary-key",
    "index",
    "unique",
    "foreign-key",
    "check",
    "name",
    "enum",
    "enum-value",
    "enum-order",
]


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about a table or an enum type: `name` is the part of it, and `value` is the state of that part."""

    kind: FactKind
    table: str
    name: str = ""
    value: str = ""

    def __str__(self) -> str:  # noqa: PLR0911, PLR0912 - one text for each kind
        where = f"{self.table}.{self.name}"
        match self.kind:
            case "table":
                return f"table {self.table}"
            case "column":
                return f"column {where}"
            case "type":
                return f"{where} of type {self.value}"
            case "null":
                return f"{where} {self.value}"
            case "default":
                return f"{where} with {f'default {self.value}' if self.value else 'no default'}"
            case "primary-key":
                return f"primary key of {self.table} on {self.value}"
            case "index":
                return f"index {self.name} on {self.table} ({self.value})"
            case "unique":
                return f"{self.table} unique by {self.value}"
            case "foreign-key":
                return f"foreign key {self.table} ({self.name}) to {self.value}"
            case "check":
                return f"check {self.name} on {self.table}{f': {self.value}' if self.value else ''}"
            case "name":
                return f"{self.name} of {self.table} named {self.value}"
            case "enum":
                return f"type {self.table}"
            case "enum-value":
                return f"value '{self.value}' of type {self.table}"
            case "enum-order":
                return f"values of type {self.table} in the order {self.value}"

    @property
    def place(self) -> tuple[str, str, str]:
        """The part of the schema that the fact describes: two different facts of one place contradict each other.

        A table may have several unique constraints, so each of them is a place of its own.
        """
        return self.kind, self.table, self.name or (self.value if self.kind == "unique" else "")


Difference = tuple[Fact, bool]  # True: expected and missing in the live schema; False: live and not expected


def differences_of(expected: Set[Fact], live: Set[Fact]) -> list[Difference]:
    return [*((fact, True) for fact in expected - live), *((fact, False) for fact in live - expected)]


def in_order(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return the differences by table, and the missing facts of a table first."""
    return tuple(sorted(differences, key=lambda pair: (pair[0].table, not pair[1], str(pair[0]))))


# PostgreSQL's names of types that SQL and SQLAlchemy name differently (manual, table 8.1).
TYPES: Mapping[str, str] = {
    "varchar": "character varying",
    "char": "character",
    "int": "integer",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "serial": "integer",
    "serial4": "integer",
    "bigserial": "bigint",
    "serial8": "bigint",
    "smallserial": "smallint",
    "bool": "boolean",
    "float": "double precision",
    "float8": "double precision",
    "float4": "real",
    "decimal": "numeric",
    "dec": "numeric",
    "varbit": "bit varying",
    "nchar": "character",
    "national char": "character",
    "national character": "character",
    "char varying": "character varying",
    "nchar varying": "character varying",
    "national char varying": "character varying",
    "national character varying": "character varying",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
}
# SQLite keeps a type as it was declared. The parser of SQL in scripts does not distinguish these.
SYNONYMS: Mapping[str, str] = {
    "INT": "INTEGER",
    "INT4": "INTEGER",
    "INT2": "SMALLINT",
    "BOOL": "BOOLEAN",
    "DECIMAL": "NUMERIC",
    "DEC": "NUMERIC",
    "DOUBLE": "FLOAT",
    "DOUBLE PRECISION": "FLOAT",
    "REAL": "FLOAT",
    "CHARACTER": "CHAR",
    "NCHAR": "CHAR",
    "CHARACTER VARYING": "VARCHAR",
    "NVARCHAR": "VARCHAR",
    "CLOB": "TEXT",
    "BINARY": "BLOB",
    "VARBINARY": "BLOB",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
}
SHORT_INTERVAL = re.compile(r"interval\s+(\d)")  # the parser's spelling
NAME_AND_LENGTH = re.compile(r"^([^(]+)(.*)$")
WITHOUT_LENGTH: Mapping[str, str] = {"character": "(1)", "bit": "(1)"}
ARRAY = re.compile(r"(?:\s+array)?(?:\s*\[\s*\d*\s*\])*$", re.IGNORECASE)
TYPE_SCHEMA = re.compile(r'(?:"[^"]+"|[^\W\d][\w$]*)\.(?=["\w])')
NOW = frozenset({"now()", "current_timestamp", "current_timestamp()", "transaction_timestamp()"})
COLUMN_NAME = re.compile(r"[\w$]+")
LOWER_NAME = re.compile(r"[a-z_][a-z0-9_$]*")
ORDERED = re.compile(
    rf"(?:\s+(?:asc|desc|nulls\s+(?:first|last)|\w+_ops)$)|{COLLATION.pattern}",
    re.IGNORECASE,
)
PLAIN = re.compile(rf"{STRING.pattern}|true|false|null|[a-z_]+\(\)|current_\w+|now", re.IGNORECASE)
# Types whose string defaults are kept unchanged. For other types, a string may be a number.
TEXT_TYPE = re.compile(r"n?(?:var)?char|character|text|citext|clob|name|json$|xml", re.IGNORECASE)
# The spellings of true and false that PostgreSQL accepts (manual, 8.6).
BOOLEANS: Mapping[str, str] = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), "true"),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), "false"),
}
# Types whose values PostgreSQL spells in its own way.
RESPELLED = (
    "timestamp",
    "time",
    "date",
    "interval",
    "jsonb",
    "uuid",
    "inet",
    "cidr",
    "macaddr",
    "bytea",
    "bit",
    "money",
    "int4",  # and int8: ranges and multiranges, because the numbers have other names here
    "int8",
    "numrange",
    "nummultirange",
    "ts",
    "jsonpath",
    "hstore",
    "reg",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "pg_lsn",
)
EXPRESSION = "…"
UNREAD = "unread"  # the backend returns an ellipsis for a default that it would have to wait for


@lru_cache(maxsize=65_536)
def column_facts(table: str, column: Column, dialect: str, *, key: bool) -> tuple[Fact, ...]:
    """Return the facts of a column. For a column of the primary key, nullability says nothing and is left out."""
    kind = type_of(column.type, dialect)
    facts = [
        Fact("column", table, column.name),
        Fact("type", table, column.name, kind),
        Fact("default", table, column.name, default_of(column.default, kind)),
    ]
    if not key:
        facts.append(Fact("null", table, column.name, "null" if column.nullable else "not null"))
    return tuple(facts)


def type_of(text: str, dialect: str) -> str:
    """Return a type's name as PostgreSQL spells it; in other dialects as it was declared, except for synonyms.

    The schema is left out, because a server leaves it out if it finds the type without it. The number of dimensions of
    an array is left out, because PostgreSQL does not keep it (manual, 8.15.1).
    """
    spelled = re.sub(r"\s*([(),])\s*", r"\1", COLLATION.sub("", " ".join(text.split())))
    if dialect != "postgresql":
        return NAME_AND_LENGTH.sub(lambda match: SYNONYMS.get(match[1], match[1]) + match[2], spelled.upper())
    single = ARRAY.sub("", spelled)
    array = "[]" if single != spelled else ""
    single = TYPE_SCHEMA.sub("", single, count=1) if TYPE_SCHEMA.match(single) else single
    if single.startswith('"'):
        return f"{single[1:-1] if LOWER_NAME.fullmatch(single[1:-1]) else single}{array}"
    return _single_type(single.lower()) + array


def _single_type(spelled: str) -> str:
    name, length, suffix = re.match(r"([^(]*)(\([^)]*\))?(.*)", spelled, re.DOTALL).groups("")  # type: ignore[union-attr]
    if name == "float" and length:
        return "real" if int(length[1:-1]) <= 24 else "double precision"
    if suffix:  # of a time: 'with time zone'
        return f"{name.strip()}{length} {suffix.strip()}"
    if short := SHORT_INTERVAL.fullmatch(name):
        return f"interval({short[1]})"
    known = "character" if name == "bpchar" and length else TYPES.get(name.strip(), name.strip())
    if length and known.startswith(("timestamp ", "time ")):
        first, _, last = known.partition(" ")
        return f"{first}{length} {last}"
    if known == "numeric" and length and "," not in length:
        return f"numeric({length[1:-1]},0)"
    return f"{known}{length or WITHOUT_LENGTH.get(known, '')}"


def default_of(text: str | None, kind: str) -> str:  # noqa: PLR0911 - one case for each spelling
    """Return the default of a column of type `kind` (spelled as by `type_of`); '' for a sequence or no default.

    PostgreSQL keeps the value of a default, not its text. An ellipsis stands for values that scripts and servers spell
    differently.
    """
    if text is None or text.lower().startswith(("nextval(", "generated ")):
        return ""
    if text == "…":
        return UNREAD
    value = bare(text)
    plain = value.lower()
    if plain in NOW:
        return "now()"
    if plain == "null":
        return ""
    if kind.endswith("]") or kind.startswith(RESPELLED):
        return EXPRESSION
    quoted = STRING.fullmatch(value)
    content = plain if quoted is None else quoted[1].strip().lower()
    if kind == "boolean" and content in BOOLEANS:
        return BOOLEANS[content]
    if quoted is None or not TEXT_TYPE.match(kind):
        number = number_in(content, kind)
        if number is not None:
            return number
    if quoted is not None:
        return value
    return plain if PLAIN.fullmatch(value) else EXPRESSION


def index_fact(table: str, name: str, columns: Iterable[str], *, unique: bool) -> Fact:
    """Return the fact of an index; for a unique index without its name, which differs from its constraint's name.

    Callers leave out unique indexes on the columns of the primary key: SQLite makes only one of the two.
    """
    spelled = ", ".join(map(_indexed, columns))
    return Fact("unique", table, "", spelled) if unique else Fact("index", table, name, spelled)


def _indexed(column: str) -> str:
    """Return the indexed column without order and collation, which a server reports apart from it."""
    name = column.strip()
    while (shorter := ORDERED.sub("", name)) != name:
        name = shorter
    if name.startswith('"') and name.endswith('"'):
        name = name[1:-1]
    return name if COLUMN_NAME.fullmatch(name) else EXPRESSION


def foreign_key_fact(
    table: str, columns: Iterable[str], referred: str, referred_columns: Iterable[str], on_delete: str | None
) -> Fact:
    rule = f" on delete {on_delete.lower()}" if on_delete and on_delete.upper() != "NO ACTION" else ""
    return Fact("foreign-key", table, ", ".join(columns), f"{referred} ({', '.join(referred_columns)}){rule}")


def table_name(name: str, schema: str | None, default_schema: str | None) -> str:
    """Return a table's name, with its schema unless that is the default schema."""
    return name if schema in (None, default_schema) else f"{schema}.{name}"
