"""What a revision does, as values: the one list that plans, lock levels, losses and evidence are made from.

Types are as the dialect's DDL spells them, defaults as its DDL writes them; nothing in here has asked a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

from magetui.model.schema import Column, Constraint, ForeignKey, Index

ConstraintKind = Literal["primary", "foreign", "unique", "check", "exclude"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that a script does."""

    kind: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class OnTable(Operation):
    """One thing done to a table; `schema` None is wherever unqualified names go."""

    table: str
    schema: str | None


@dataclass(frozen=True, slots=True)
class CreateTable(OnTable):
    kind: ClassVar[str] = "create-table"
    columns: tuple[Column, ...] = ()
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True)
class DropTable(OnTable):
    kind: ClassVar[str] = "drop-table"


@dataclass(frozen=True, slots=True)
class RenameTable(OnTable):
    kind: ClassVar[str] = "rename-table"
    new_name: str


@dataclass(frozen=True, slots=True)
class RebuildTable(OnTable):
    """SQLite: a batch operation copies the table into a new one, and what follows is done on the way."""

    kind: ClassVar[str] = "rebuild-table"


@dataclass(frozen=True, slots=True)
class AddColumn(OnTable):
    kind: ClassVar[str] = "add-column"
    column: Column


@dataclass(frozen=True, slots=True)
class DropColumn(OnTable):
    kind: ClassVar[str] = "drop-column"
    column: str


@dataclass(frozen=True, slots=True)
class AlterColumn(OnTable):
    """Fields that are None stay as they are; `drops_default` takes the default away."""

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
    kind: ClassVar[str] = "create-index"
    index: Index
    concurrently: bool = False


@dataclass(frozen=True, slots=True)
class DropIndex(Operation):
    kind: ClassVar[str] = "drop-index"
    name: str
    table: str | None
    schema: str | None
    concurrently: bool = False


@dataclass(frozen=True, slots=True)
class AddConstraint(OnTable):
    """`foreign_key` for one of those; `columns` and, of a check, `definition` for the others.

    `valid`: else it is NOT VALID, and the rows that are there already are not looked at.
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


@dataclass(frozen=True, slots=True)
class CreateType(Operation):
    """An enum type."""

    kind: ClassVar[str] = "create-type"
    name: str
    schema: str | None
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DropType(Operation):
    kind: ClassVar[str] = "drop-type"
    name: str
    schema: str | None


@dataclass(frozen=True, slots=True)
class ExecuteSql(Operation):
    """Text of the script's own; what it does is for whoever reads SQL to say."""

    kind: ClassVar[str] = "sql"
    sql: str


@dataclass(frozen=True, slots=True)
class InsertRows(OnTable):
    kind: ClassVar[str] = "insert-rows"
    rows: int


@dataclass(frozen=True, slots=True)
class Autocommit(Operation):
    """An `autocommit_block` begins (what came before is committed) or ends."""

    kind: ClassVar[str] = "autocommit"
    begins: bool


@dataclass(frozen=True, slots=True)
class Other(Operation):
    """An operation of Alembic's, or of a plug-in's, that changes nothing this program knows of: a comment, say."""

    kind: ClassVar[str] = "other"
    name: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What one direction of a revision does; `undecidable` says why there may be more than `operations`."""

    operations: tuple[Operation, ...]
    undecidable: str | None = None


KINDS: Mapping[str, type[Operation]] = {
    kind.kind: kind
    for kind in (
        CreateTable,
        DropTable,
        RenameTable,
        RebuildTable,
        AddColumn,
        DropColumn,
        AlterColumn,
        CreateIndex,
        DropIndex,
        AddConstraint,
        DropConstraint,
        CreateType,
        DropType,
        ExecuteSql,
        InsertRows,
        Autocommit,
        Other,
    )
}


def encode(recorded: Recorded) -> dict[str, Any]:
    """As JSON will have it."""
    return {"operations": [encode_one(one) for one in recorded.operations], "undecidable": recorded.undecidable}


def encode_one(operation: Operation) -> dict[str, Any]:
    return {"kind": operation.kind, **asdict(operation)}


def decode(values: Mapping[str, Any]) -> Recorded:
    """What `encode` made, read back. Raises `KeyError` or `TypeError` for anything else."""
    return Recorded(tuple(decode_one(one) for one in values["operations"]), values["undecidable"])


def decode_one(values: Mapping[str, Any]) -> Operation:
    """One operation, as `encode_one` wrote it."""
    kind = KINDS[values["kind"]]
    return kind(**{key: _typed(key, value) for key, value in values.items() if key != "kind"})


def _typed(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return _part(PARTS[key], value)
    if isinstance(value, (list, tuple)):
        return tuple(_part(PARTS[key], one) if isinstance(one, dict) else one for one in value)
    return value


def _part(part: type[Any], values: Mapping[str, Any]) -> Any:
    known = FIELDS[part]
    return part(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known})


PARTS: Mapping[str, type[Any]] = {
    "columns": Column,
    "column": Column,
    "index": Index,
    "indexes": Index,
    "foreign_key": ForeignKey,
    "foreign_keys": ForeignKey,
    "constraints": Constraint,
}
FIELDS: Mapping[type[Any], frozenset[str]] = {
    part: frozenset(field.name for field in fields(part)) for part in PARTS.values()
}
