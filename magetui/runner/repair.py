"""Carrying out single operations of a revision, which a run that broke off has left half done.

What a script does is collected by calling its function once, with nothing executed (see `record`); then those of its
operations that are wanted are invoked as Alembic itself would, so that an index keeps its condition and a constraint
its options. Only what takes something back, and stands in no script, is made from the recorded operation alone.
"""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations, ops
from alembic.runtime.migration import MigrationContext
from alembic.util import load_python_file
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import UserDefinedType

from magetui.model import operations as recorded
from magetui.model.plan import Repair, RepairStep
from magetui.protocol.requests import RenderRepairRequest, Scripts
from magetui.runner.alembic_config import naming_options, offline_context
from magetui.runner.recorder import Recorder
from magetui.runner.version_table import set_current

BIND = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")  # what SQLAlchemy's text() takes for a parameter


class ScriptsChanged(Exception):  # noqa: N818 - it says what happened
    """A script does not do any more what it did when the repair was planned."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One `batch_alter_table` of a script, to be opened again for what is done in it."""

    table: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Source:
    """The call of Alembic's that the operations at `places` were recorded from."""

    call: ops.MigrateOperation
    places: range
    batch: Batch | None


class Collector(Recorder):
    """Keeps, of each operation, the call that it was recorded from; one made past Alembic has none."""

    def __init__(self, dialect_name: str, naming: Mapping[str, Any]) -> None:
        super().__init__(dialect_name, naming)
        self._sources: dict[int, Source] = {}
        self._batch_now: Batch | None = None

    def collect(self, function: Callable[[], None] | None) -> tuple[tuple[recorded.Operation, ...], dict[int, Source]]:
        """What the function does, and by its places where that stands in it."""
        return self.record(function).operations, self._sources

    def _invoke_on(self, operation: ops.MigrateOperation, table: str | None, schema: str | None) -> Any:
        start = len(self._made)
        result = super()._invoke_on(operation, table, schema)
        source = Source(operation, range(start, len(self._made)), self._batch_now)
        self._sources |= dict.fromkeys(source.places, source)
        return result

    @contextmanager
    def _batch(
        self, table_name: str, schema: str | None = None, recreate: str = "auto", **options: Any
    ) -> Iterator[Any]:
        with super()._batch(table_name, schema, recreate, **options) as batch:
            yield batch
            self._batch_now = Batch(table_name, {"schema": schema, "recreate": recreate, **options})
        self._batch_now = None


@dataclass(frozen=True)
class Deed:
    """A work made ready: a call of the script's, or else the operation by itself."""

    step: RepairStep
    call: ops.MigrateOperation | None = None
    batch: Batch | None = None


def carry_out(repair: Repair, context: MigrationContext) -> None:
    """Do the works of a repair, one after the other, on the context's connection (or into its buffer).

    Raises `ScriptsChanged` before anything is done, and whatever Alembic and the database raise.
    """
    metadata = context.opts.get("target_metadata")
    deeds = _ready(repair, context.dialect.name, {} if metadata is None else {"target_metadata": metadata})
    with Operations.context(context) as operations:
        for autocommit, several in groupby(deeds, key=lambda deed: deed.step.autocommit):
            with context.autocommit_block() if autocommit else nullcontext():
                for batch, together in groupby(several, key=lambda deed: deed.batch):
                    _do(operations, batch, list(together))


def _ready(repair: Repair, dialect: str, naming: Mapping[str, Any]) -> list[Deed]:
    path = Path(repair.file)
    module = load_python_file(str(path.parent), path.name)
    found = {
        way: Collector(dialect, naming).collect(getattr(module, way, None))
        for way in {step.direction for step in repair.steps if step.direction is not None}
    }
    for step in repair.steps:
        made = found[step.direction][0] if step.direction else ()
        if step.direction and (step.index >= len(made) or made[step.index] != step.operation):
            raise ScriptsChanged(
                f"The script of {repair.revision} is not what it was when the plan was made. Nothing was done; look "
                "again and plan anew."
            )
    deeds: list[Deed] = []
    for step in repair.steps:
        source = found[step.direction][1].get(step.index) if step.direction else None
        wanted = {other.index for other in repair.steps if other.direction == step.direction}
        if source is None or not _can_be_called(source, found[step.direction][0] if step.direction else (), wanted):
            deeds.append(Deed(step))
        elif step.index == source.places[-1]:  # the call does all of its operations at once
            _spare_types(source, found[step.direction][0] if step.direction else (), wanted)
            deeds.append(Deed(step, source.call, source.batch))
    return deeds


def _can_be_called(source: Source, made: Sequence[recorded.Operation], wanted: set[int]) -> bool:
    """Whether all that a call does is wanted; types that are there already can be left out of it."""
    return all(place in wanted or isinstance(made[place], recorded.CreateType) for place in source.places)


def _spare_types(source: Source, made: Sequence[recorded.Operation], wanted: set[int]) -> None:
    """Let a table be created without the enum types that are there already."""
    there = {
        (operation.schema, operation.name)
        for place in source.places
        if place not in wanted and isinstance(operation := made[place], recorded.CreateType)
    }
    for column in source.call.columns if there and isinstance(source.call, ops.CreateTableOp) else ():
        if not isinstance(column, sa.Column) or not isinstance(column.type, sa.Enum):
            continue
        kind = column.type
        if (kind.schema, kind.name) in there:
            column.type = postgresql.ENUM(*kind.enums, name=kind.name, schema=kind.schema, create_type=False)


def _do(operations: Operations, batch: Batch | None, deeds: Sequence[Deed]) -> None:
    if batch is None:
        for deed in deeds:
            if deed.call is not None:
                operations.invoke(deed.call)
            else:
                _do_alone(operations, deed.step.operation)
        return
    with operations.batch_alter_table(batch.table, **batch.options) as opened:
        for deed in deeds:
            assert deed.call is not None  # what stands in a batch was called in it
            opened.invoke(deed.call)


