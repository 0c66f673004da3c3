"""Tables and what belongs to them, as a database reports them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

BATCH_PREFIX = "_alembic_tmp_"  # what Alembic's batch operations put before the name of a table's copy


@dataclass(frozen=True, slots=True)
class VersionTable:
    """One version table found in the database: `rows` is None where `problem` says why it cannot be read."""

    schema: str | None
    name: str
    rows: tuple[str, ...] | None
    effective: bool  # the one that Alembic would use
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Leftover:
    """What a run left behind: an invalid index, a table of a batch operation, an enum type that nothing uses."""

    kind: Literal["invalid-index", "leftover-table", "leftover-type"]
    schema: str | None
    name: str
    table: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table in a listing; `rows` is the server's estimate, `bytes` includes indexes; None where unknown."""

    schema: str | None
    name: str
    rows: int | None
    bytes: int | None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str  # as the server spells it: 'character varying(255)'
    nullable: bool
    default: str | None = None  # the expression's text


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
    on_delete: str | None = None  # 'CASCADE', 'SET NULL', …; None for the default


@dataclass(frozen=True, slots=True)
class Constraint:
    """A unique or check constraint; primary and foreign keys have fields of their own."""

    name: str | None
    kind: Literal["unique", "check", "exclude"]
    definition: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnumType:
    """An enum type with its values in their order."""

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
class Wanted:
    """What is counted of a table: all rows, those with something in `column`, or those with `value` there."""

    column: str | None = None
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """`rows` is the server's estimate where it is not `exact`, None where it has none; then `problem` says why."""

    rows: int | None
    exact: bool
    problem: str | None = None
