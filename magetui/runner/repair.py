"""The repair of a partially applied revision: single operations of its script are carried out.

The script's function is called once with nothing executed, to collect its calls of Alembic (see `recorder`). Then the
wanted calls are invoked as Alembic would, so that an index keeps its condition and a constraint its options. Only an
operation that no script contains, for example one that undoes another, is made from its recorded form.
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
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Connection
from sqlalchemy.pool import StaticPool
from sqlalchemy.types import UserDefinedType

from magetui.model import operations as recorded
from magetui.model.plan import Repair, RepairPart, RepairStep
from magetui.protocol.requests import RenderRepairRequest
from magetui.protocol.scripts import Scripts
from magetui.runner.alembic_config import naming_options, offline_context
from magetui.runner.recorder import Recorder
from magetui.runner.schema_answers import Sketches
from magetui.runner.script_errors import first_line
from magetui.runner.version_table import set_current

BIND = re.compile(r"(?<![:\w\\]):(\w+)(?!:)")  # what SQLAlchemy's text() takes for a parameter


class ScriptsChanged(Exception):  # noqa: N818 - it says what happened
    """A script has changed since the repair was planned."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One `batch_alter_table` of a script. The repair opens it again for the operations in it."""

    table: str
    options: dict[str, Any]


@dataclass(frozen=True)
class Source:
    """The call of Alembic that the operations at `indexes` were recorded from."""

    call: ops.MigrateOperation
    indexes: range
    batch: Batch | None


class Collector(Recorder):
    """A recorder that also keeps the call of each operation. Operations made without Alembic have no call."""

    def __init__(self, dialect_name: str, naming: Mapping[str, Any], sketches: Sketches) -> None:
        super().__init__(dialect_name, naming, sketches)
        self._sources: dict[int, Source] = {}
        self._batch_now: Batch | None = None

    def collect(self, function: Callable[[], None] | None) -> tuple[tuple[recorded.Operation, ...], dict[int, Source]]:
        """Return the operations of the function, and their known sources by index."""
        return self.record(function).operations, self._sources

    def _invoke(self, operation: ops.MigrateOperation, table: str | None = None, schema: str | None = None) -> Any:
        start = len(self._made)
        result = super()._invoke(operation, table, schema)
        source = Source(operation, range(start, len(self._made)), self._batch_now)
        self._sources |= dict.fromkeys(source.indexes, source)
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
class Action:
    """A repair step made ready: a call of the script, or the operation itself if `call` is None."""

    step: RepairStep
    call: ops.MigrateOperation | None = None
    batch: Batch | None = None


def carry_out(repair: Repair, context: MigrationContext) -> None:
    """Do a repair's steps in order, on a connection or into a buffer. Raises `ScriptsChanged` before the first step."""
    metadata = context.opts.get("target_metadata")
    naming = {} if metadata is None else {"target_metadata": metadata}
    parts = [_actions(part, context.dialect.name, naming) for part in repair.parts]
    with Operations.context(context) as operations:
        actions = [action for part in parts for action in part]
        for autocommit, group in groupby(actions, key=lambda action: action.step.autocommit):
            with context.autocommit_block() if autocommit else nullcontext():
                for batch, batch_group in groupby(group, key=lambda action: action.batch):
                    _do(operations, batch, list(batch_group))


def _sketches(repair: RepairPart, direction: str) -> Sketches:
    return [(after, sketch) for way, after, sketch in repair.sketches if way == direction]


