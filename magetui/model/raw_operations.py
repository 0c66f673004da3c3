"""What a script's own SQL does beside Alembic's operations, and what of it is not read: operations like those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from magetui.model.operations import Operation


@dataclass(frozen=True, slots=True)
class AddEnumValue(Operation):
    kind: ClassVar[str] = "add-enum-value"
    name: str
    schema: str | None
    value: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameEnumValue(Operation):
    kind: ClassVar[str] = "rename-enum-value"
    name: str
    schema: str | None
    value: str
    new_value: str


@dataclass(frozen=True, slots=True)
class RenameType(Operation):
    kind: ClassVar[str] = "rename-type"
    name: str
    schema: str | None
    new_name: str


@dataclass(frozen=True, slots=True)
class RenameIndex(Operation):
    kind: ClassVar[str] = "rename-index"
    name: str
    schema: str | None
    new_name: str


@dataclass(frozen=True, slots=True)
class Unclear(Operation):
    """It may have done anything to what `words`, the names in its text, name: with `takes_tables`, dropped it too."""

    kind: ClassVar[str] = "unclear"
    words: frozenset[str]
    takes_tables: bool = False


@dataclass(frozen=True, slots=True)
class UnclearTable(Unclear):
    """What it does to one table is not read here; `makes`: it makes it."""

    kind: ClassVar[str] = "unclear-table"
    table: str = ""
    schema: str | None = None
    makes: bool = False