class Spelled(UserDefinedType[Any]):
    """A type by its text."""

    cache_ok = True

    def __init__(self, text: str) -> None:
        self.text = text

    def get_col_spec(self, **_: Any) -> str:
        return self.text


def _do_alone(operations: Operations, one: recorded.Operation) -> None:
    """Do what a recorded operation says. Raises `NotImplementedError` for what only a script can say in full."""
    match one:
        case recorded.DropTable():
            operations.drop_table(one.table, schema=one.schema)
        case recorded.RenameTable():
            operations.rename_table(one.table, one.new_name, schema=one.schema)
        case recorded.CreateIndex():
            columns: list[Any] = [name if name.isidentifier() else sa.text(name) for name in one.index.columns]
            operations.create_index(one.index.name, one.table, columns, schema=one.schema, unique=one.index.unique)
        case recorded.DropIndex():
            operations.drop_index(one.name, one.table, schema=one.schema)
        case recorded.CreateType():
            enum = postgresql.ENUM(*one.values, name=one.name, schema=one.schema)
            operations.execute(postgresql.CreateEnumType(enum))
        case recorded.DropType():
            operations.execute(postgresql.DropEnumType(postgresql.ENUM(name=one.name, schema=one.schema)))
        case recorded.ExecuteSql():
            operations.execute(BIND.sub(r"\\:\1", one.sql))
        case recorded.DropColumn() | recorded.AlterColumn() | recorded.AddConstraint() | recorded.DropConstraint():
            with operations.batch_alter_table(one.table, schema=one.schema) as table:
                _alter(table, one)
        case _:
            raise NotImplementedError(f"{one.kind} is not described in full, and stands in no script")


def _alter(
    table: Any,
    one: recorded.DropColumn | recorded.AlterColumn | recorded.AddConstraint | recorded.DropConstraint,
) -> None:
    match one:
        case recorded.DropColumn():
            table.drop_column(one.column)
        case recorded.DropConstraint():
            kind = "foreignkey" if one.constraint == "foreign" else one.constraint
            table.drop_constraint(one.name, type_=kind)
        case recorded.AlterColumn():
            changes: dict[str, Any] = {"postgresql_using": one.using} if one.using else {}
            if one.new_name is not None:
                changes["new_column_name"] = one.new_name
            if one.type is not None:
                changes["type_"] = Spelled(one.type)
            if one.nullable is not None:
                changes["nullable"] = one.nullable
            if one.default is not None or one.drops_default:
                changes["server_default"] = None if one.default is None else sa.text(one.default)
            table.alter_column(one.column, **changes)
        case recorded.AddConstraint():
            _constrain(table, one)


def _constrain(table: Any, one: recorded.AddConstraint) -> None:
    options: dict[str, Any] = {} if one.valid else {"postgresql_not_valid": True}
    if one.foreign_key is not None:
        key = one.foreign_key
        table.create_foreign_key(
            one.name,
            key.referred_table,
            list(key.columns),
            list(key.referred_columns),
            ondelete=key.on_delete,
            referent_schema=key.referred_schema,
            **options,
        )
    elif one.constraint == "check":
        table.create_check_constraint(one.name, sa.text(one.definition or ""), **options)
    elif one.constraint == "primary":
        table.create_primary_key(one.name, list(one.columns))
    else:
        table.create_unique_constraint(one.name, list(one.columns))


def mend(connection: Connection, scripts: Scripts, repair: Repair, result: tuple[str, ...]) -> None:
    """Do a repair and set the current revision, in one transaction as far as its works allow."""
    context = MigrationContext.configure(
        connection,
        opts={
            "version_table": scripts.version_table,
            "version_table_schema": scripts.version_table_schema,
            "transactional_ddl": True,
            **naming_options(scripts),
        },
    )
    with context.begin_transaction():
        carry_out(repair, context)
        context._ensure_version_table()  # as Alembic's own stamp does
        set_current(connection, scripts, result)


# -- as SQL to read


def render_repair(request: RenderRepairRequest) -> dict[str, str | None]:
    """`{"sql": text or None, "problem": why there is none, or None}`.

    PostgreSQL's is what Alembic renders offline. SQLite's is what runs on an empty copy of the tables in memory, since
    what a batch operation does hangs on the table as it is.
    """
    try:
        sql = _run_on_a_copy(request) if request.dialect == "sqlite" else _rendered(request)
    except Exception as error:  # noqa: BLE001 - whatever a script or Alembic raises is why it cannot be shown
        said = str(error).strip().partition("\n")[0]
        return {"sql": None, "problem": f"Its SQL cannot be shown beforehand: {type(error).__name__}: {said}"}
    return {"sql": sql, "problem": None}


def _rendered(request: RenderRepairRequest) -> str:
    buffer = io.StringIO()
    context = offline_context(request.dialect, buffer, naming_options(request.scripts))
    carry_out(request.repair, context)
    return buffer.getvalue().strip()


def _run_on_a_copy(request: RenderRepairRequest) -> str:
    # A creator, since connections that scripts open are refused in a process that only asks them something.
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:"), poolclass=StaticPool)
    statements: list[str] = []
    with engine.connect() as connection:
        for sql in request.schema:
            connection.exec_driver_sql(sql)
        sa.event.listen(connection, "before_cursor_execute", lambda *told: statements.append(told[2].strip()))
        options = {"transactional_ddl": True, **naming_options(request.scripts)}
        carry_out(request.repair, MigrationContext.configure(connection, opts=options))
    return "\n\n".join(f"{one};" for one in statements if not one.upper().startswith(("PRAGMA", "SELECT")))
