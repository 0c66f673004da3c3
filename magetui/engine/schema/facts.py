"""A schema as single facts, in a spelling that scripts and servers share.

A script says VARCHAR(255) and CURRENT_TIMESTAMP; PostgreSQL reports 'character varying(255)' and 'now()'. Two schemas
are alike if their facts are equal. A fact that one side could only guess is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from magetui.engine.schema.defaults import COLLATION, STRING, bare, number_in

if TYPE_CHECKING:
    from magetui.model.schema import Column

TableFactKind = Literal[
    "table", "column", "type", "null", "default", "primary-key", "index", "unique", "foreign-key", "check", "name"
]
FactKind = Literal[TableFactKind, "enum", "enum-value", "enum-order"]
TEXTS: Mapping[FactKind, str] = {
    "table": "table {table}",
    "column": "column {table}.{name}",
    "type": "{table}.{name} of type {value}",
    "null": "{table}.{name} {value}",
    "default": "{table}.{name} with {default}",
    "primary-key": "primary key of {table} on {value}",
    "index": "index {name} on {table} ({value})",
    "unique": "{table} unique by {value}",
    "foreign-key": "foreign key {table} ({name}) to {value}",
    "check": "check {name} on {table}{condition}",
    "name": "{name} of {table} named {value}",
    "enum": "type {table}",
    "enum-value": "value '{value}' of type {table}",
    "enum-order": "values of type {table} in the order {value}",
}


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about a table or an enum type: `name` is the part of it, and `value` is the state of that part."""

    kind: FactKind
    table: str
    name: str = ""
    value: str = ""

    def __str__(self) -> str:
        default = f"default {self.value}" if self.value else "no default"
        condition = f": {self.value}" if self.value else ""
        return TEXTS[self.kind].format(
            table=self.table, name=self.name, value=self.value, default=default, condition=condition
        )

    @property
    def place(self) -> tuple[str, str, str]:
        """The described part: two facts of one place contradict each other. Each unique constraint is its own place."""
        return self.kind, self.table, self.name or (self.value if self.kind == "unique" else "")


# The order in which a reader needs facts: what exists at all says more than the state of its parts.
TELLING: tuple[FactKind, ...] = (
    "table", "enum", "column", "primary-key", "foreign-key", "unique", "index", "check", "enum-value",
    "type", "null", "default", "enum-order", "name",
)  # fmt: skip


def telling(fact: Fact) -> tuple[int, str, str]:
    """Return a sort key: the most telling fact first, then by table and name."""
    return TELLING.index(fact.kind), fact.table, str(fact)


def without_parts(facts: Iterable[Fact]) -> list[Fact]:
    """Return the facts that are things of their own: a table, a column, an index, a changed type.

    What belongs to a table, type, column or constraint among the facts is left out, so that each thing counts once.
    """
    facts = set(facts)
    complete = {(fact.table, "") for fact in facts if fact.kind in ("table", "enum")}
    complete |= {(fact.table, fact.name) for fact in facts if fact.kind == "column"}
    complete |= {(fact.table, f"unique ({fact.value})") for fact in facts if fact.kind == "unique"}
    complete |= {(fact.table, f"foreign key ({fact.name})") for fact in facts if fact.kind == "foreign-key"}
    return [
        fact
        for fact in facts
        if fact.kind in ("table", "enum")
        or ((fact.table, "") not in complete and (fact.kind == "column" or (fact.table, fact.name) not in complete))
    ]


Difference = tuple[Fact, bool]  # True: expected and missing in the live schema; False: live and not expected


def differences_of(expected: Set[Fact], live: Set[Fact]) -> list[Difference]:
    return [*((fact, True) for fact in expected - live), *((fact, False) for fact in live - expected)]


def in_order(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return the differences by table, and the missing facts of a table first."""
    return tuple(sorted(differences, key=lambda pair: (pair[0].table, not pair[1], str(pair[0]))))


def _by_spelling(spellings: Mapping[str, str]) -> Mapping[str, str]:
    """Return a mapping from each spelling of a type to its name. Commas separate the spellings of a name."""
    return {spelling: name for name, others in spellings.items() for spelling in others.split(", ")}


# PostgreSQL's names of types that SQL and SQLAlchemy name differently (manual, table 8.1).
TYPES = _by_spelling(
    {
        "character varying": "varchar, char varying, nchar varying, national char varying, national character varying",
        "character": "char, nchar, national char, national character",
        "integer": "int, int4, serial, serial4",
        "smallint": "int2, smallserial",
        "bigint": "int8, bigserial, serial8",
        "boolean": "bool",
        "double precision": "float, float8",
        "real": "float4",
        "numeric": "decimal, dec",
        "bit varying": "varbit",
        "timestamp without time zone": "timestamp",
        "timestamp with time zone": "timestamptz",
        "time without time zone": "time",
        "time with time zone": "timetz",
    }
)
# SQLite keeps a type as it was declared. The parser of SQL in scripts does not distinguish these.
SYNONYMS = _by_spelling(
    {
        "INTEGER": "INT, INT4",
        "SMALLINT": "INT2",
        "BOOLEAN": "BOOL",
        "NUMERIC": "DECIMAL, DEC",
        "FLOAT": "DOUBLE, DOUBLE PRECISION, REAL",
        "CHAR": "CHARACTER, NCHAR",
        "VARCHAR": "CHARACTER VARYING, NVARCHAR",
        "TEXT": "CLOB",
        "BLOB": "BINARY, VARBINARY",
        "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    }
)
SHORT_INTERVAL = re.compile(r"interval\s+(\d)")  # the parser's spelling
NAME_AND_LENGTH = re.compile(r"^([^(]+)(.*)$")
WITHOUT_LENGTH: Mapping[str, str] = {"character": "(1)", "bit": "(1)"}
ARRAY = re.compile(r"(?:\s+array)?(?:\s*\[\s*\d*\s*\])*$", re.IGNORECASE)
TYPE_SCHEMA = re.compile(r'(?:"[^"]+"|[^\W\d][\w$]*)\.(?=["\w])')
NOW = frozenset({"now()", "current_timestamp", "current_timestamp()", "transaction_timestamp()"})
COLUMN_NAME = re.compile(r"[\w$]+")
LOWER_NAME = re.compile(r"[a-z_][a-z0-9_$]*")
ORDERED = re.compile(rf"(?:\s+(?:asc|desc|nulls\s+(?:first|last)|\w+_ops)$)|{COLLATION.pattern}", re.IGNORECASE)
PLAIN = re.compile(rf"{STRING.pattern}|true|false|null|[a-z_]+\(\)|current_\w+|now", re.IGNORECASE)
# Types whose string defaults are kept unchanged. For other types, a string may be a number.
TEXT_TYPE = re.compile(r"n?(?:var)?char|character|text|citext|clob|name|json$|xml", re.IGNORECASE)
# The spellings of true and false that PostgreSQL accepts (manual, 8.6).
BOOLEANS: Mapping[str, str] = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), "true"),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), "false"),
}
# Types whose values PostgreSQL spells in its own way.
# int4 and int8 are ranges and multiranges, because the numbers have other names here.
RESPELLED = tuple(
    """timestamp time date interval jsonb uuid inet cidr macaddr bytea bit money int4 int8 numrange nummultirange ts
    jsonpath hstore reg point line lseg box path polygon circle pg_lsn""".split()  # noqa: SIM905 - to be read, not scrolled
)
# A script that takes the present time for a default sets another one each time that it runs.
MOMENT = re.compile(r"'\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d{6}[^']*'")
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
    if kind.endswith("]") or kind.startswith(RESPELLED) or MOMENT.fullmatch(value):
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
