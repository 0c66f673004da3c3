"""The recorder: it calls the functions of revisions with operations that do nothing, and records these operations.

Alembic's `Operations.invoke` is replaced by a function that records the typed operation. The connection is replaced by
one that answers no query. If a script reads the database, everything after that depends on the answer, so the recording
stops there and says so. An operation that cannot be read is recorded as `Unclear`, and the recording continues.
Recording runs the scripts' code, so it happens in the child process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from alembic.operations import BatchOperations, Operations, ops
from alembic.operations.schemaobj import SchemaObjects
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import load_python_file

from magetui.model import operations as recorded
from magetui.protocol.requests import RecordRequest
from magetui.runner.alembic_config import config_without_credentials, naming_options, offline_context
from magetui.runner.barrier import LOADING_SECONDS, Barrier
from magetui.runner.custom_operations import Written, custom_names, import_extensions, missing_operations, unclear
from magetui.runner.plain_operations import plain_operation
from magetui.runner.recorded_schema import RecordedSchema
from magetui.runner.schema_answers import SchemaAnswers, Sketches
from magetui.runner.script_errors import first_line
from magetui.runner.silent_connection import LiveDataRead, SchemaNeeded, SilentConnection

ADDED_IN_PLACE = (ops.AddColumnOp, ops.CreateIndexOp, ops.DropIndexOp)  # SQLite does these without a copy of the table


def record(request: RecordRequest, barrier: Barrier) -> tuple[recorded.Recording, ...]:
    """Return the recordings of the revisions. Each script is loaded by itself, so one error does not affect others."""
    config = config_without_credentials(request.scripts)
    import_extensions(Path(request.scripts.script_location) / "env.py")
    with EnvironmentContext(config, ScriptDirectory.from_config(config)):
        return tuple(
            _record_file(request, barrier, revision, file)
            for revision, file in zip(request.revisions, request.files, strict=True)
        )


def _record_file(request: RecordRequest, barrier: Barrier, revision: str, file: str) -> recorded.Recording:
    path = Path(file)
    with barrier.watching(file, seconds=LOADING_SECONDS) as hits:
        try:
            module = load_python_file(str(path.parent), path.name)
            why = None
        except BaseException as error:  # noqa: BLE001 - whatever a module does when it is imported
            why = f"it cannot be imported: {first_line(error)}"
    if hits:
        why = hits[0]
    if why is not None:
        unknown = recorded.Recorded((), why)
        return recorded.Recording(revision, unknown, unknown)

    def recording(direction: str) -> recorded.Recorded:
        function = getattr(module, direction, None)
        call = None if function is None else partial(function, **dict(request.scripts.arguments))
        with barrier.watching(file) as hits:
            made = Recorder(request.dialect, naming_options(request.scripts), request.sketches).record(call)
        return replace(made, undecidable=hits[0]) if hits else made

    return recorded.Recording(revision, recording("upgrade"), recording("downgrade"))


class Recorder:
    """Calls one function and records the operations that it would have done."""

    def __init__(self, dialect_name: str, naming: Mapping[str, Any] | None = None, sketches: Sketches = ()) -> None:
        """Create a recorder for a dialect. `naming` is the result of `naming_options`; `sketches`: `RecordRequest`."""
        self._naming = naming or {}
        self._context = offline_context(dialect_name, Written(self._executed), self._naming)
        self._dialect = self._context.dialect
        self._schema = RecordedSchema(self._dialect)
        self._made: list[recorded.Operation] = []
        SchemaAnswers(self._dialect, sketches, self._made).install()

    def record(self, function: Callable[[], None] | None) -> recorded.Recorded:
        """Return the operations of `function`, a revision's upgrade or downgrade; of None, no operations."""
        if function is None:
            return recorded.Recorded(())
        undecidable, inspects = None, False
        connection = SilentConnection(self._dialect, self._executed, self._type_made)
        with Operations.context(self._context) as operations, missing_operations(self._missing):
            patched: Any = operations
            patched.invoke = self._invoke
            patched.batch_alter_table = self._batch
            patched.get_bind = lambda: connection
            for name in custom_names():
                setattr(patched, name, partial(self._custom, name, getattr(operations, name)))
            self._operations = operations
            context: Any = self._context
            context.autocommit_block = self._autocommit
            context.connection = connection
            try:
                function()
            except LiveDataRead as read:
                inspects = isinstance(read, SchemaNeeded)
                undecidable = f"it reads the database: {read}"
            except BaseException as error:  # noqa: BLE001 - whatever a script raises without a database
                undecidable = f"it cannot be followed without a database: {first_line(error)}"
        made = tuple(plain_operation(operation, self._dialect.name) for operation in self._made)
        return recorded.Recorded(made, undecidable.splitlines()[0] if undecidable else None, inspects)

    # -- the functions that a script calls

    def _invoke(self, operation: ops.MigrateOperation, table: str | None = None, schema: str | None = None) -> Any:
        alters = isinstance(operation, (ops.AddConstraintOp, ops.DropConstraintOp)) and table is None
        if alters and self._dialect.name == "sqlite":  # as Alembic does: scripts catch it
            raise NotImplementedError("No support for ALTER of constraints in SQLite dialect.")
        return self._custom(type(operation).__name__, self._read, operation, table, schema)

    def _custom(self, name: str, function: Callable[..., Any], *values: Any, **named: Any) -> Any:
        """Record what a function does. If it cannot be followed, it is one operation of which nothing is known."""
        before = len(self._made)
        self._schema.refused.clear()
        try:
            result = function(*values, **named)
            self._made += map(recorded.Refused, dict.fromkeys(self._schema.refused))
            return result
        except (Exception, LiveDataRead):  # noqa: BLE001 - whatever an operation raises without a database
            del self._made[before:]
            self._made.append(unclear(name, values, named))
            return None

    def _missing(self, name: str) -> Callable[..., None]:
        return lambda *values, **named: self._made.append(unclear(name, values, named))

    def _read(self, operation: ops.MigrateOperation, table: str | None, schema: str | None) -> Any:
        if isinstance(operation, ops.CreateTableOp):
            made = operation.to_table(self._context)
            self._table(made, if_not_exists=_flag(operation, "if_not_exists"))
            return made
        self._made.extend(self._translated(operation, table, schema))
        return None

    @contextmanager
    def _batch(self, table_name: str, schema: str | None = None, recreate: str = "auto", **_: Any) -> Iterator[Any]:
        collected: list[ops.MigrateOperation] = []
        implementation: Any = SimpleNamespace(table_name=table_name, schema=schema)
        batch: Any = BatchOperations(self._context, impl=implementation)
        batch.invoke = collected.append
        yield batch
        copies = recreate == "always" or any(not isinstance(operation, ADDED_IN_PLACE) for operation in collected)
        rebuilds = self._dialect.name == "sqlite" and recreate != "never" and copies
        start = len(self._made)
        if rebuilds and any(map(self._is_nameless, collected)):
            raise ValueError("Constraint must have a name")  # as Alembic does, before it copies: scripts catch it
        if rebuilds:
            self._made.append(recorded.RebuildTable(table_name, schema))
        for operation in collected:
            self._invoke(operation, table_name, schema)
        if rebuilds:
            self._made[start] = recorded.RebuildTable(table_name, schema, len(self._made) - start - 1)

    def _is_nameless(self, operation: ops.MigrateOperation) -> bool:
        """Return True for a constraint without a name, which Alembic does not add to a copy or leave out of it."""
        if isinstance(operation, ops.AddConstraintOp):
            return operation.to_constraint(self._context).name is None
        return isinstance(operation, ops.DropConstraintOp) and self._dropped_name(operation) is None

    @contextmanager
    def _autocommit(self) -> Iterator[None]:
        self._made.append(recorded.Autocommit(begins=True))
        yield
        self._made.append(recorded.Autocommit(begins=False))

    def _executed(self, statement: Any) -> None:
        sql: str = statement if isinstance(statement, str) else self._schema.sql(statement)
        self._made.append(recorded.ExecuteSql(sql.strip()))

    def _type_made(self, kind: sa.Enum, *, drop: bool, if_missing: bool = False) -> None:
        name, schema = kind.name or "", kind.schema
        if drop:
            self._made.append(recorded.DropType(name, schema, if_exists=if_missing))
        elif not self._has_type(name):
            self._made.append(recorded.CreateType(name, schema, tuple(kind.enums), if_missing))

    def _has_type(self, name: str) -> bool:
        """Return True if this function has made the type, and has not dropped or renamed it since."""
        named = re.compile(rf"\btype\b.*\b{re.escape(name)}\b", re.IGNORECASE | re.DOTALL)
        for made in reversed(self._made):
            if isinstance(made, recorded.ExecuteSql) and named.search(made.sql):
                return False
            if isinstance(made, (recorded.CreateType, recorded.DropType)) and made.name == name:
                return isinstance(made, recorded.CreateType)
        return False

    # -- from Alembic's operations

    def _translated(  # noqa: PLR0911, PLR0912 - a case an operation
        self, operation: ops.MigrateOperation, table: str | None, schema: str | None
    ) -> list[recorded.Operation]:
        match operation:
            case ops.DropTableOp():
                if_exists = _flag(operation, "if_exists")
                return [recorded.DropTable(operation.table_name, operation.schema, if_exists=if_exists)]
            case ops.RenameTableOp():
                return [recorded.RenameTable(operation.table_name, operation.schema, str(operation.new_table_name))]
            case ops.AddColumnOp():
                return self._added(operation)
            case ops.DropColumnOp():
                where, if_exists = (operation.table_name, operation.schema), _flag(operation, "if_exists")
                return [recorded.DropColumn(*where, operation.column_name, if_exists=if_exists)]
            case ops.AlterColumnOp():
                new, before = operation.modify_type, operation.existing_type
                dropped = self._checks_of(operation, before) if new is not None and before is not None else []
                return [
                    *(recorded.DropConstraint(c.table, c.schema, c.name, "check") for c in dropped),
                    self._altered(operation),
                    *(self._checks_of(operation, new) if new is not None else ()),
                ]
            case ops.CreateIndexOp():
                if_not_exists = _flag(operation, "if_not_exists")
                return [self._schema.index_made(operation.to_index(self._context), if_not_exists=if_not_exists)]
            case ops.DropIndexOp():
                concurrently = bool(operation.kw.get("postgresql_concurrently"))
                on = operation.table_name or table
                dropped_from = str(operation.index_name), on, operation.schema or schema
                return [recorded.DropIndex(*dropped_from, concurrently, _flag(operation, "if_exists"))]
            case ops.DropConstraintOp():
                kind: Any = (
                    "foreign" if operation.constraint_type == "foreignkey" else operation.constraint_type or None
                )
                name = self._dropped_name(operation)
                where, if_exists = (operation.table_name, operation.schema), _flag(operation, "if_exists")
                return [recorded.DropConstraint(*where, name, kind, if_exists)]
            case ops.AddConstraintOp():
                return self._schema.constraint(operation.to_constraint(self._context))
            case ops.ExecuteSQLOp():
                self._executed(operation.sqltext)
                return []
            case ops.BulkInsertOp():
                return [recorded.InsertRows(operation.table.name, operation.table.schema, len(operation.rows))]
            case _ if type(operation).__module__ == ops.__name__:
                return [recorded.Other(type(operation).__name__)]  # a comment
            case _:
                self._implementation(operation)(self._operations, operation)
                return []

    def _dropped_name(self, operation: ops.DropConstraintOp) -> str | None:
        """Return the name of the constraint as Alembic looks for it: a naming convention applies to it too."""
        wanted = operation.constraint_name, operation.table_name, operation.constraint_type
        dropped = SchemaObjects(self._context).generic_constraint(*wanted, schema=operation.schema)
        return self._schema.named(dropped.name)

    def _implementation(self, operation: ops.MigrateOperation) -> Callable[..., Any]:
        """Return the function that does an operation which is not Alembic's. Raises `ValueError` if there is none."""
        function: Callable[..., Any] = Operations._to_impl.dispatch(operation, self._context.impl.__dialect__)
        return function

    def _table(self, table: sa.Table, *, if_not_exists: bool) -> None:
        for kind in (column.type for column in table.columns if self._dialect.name == "postgresql"):
            if isinstance(kind, sa.Enum) and kind.native_enum and getattr(kind, "create_type", True):
                self._type_made(kind, drop=False)
        constraints = [
            self._schema.other_constraint(constraint)
            for constraint in table.constraints
            if isinstance(constraint, (sa.UniqueConstraint, sa.CheckConstraint)) and self._schema.is_created(constraint)
        ]
        self._made.append(
            recorded.CreateTable(
                table.name,
                table.schema,
                columns=tuple(self._schema.column(column) for column in table.columns),
                primary_key=tuple(column.name for column in table.primary_key.columns),
                primary_key_name=self._schema.named(table.primary_key.name),
                indexes=tuple(self._schema.index(index) for index in sorted(table.indexes, key=lambda i: str(i.name))),
                # SQLAlchemy keeps both in sets, whose order differs from run to run.
                foreign_keys=tuple(sorted(map(self._schema.foreign_key, table.foreign_key_constraints), key=str)),
                constraints=tuple(sorted(constraints, key=str)),
                if_not_exists=if_not_exists,
            )
        )

    def _added(self, operation: ops.AddColumnOp) -> list[recorded.Operation]:
        """Return the column, and its constraints and indexes as operations of their own, in the order of Alembic."""
        column: Any = operation.column._copy()  # it may belong to a table already, and can belong to one only
        convention = self._naming["target_metadata"].naming_convention if self._naming else None
        metadata = sa.MetaData(naming_convention=convention)
        table = sa.Table(operation.table_name, metadata, column, schema=operation.schema)
        where = operation.table_name, operation.schema
        if_not_exists = _flag(operation, "if_not_exists")
        made: list[recorded.Operation] = [recorded.AddColumn(*where, self._schema.column(column), if_not_exists)]
        constraints = [
            added
            for constraint in table.constraints
            if not isinstance(constraint, sa.PrimaryKeyConstraint)
            and self._schema.is_created(constraint, altering=True)
            for added in self._schema.constraint(constraint)
        ]
        made += sorted(constraints, key=str)
        made += map(self._schema.index_made, table.indexes)
        return made

    def _checks_of(self, operation: ops.AlterColumnOp, kind: Any) -> list[recorded.AddConstraint]:
        """Return the checks that come with a column's type: Alembic drops and adds them when the type changes."""
        column = sa.Column(operation.column_name, kind)
        table = SchemaObjects(self._context).table(operation.table_name, column, schema=operation.schema)
        bound = [constraint for constraint in table.constraints if isinstance(constraint, sa.CheckConstraint)]
        made = [
            op
            for check in bound
            if self._schema.is_created(check, altering=True)
            for op in self._schema.constraint(check)
        ]
        return [operation for operation in made if isinstance(operation, recorded.AddConstraint)]

    def _altered(self, operation: ops.AlterColumnOp) -> recorded.AlterColumn:
        default = operation.modify_server_default
        using = operation.kw.get("postgresql_using")
        changes = default is not None and default is not False
        text = self._schema.default(sa.Column("x", sa.Integer, server_default=default)) if changes else None
        return recorded.AlterColumn(
            operation.table_name,
            operation.schema,
            operation.column_name,
            new_name=None if operation.modify_name is None else str(operation.modify_name),
            type=None if operation.modify_type is None else self._schema.type(operation.modify_type),
            using=None if using is None else str(using),
            nullable=None if operation.modify_nullable is None else bool(operation.modify_nullable),
            default=text,
            drops_default=default is None,
        )


def _flag(operation: ops.MigrateOperation, name: str) -> bool:
    """Return whether IF EXISTS or IF NOT EXISTS is set. Older releases of Alembic do not have each of them."""
    return bool(getattr(operation, name, None))
