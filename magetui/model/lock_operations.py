"""What raw SQL does beside the schema: locks and changes of rows, as operations that a lock forecast is made from.

Only the reader of SQL makes them. They are never recorded, so they have no `kind`.
"""

from __future__ import annotations

from dataclasses import dataclass

from magetui.model.lock_modes import LockMode, TableWork
from magetui.model.operations import OnTable, Operation


@dataclass(frozen=True, slots=True)
class LockTable(Operation):
    """A statement locks a table and works on it. No schema shows the result.

    `table` None: `note` says which tables are meant. `index`: the table is the one that has this index. `mode` None:
    the lock, if any, is not known, and `note` says why. `since` is the first major version of
    PostgreSQL that takes the lock.
    """

    table: str | None
    schema: str | None
    mode: LockMode | None
    work: TableWork = "catalog"
    note: str | None = None
    index: str | None = None
    since: int = 0


@dataclass(frozen=True, slots=True)
class RunQuery(Operation):
    """A statement reads or changes rows. `runs` is False for a query that is only stored, in a view for example."""

    sql: str
    runs: bool = True


@dataclass(frozen=True, slots=True)
class TruncateTable(OnTable):
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class ValidateConstraint(OnTable):
    name: str


@dataclass(frozen=True, slots=True)
class RenameConstraint(OnTable):
    name: str
    new_name: str


@dataclass(frozen=True, slots=True)
class MoveTable(OnTable):
    """ALTER TABLE … SET SCHEMA."""

    new_schema: str


@dataclass(frozen=True, slots=True)
class DropSchema(Operation):
    """DROP SCHEMA … CASCADE."""

    schema: str


@dataclass(frozen=True, slots=True)
class Guarded(Operation):
    """IF (NOT) EXISTS: the operations run only if the table, its column or the index is `present`, or is not."""

    operations: tuple[Operation, ...]
    table: str | None
    schema: str | None
    column: str | None = None
    index: str | None = None
    present: bool = True
