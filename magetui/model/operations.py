"""Operations: one value for each `op.*` call of a revision, and for each DDL statement in a script's own SQL.

Plans, lock forecasts, data loss and evidence are all computed from this one list. Types and defaults are spelled as
the dialect's DDL spells them. No database is read to make an operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from magetui.model.lock_modes import LockMode, TableWork
from magetui.model.schema import Column, Constraint, ForeignKey, Index, SchemaSketch

ConstraintKind = Literal["primary", "foreign", "unique", "check", "exclude"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a revision. `kind` is its name in JSON."""

    TAG: ClassVar[str] = "kind"
    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class OnTable(Operation):
    """An operation on one table. If `schema` is None, the table is in the default schema."""

    table: str
    schema: str | None


@dataclass(frozen=True, slots=True)
class OnType(Operation):
    """An operation on one enum type. If `schema` is None, the type is in the default schema."""

    name: str
    schema: str | None


# -- operations of Alembic


@dataclass(frozen=True, slots=True)
class CreateTable(OnTable):
    kind: ClassVar[str] = "create-table"
    columns: tuple[Column, ...] = ()
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    primary_key_name: str | None = None
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropTable(OnTable):
    kind: ClassVar[str] = "drop-table"
    cascade: bool = False
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameTable(OnTable):
    kind: ClassVar[str] = "rename-table"
    new_name: str


@dataclass(frozen=True, slots=True)
class RebuildTable(OnTable):
    """A batch operation on SQLite copies the table; the `covers` operations that follow are done in the copy."""

    kind: ClassVar[str] = "rebuild-table"
    covers: int = 0


@dataclass(frozen=True, slots=True)
class AddColumn(OnTable):
    kind: ClassVar[str] = "add-column"
    column: Column
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropColumn(OnTable):
    kind: ClassVar[str] = "drop-column"
    column: str
    cascade: bool = False
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class AlterColumn(OnTable):
    """A change of a column. Fields that are None do not change; `drops_default` removes the default."""

    kind: ClassVar[str] = "alter-column"
    column: str
    new_name: str | None = None
    type: str | None = None
    using: str | None = None
    nullable: bool | None = None
    default: str | None = None
    drops_default: bool = False


@dataclass(frozen=True, slots=True)
class CreateIndex(OnTable):
    """A new index. `condition`: the WHERE of a partial index. `plain`: it has no other option of its dialect."""

    kind: ClassVar[str] = "create-index"
    index: Index
    concurrently: bool = False
    if_not_exists: bool = False
    condition: str | None = None
    plain: bool = True


@dataclass(frozen=True, slots=True)
class DropIndex(Operation):
    kind: ClassVar[str] = "drop-index"
    name: str
    table: str | None
    schema: str | None
    concurrently: bool = False
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class AddConstraint(OnTable):
    """A new constraint: a foreign key has `foreign_key`, the others have `columns`, a check has `definition` too.

    If `valid` is false, the constraint is NOT VALID: the server does not check the existing rows.
    """

    kind: ClassVar[str] = "add-constraint"
    constraint: ConstraintKind
    name: str | None
    columns: tuple[str, ...] = ()
    definition: str | None = None
    foreign_key: ForeignKey | None = None
    valid: bool = True


@dataclass(frozen=True, slots=True)
class DropConstraint(OnTable):
    kind: ClassVar[str] = "drop-constraint"
    name: str | None
    constraint: ConstraintKind | None
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class CreateType(OnType):
    """A new enum type. `if_not_exists`: a type of this name stays as it is."""

    kind: ClassVar[str] = "create-type"
    values: tuple[str, ...]
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class DropType(OnType):
    kind: ClassVar[str] = "drop-type"
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True, slots=True)
class ExecuteSql(Operation):
    """The script's own SQL as text. `engine.sql` reads the operations in it."""

    kind: ClassVar[str] = "sql"
    sql: str


@dataclass(frozen=True, slots=True)
class InsertRows(OnTable):
    """Rows are inserted; `columns` None means values for all columns."""

    kind: ClassVar[str] = "insert-rows"
    rows: int
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Autocommit(Operation):
    """The start of an `autocommit_block`, which commits the operations before it, or the end of one."""

    kind: ClassVar[str] = "autocommit"
    begins: bool


@dataclass(frozen=True, slots=True)
class Other(Operation):
    """An operation of Alembic or a plug-in that changes nothing this program knows, for example a comment."""

    kind: ClassVar[str] = "other"
    name: str


@dataclass(frozen=True, slots=True)
class Refused(Operation):
    """An operation that SQLAlchemy or Alembic refuses before the server sees it, and what it says then."""

    kind: ClassVar[str] = "refused"
    says: str


# These only say how the operations beside them run: nobody would count them as changes.
NO_CHANGES = (Autocommit, RebuildTable, Refused)


# -- operations that only a script's own SQL has


@dataclass(frozen=True, slots=True)
class AddEnumValue(OnType):
    kind: ClassVar[str] = "add-enum-value"
    value: str
    if_not_exists: bool = False


@dataclass(frozen=True, slots=True)
class RenameEnumValue(OnType):
    kind: ClassVar[str] = "rename-enum-value"
    value: str
    new_value: str


@dataclass(frozen=True, slots=True)
class RenameType(OnType):
    kind: ClassVar[str] = "rename-type"
    new_name: str


@dataclass(frozen=True, slots=True)
class RenameIndex(Operation):
    kind: ClassVar[str] = "rename-index"
    name: str
    schema: str | None
    new_name: str


@dataclass(frozen=True, slots=True)
class Unclear(Operation):
    """SQL that is not understood: it may change anything that its `words` name. `takes_tables`: it may drop tables."""

    kind: ClassVar[str] = "unclear"
    words: frozenset[str]
    takes_tables: bool = False


@dataclass(frozen=True, slots=True)
class UnclearTable(Unclear):
    """SQL that changes one table in a way that is not understood. `makes`: it creates the table."""

    kind: ClassVar[str] = "unclear-table"
    table: str = ""
    schema: str | None = None
    makes: bool = False


@dataclass(frozen=True, slots=True)
class UnclearCall(Unclear):
    """A call of a script that cannot be followed: an operation of an extension, or values that are not plain."""

    kind: ClassVar[str] = "unclear-call"
    name: str = ""


# -- locks and changes of rows in raw SQL: only its reader makes these values; they are not recorded and have no `kind`


@dataclass(frozen=True, slots=True)
class LockTable(Operation):
    """A statement locks a table and works on it.

    `table` None: `note` says which tables are meant. `index`: the table is the one that has this index. `mode` None:
    `note` says why the lock is not known. `since`: the first major version of PostgreSQL that takes the lock.
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


# -- the operations of a revision


@dataclass(frozen=True, slots=True)
class Recorded:
    """The operations of one direction of a revision. `undecidable` says why there may be more than these.

    If the script then inspects the schema, and was given no sketch of it for that moment, `inspects` is True.
    `sketches` are those that it was given, each for the moment after that many operations.
    """

    operations: tuple[Operation, ...]
    undecidable: str | None = None
    inspects: bool = False
    sketches: tuple[tuple[int, SchemaSketch], ...] = ()


@dataclass(frozen=True, slots=True)
class Recording:
    """The operations of one revision, in both directions."""

    revision: str
    upgrade: Recorded
    downgrade: Recorded

    def recorded(self, direction: str) -> Recorded:
        return self.upgrade if direction == "upgrade" else self.downgrade

    def operations(self, direction: str) -> tuple[Operation, ...]:
        """Return the operations of a direction, 'upgrade' or 'downgrade'."""
        return self.recorded(direction).operations
