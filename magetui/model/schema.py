"""Tables with their columns, indexes and constraints, as a database reports them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

BATCH_PREFIX = "_alembic_tmp_"  # of the copy that Alembic's batch operations make of a table
FIRST_ROWS = 50  # rows of a table that are read for an operator
SHOWN_CHARACTERS = 40  # of a value in such a row; the server sends one more if the value is longer
CREDENTIAL = re.compile(
    r"passw|passphrase|secret|credential|token|(^|_)(salt|pwd|jwt|cookie)s?$|session_?id"
    r"|(private|api|access|encryption)_?key",
    re.IGNORECASE,
)  # in the name of a column whose values are not read
CONTENT = frozenset({"value", "values", "content", "data", "payload"})  # such columns of a table with such a name
SHOWN_BYTES = 16  # of a value that is no text


@dataclass(frozen=True, slots=True)
class VersionTable:
    """One version table of the database. If it cannot be read, `rows` is None and `problem` says why."""

    schema: str | None
    name: str
    rows: tuple[str, ...] | None
    effective: bool  # whether Alembic would use this version table
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that a run left behind: an invalid index, a batch operation's table, or an enum type without use."""

    kind: Literal["invalid-index", "leftover-table", "leftover-type"]
    schema: str | None
    name: str
    table: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table in a listing. `rows` is the server's estimate, `bytes` includes indexes; None if unknown."""

    schema: str | None
    name: str
    rows: int | None
    bytes: int | None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str  # as the server spells it, e.g. 'character varying(255)'
    nullable: bool
    default: str | None = None  # the text of its expression


@dataclass(frozen=True, slots=True)
class Index:
    name: str
    columns: tuple[str, ...]  # column names, or the text of an expression
    unique: bool = False
    valid: bool = True
    definition: str | None = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    name: str | None
    columns: tuple[str, ...]
    referred_schema: str | None
    referred_table: str
    referred_columns: tuple[str, ...]
    on_delete: str | None = None  # 'CASCADE', 'SET NULL', …; None: NO ACTION, the default


@dataclass(frozen=True, slots=True)
class Constraint:
    """A unique, check or exclusion constraint. Primary keys and foreign keys have their own fields in `TableDetail`."""

    name: str | None
    kind: Literal["unique", "check", "exclude"]
    definition: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnumType:
    """An enum type with its values in the order of the type."""

    schema: str | None
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableDetail:
    table: Table
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    indexes: tuple[Index, ...]
    foreign_keys: tuple[ForeignKey, ...]
    constraints: tuple[Constraint, ...]


@dataclass(frozen=True, slots=True)
class SchemaSketch:
    """A schema as a script finds it that inspects the schema: its tables and types, without rows.

    A schema is None if it is the default one. `tables` are those that the script names, `names` are all others, and
    `unclear` are the tables and views of which not everything is known. If not `complete`, there may be more.
    A constraint has the name None if it has none, and '' if its name is not known.
    """

    tables: tuple[TableDetail, ...] = ()
    names: tuple[tuple[str | None, str], ...] = ()
    unclear: tuple[tuple[str | None, str], ...] = ()
    complete: bool = True
    enums: tuple[EnumType, ...] = ()
    default_schema: str | None = None


@dataclass(frozen=True, slots=True)
class Binary:
    """A value that is no text: the hexadecimal digits of its first bytes, and the number of all its bytes."""

    digits: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Hidden:
    """A value of a column that is named like a credential. The value was not read."""


Value = str | Binary | Hidden | None  # None is null


@dataclass(frozen=True, slots=True)
class FirstRows:
    """Some rows of a table, in no order. A text is cut after `SHOWN_CHARACTERS` and one more.

    If the rows could not be read, `problem` says why.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    has_more: bool = False
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows of a table to count: all, those where `column` is not null, or those where `column` is `value`."""

    column: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """A count of rows. If not `exact`, it is the server's estimate or None if it has none, and `problem` says why."""

    rows: int | None
    exact: bool
    problem: str | None = None


def holds_credentials(table: str, column: str) -> bool:
    """Return whether the values of a column may be credentials, by its name and the table's."""
    return bool(CREDENTIAL.search(column) or (CREDENTIAL.search(table) and column.lower() in CONTENT))