def _actions(repair: RepairPart, dialect: str, naming: Mapping[str, Any]) -> list[Action]:
    module = None
    if repair.file is not None:
        path = Path(repair.file)
        module = load_python_file(str(path.parent), path.name)
    collected = {
        direction: Collector(dialect, naming, _sketches(repair, direction)).collect(getattr(module, direction, None))
        for direction in {step.direction for step in repair.steps if step.direction is not None}
    }
    for step in repair.steps:
        # a slice, because the script may have fewer operations now
        if step.direction and collected[step.direction][0][step.index : step.index + 1] != (step.operation,):
            raise ScriptsChanged(
                f"The script of {repair.revision} has changed since the plan was made. Look again and make a new plan."
            )
    actions: list[Action] = []
    for step in repair.steps:
        operations, sources = collected[step.direction] if step.direction is not None else ((), {})
        source = sources.get(step.index)
        wanted = {other.index for other in repair.steps if other.direction == step.direction}
        if source is None or not _can_be_called(source, operations, wanted):
            actions.append(Action(step))
        elif step.index == source.indexes[-1]:  # the call does all of its operations at once
            _leave_out_types(source, operations, wanted)
            actions.append(Action(step, source.call, source.batch))
    return actions


def _can_be_called(source: Source, operations: Sequence[recorded.Operation], wanted: set[int]) -> bool:
    """Whether the repair wants all operations of a call, except enum types, which can be left out of it."""
    return all(index in wanted or isinstance(operations[index], recorded.CreateType) for index in source.indexes)


def _leave_out_types(source: Source, operations: Sequence[recorded.Operation], wanted: set[int]) -> None:
    """Change a call that creates a table so that it does not create the enum types that exist already."""
    existing = {
        (operation.schema, operation.name)
        for index in source.indexes
        if index not in wanted and isinstance(operation := operations[index], recorded.CreateType)
    }
    for column in source.call.columns if existing and isinstance(source.call, ops.CreateTableOp) else ():
        if not isinstance(column, sa.Column) or not isinstance(column.type, sa.Enum):
            continue
        enum = column.type
        if (enum.schema, enum.name) in existing:
            column.type = postgresql.ENUM(*enum.enums, name=enum.name, schema=enum.schema, create_type=False)


def _do(operations: Operations, batch: Batch | None, actions: Sequence[Action]) -> None:
    if batch is None:
        for action in actions:
            if action.call is not None:
                operations.invoke(action.call)
            else:
                _do_recorded(operations, action.step.operation)
        return
    with operations.batch_alter_table(batch.table, **batch.options) as opened:
        for action in actions:
            assert action.call is not None  # the operations of a batch were recorded from calls
            opened.invoke(action.call)


class Spelled(UserDefinedType):  # type: ignore[type-arg]  # SQLAlchemy 1.4 has no type argument here
    """A column type that is known only by its DDL text."""

    cache_ok = True

    def __init__(self, text: str) -> None:
        self.text = text

    def get_col_spec(self, **_: Any) -> str:
        return self.text


def _do_recorded(operations: Operations, operation: recorded.Operation) -> None:
    """Do a recorded operation. Raises `NotImplementedError` if its recorded form does not describe it completely."""
    match operation:
        case recorded.DropTable():
            operations.drop_table(operation.table, schema=operation.schema)
        case recorded.RenameTable():
            operations.rename_table(operation.table, operation.new_name, schema=operation.schema)
        case recorded.CreateIndex():
            columns: list[Any] = [name if name.isidentifier() else sa.text(name) for name in operation.index.columns]
            if not operation.plain:
                raise NotImplementedError
            where = None if operation.condition is None else sa.text(operation.condition)
            options: dict[str, Any] = {"schema": operation.schema, "unique": operation.index.unique}
            if where is not None:
                options |= {"postgresql_where": where, "sqlite_where": where}
            operations.create_index(operation.index.name, operation.table, columns, **options)
        case recorded.DropIndex():
            operations.drop_index(operation.name, operation.table, schema=operation.schema)
        case recorded.CreateType():
            enum = postgresql.ENUM(*operation.values, name=operation.name, schema=operation.schema)
            operations.execute(postgresql.CreateEnumType(enum))
        case recorded.DropType():
            operations.execute(postgresql.DropEnumType(postgresql.ENUM(name=operation.name, schema=operation.schema)))
        case recorded.ExecuteSql():
            operations.execute(BIND.sub(r"\\:\1", operation.sql))
        case recorded.DropColumn() | recorded.AlterColumn() | recorded.AddConstraint() | recorded.DropConstraint():
            with operations.batch_alter_table(operation.table, schema=operation.schema) as table:
                _alter(table, operation)
        case _:
            raise NotImplementedError(f"{operation.kind} is not described completely, and no script has it")


