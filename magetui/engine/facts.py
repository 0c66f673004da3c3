"""What can be seen of a schema, one fact at a time, in a spelling that scripts and servers share.

A script says VARCHAR(255) where PostgreSQL says 'character varying(255)', and CURRENT_TIMESTAMP where it says 'now()'.
Two schemas are alike where their facts are; a fact that one of them could only guess at is not made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from magetui.backends.base import Column, TableDetail

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
    """`table` is the table, or the enum type; `name` the part of it, `value` how that part is."""

    kind: FactKind
    table: str
    name: str = ""
    value: str = ""

    def __str__(self) -> str:  # noqa: PLR0911, PLR0912 - a sentence a kind
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
        """What it speaks of, whatever it says: two facts of one place that differ contradict each other.

        A table may be unique in several ways, so that each speaks of itself alone.
        """
        return self.kind, self.table, self.name or (self.value if self.kind == "unique" else "")


# PostgreSQL's names for what SQL and SQLAlchemy call otherwise (manual, table 8.1).
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
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "time": "time without time zone",
    "timetz": "time with time zone",
}
NOW = frozenset({"now()", "current_timestamp", "current_timestamp()", "transaction_timestamp()"})
CAST = re.compile(
    r"""::(?:"[^"]+"|[a-z_][\w.]*)
        (?:[ ](?:varying|precision|with(?:out)?[ ]time[ ]zone))?
        (?:\(\d+(?:,[ ]?\d+)?\))?(?:\[\])?""",
    re.VERBOSE,
)
COLUMN_NAME = re.compile(r"[\w$]+")
ORDERED = re.compile(r"\s+(?:asc|desc|nulls\s+(?:first|last)|\w+_ops)$", re.IGNORECASE)
PLAIN = re.compile(r"'(?:[^']|'')*'|-?\d+(?:\.\d+)?|true|false|null|[a-z_]+\(\)|current_\w+|now", re.IGNORECASE)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# What PostgreSQL takes for true and false (manual, 8.6), and types of which it spells a value anew.
BOOLEANS: Mapping[str, str] = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1"), "true"),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0"), "false"),
}
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
)
EXPRESSION = "…"
UNREAD = "unread"  # the backend gives an ellipsis for what it would have to wait for


@lru_cache(maxsize=65_536)
def column_facts(table: str, column: Column, dialect: str, *, key: bool) -> tuple[Fact, ...]:
    """A column as facts; of a primary key's, whether it may be null says nothing."""
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
    """A type's name as PostgreSQL spells it; other dialects keep what was declared."""
    spelled = re.sub(r"\s*([(),])\s*", r"\1", " ".join(text.split()))
    if dialect != "postgresql":
        return spelled.upper()
    if spelled.startswith('"'):
        return spelled
    spelled = spelled.lower()
    name, bracket, rest = re.match(r"([^(\[]*)([(\[]?)(.*)", spelled, re.DOTALL).groups()  # type: ignore[union-attr]
    if name == "float" and bracket == "(":
        return "real" if int(rest.rstrip(")")) <= 24 else "double precision"
    behind = "" if bracket != "(" else rest.partition(")")[2]
    if name in ("timestamp", "time") and behind.strip():
        return spelled
    known = TYPES.get(name.strip(), name.strip())
    if bracket == "(" and known.startswith(("timestamp ", "time ")):
        first, _, last = known.partition(" ")
        return f"{first}({rest} {last}"
    return f"{known}{bracket}{rest}" if known != "character" or bracket else "character(1)"


def default_of(text: str | None, kind: str) -> str:  # noqa: PLR0911 - a case a spelling
    """A default of a column of that type (as `type_of` has it); nothing for a sequence's.

    PostgreSQL keeps a default's value and not its text. An ellipsis stands for what each spells in its own way.
    """
    if text is None or text.lower().startswith(("nextval(", "generated ")):
        return ""
    if text == "…":
        return UNREAD
    bare = CAST.sub("", text.strip())
    while bare.startswith("(") and bare.endswith(")") and _encloses(bare):
        bare = CAST.sub("", bare[1:-1].strip())
    if bare.lower() in NOW:
        return "now()"
    if bare.upper() == "NULL":
        return ""
    if not PLAIN.fullmatch(bare) or kind.endswith("]") or kind.startswith(RESPELLED):
        return EXPRESSION
    value = bare.strip("'").lower()
    if kind == "boolean":
        return BOOLEANS.get(value, value)
    if NUMBER.fullmatch(value):
        return f"{Decimal(value).normalize():f}"
    return bare if bare.startswith("'") else value


def _encloses(text: str) -> bool:
    """Whether the first bracket is closed by the last."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return place == len(text) - 1
    return False


def index_fact(table: str, name: str, columns: Iterable[str], *, unique: bool) -> Fact:
    """An index; of a unique one its columns alone, since a unique constraint is one too and has a name of its own.

    Where it is by the primary key's columns it is none for whoever asks: SQLite makes one of the two.
    """
    spelled = ", ".join(map(_indexed, columns))
    return Fact("unique", table, "", spelled) if unique else Fact("index", table, name, spelled)


def _indexed(column: str) -> str:
    """What is indexed, whatever its order: a server tells that apart from the column, a script in one text with it."""
    bare = column.strip()
    while (shorter := ORDERED.sub("", bare)) != bare:
        bare = shorter
    return bare if COLUMN_NAME.fullmatch(bare) else EXPRESSION


def foreign_key_fact(table: str, columns: Iterable[str], to: str, there: Iterable[str], on_delete: str | None) -> Fact:
    rule = f" on delete {on_delete.lower()}" if on_delete and on_delete.upper() != "NO ACTION" else ""
    return Fact("foreign-key", table, ", ".join(columns), f"{to} ({', '.join(there)}){rule}")


def table_name(name: str, schema: str | None, usual: str | None) -> str:
    """A table's name, with its schema where that is not where unqualified names go."""
    return name if schema in (None, usual) else f"{schema}.{name}"


def live_facts(details: Iterable[TableDetail], dialect: str, usual: str | None) -> dict[str, frozenset[Fact]]:
    """The facts of each table as the server tells them, by the table's name."""
    return {
        table_name(detail.table.name, detail.table.schema, usual): frozenset(_of_table(detail, dialect, usual))
        for detail in details
    }


def _of_table(detail: TableDetail, dialect: str, usual: str | None) -> Iterable[Fact]:
    table = table_name(detail.table.name, detail.table.schema, usual)
    yield Fact("table", table)
    for column in detail.columns:
        yield from column_facts(table, column, dialect, key=column.name in detail.primary_key)
    if detail.primary_key:
        yield Fact("primary-key", table, "", ", ".join(detail.primary_key))
    for index in detail.indexes:
        # One that is not valid serves nobody: what was to make it has not been done.
        if index.valid and not (index.unique and index.columns == detail.primary_key):
            yield index_fact(table, index.name, index.columns, unique=index.unique)
    for constraint in detail.constraints:
        if constraint.kind == "unique" and constraint.columns != detail.primary_key:
            yield index_fact(table, "", constraint.columns, unique=True)
        elif constraint.kind == "check" and constraint.name:
            yield Fact("check", table, constraint.name)
    for key in detail.foreign_keys:
        to = table_name(key.referred_table, key.referred_schema, usual)
        yield foreign_key_fact(table, key.columns, to, key.referred_columns, key.on_delete)
