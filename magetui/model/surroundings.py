"""What surrounds the tables of a database and decides whether an operation on them succeeds: views, types, rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Path = tuple[str | None, str]  # a schema, and a name in it

Castable = Literal["always", "assigned", "explicit", "never"]


@dataclass(frozen=True, slots=True)
class Relation:
    """Something that is no table and no index, and whose name no table and no index may have."""

    schema: str | None
    name: str
    kind: str  # 'view', 'sequence', …


@dataclass(frozen=True, slots=True)
class Dependent:
    """Something that needs a table, or one of its columns: a view, a policy, a trigger, a generated column.

    `name` names it in words: 'view v'. `holds`: whether the column cannot be dropped while it exists.
    """

    table: Path
    column: str | None
    name: str
    holds: bool = True


@dataclass(frozen=True, slots=True)
class NamedConstraint:
    table: Path
    name: str
    kind: str  # 'p', 'u', 'f', 'c', 'x', … as pg_constraint has it


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Everything that surrounds the tables. What a dialect does not have is empty."""

    schemas: frozenset[str] = frozenset()
    closed_schemas: frozenset[str] = frozenset()  # in which this role may create nothing
    relations: tuple[Relation, ...] = ()
    types: frozenset[Path] = frozenset()
    dependents: tuple[Dependent, ...] = ()
    constraints: tuple[NamedConstraint, ...] = ()
    not_owned: frozenset[Path] = frozenset()  # tables that this role may not alter
    special: frozenset[Path] = frozenset()  # partitioned tables, and tables that inherit or are inherited from
    event_triggers: tuple[str, ...] = ()  # which may refuse a statement


@dataclass(frozen=True, slots=True)
class Found:
    """What a query found: some of its rows as texts, and how many there are.

    If `problem` is set, the query gave no answer, and the problem says why as the end of a sentence; `code` is then the
    error code of the server, if it has one.
    """

    count: int = 0
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = field(default=())
    problem: str | None = None
    code: str | None = None