def _alter(
    table: Any, operation: recorded.DropColumn | recorded.AlterColumn | recorded.AddConstraint | recorded.DropConstraint
) -> None:
    match operation:
        case recorded.DropColumn():
            table.drop_column(operation.column)
        case recorded.DropConstraint():
            kind = "foreignkey" if operation.constraint == "foreign" else operation.constraint
            table.drop_constraint(operation.name, type_=kind)
        case recorded.AlterColumn():
            wanted = {
                "postgresql_using": operation.using or None,
                "new_column_name": operation.new_name,
                "type_": None if operation.type is None else Spelled(operation.type),
                "nullable": operation.nullable,
            }
            changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
            if operation.default is not None or operation.drops_default:
                changes["server_default"] = None if operation.default is None else sa.text(operation.default)
            table.alter_column(operation.column, **changes)
        case recorded.AddConstraint():
            _constrain(table, operation)


def _constrain(table: Any, operation: recorded.AddConstraint) -> None:
    options: dict[str, Any] = {} if operation.valid else {"postgresql_not_valid": True}
    if operation.foreign_key is not None:
        key = operation.foreign_key
        table.create_foreign_key(
            operation.name,
            key.referred_table,
            list(key.columns),
            list(key.referred_columns),
            ondelete=key.on_delete,
            referent_schema=key.referred_schema,
            **options,
        )
    elif operation.constraint == "check":
        table.create_check_constraint(operation.name, sa.text(operation.definition or ""), **options)
    elif operation.constraint == "primary":
        table.create_primary_key(operation.name, list(operation.columns))
    else:
        table.create_unique_constraint(operation.name, list(operation.columns))


def mend(connection: Connection, scripts: Scripts, repair: Repair, result: tuple[str, ...]) -> None:
    """Do a repair and set the current revision, in one transaction unless a step must run outside of it."""
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
        if result or repair.file is not None:
            context._ensure_version_table()  # as Alembic's own stamp does
            set_current(connection, scripts, result)


# -- as SQL to read


def render_repair(request: RenderRepairRequest) -> dict[str, str | None]:
    """Return the repair's `sql`, or the `problem` with it; the other value is None.

    Alembic renders it offline. For SQLite it runs on an empty copy, because a batch operation reads the live table.
    """
    try:
        if request.dialect == "sqlite":
            return {"sql": _run_on_a_copy(request), "problem": None}
        buffer = io.StringIO()
        carry_out(request.repair, offline_context(request.dialect, buffer, naming_options(request.scripts)))
        return {"sql": buffer.getvalue().strip(), "problem": None}
    except Exception as error:  # noqa: BLE001 - whatever a script or Alembic raises is why it cannot be shown
        return {"sql": None, "problem": f"Its SQL cannot be shown in advance: {first_line(error)}"}


def _run_on_a_copy(request: RenderRepairRequest) -> str:
    # With a creator, because this process refuses the connections that scripts open.
    engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:"), poolclass=StaticPool)
    statements: list[str] = []
    with engine.connect() as connection:
        for sql in request.schema:
            connection.exec_driver_sql(sql)
        sa.event.listen(connection, "before_cursor_execute", lambda *arguments: statements.append(arguments[2].strip()))
        options = {"transactional_ddl": True, **naming_options(request.scripts)}
        carry_out(request.repair, MigrationContext.configure(connection, opts=options))
    return "\n\n".join(f"{sql};" for sql in statements if not sql.upper().startswith(("PRAGMA", "SELECT")))
