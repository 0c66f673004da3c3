"""Recording what revisions do, by calling their functions with operations that do nothing.

Alembic's `Operations.invoke` is replaced by one that writes down the typed operation, and the connection by one that
answers no question: where a script asks the database something, what follows depends on the answer, and the record
ends there, saying so. It runs the scripts' code, which is why it happens in the child.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from sqlalchemy import inspection
from sqlalchemy.sql import schema as sql_schema

from magetui.model import operations as recorded
from magetui.model.schema import Column, Constraint, ForeignKey, Index
from magetui.protocol.requests import RecordRequest
from magetui.runner.alembic_config import alembic_config, naming_options, offline_context

READS = ("SELECT", "WITH", "SHOW", "PRAGMA", "EXPLAIN", "VALUES")
SERIALS = {"INTEGER": "SERIAL", "BIGINT": "BIGSERIAL", "SMALLINT": "SMALLSERIAL"}  # as SQLAlchemy makes a key count
ADDED_IN_PLACE = (ops.AddColumnOp, ops.CreateIndexOp, ops.DropIndexOp)  # what SQLite can without a copy


class LiveDataRead(BaseException):
    """The script asked the database something. No script's `except Exception` shall take it for an answer."""


def record(request: RecordRequest) -> tuple[recorded.Recording, ...]:
    """Return the recordings of the revisions in the request.

    Each script is loaded by itself, so that a script that cannot be imported does not affect the others.
    """
    config = alembic_config(request.scripts, None)
    with EnvironmentContext(config, ScriptDirectory.from_config(config)):
        return tuple(
            _record_file(request, revision, file)
            for revision, file in zip(request.revisions, request.files, strict=True)
        )


def _record_file(request: RecordRequest, revision: str, file: str) -> recorded.Recording:
    path = Path(file)
    try:
        module = load_python_file(str(path.parent), path.name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a module does when it is imported
        reason = str(error).strip().partition("\n")[0]
        unknown = recorded.Recorded((), f"it cannot be imported: {type(error).__name__}: {reason}")
        return recorded.Recording(revision, unknown, unknown)
    upgrade, downgrade = (
        Recorder(request.dialect, naming_options(request.scripts)).record(_function(module, direction, request))
        for direction in ("upgrade", "downgrade")
    )
    return recorded.Recording(revision, upgrade, downgrade)


def _function(module: Any, direction: str, request: RecordRequest) -> Callable[[], None] | None:
    function = getattr(module, direction, None)
    return None if function is None else partial(function, **dict(request.scripts.arguments))


class Recorder:
    """Calls one function and keeps what it would have done."""

    def __init__(self, dialect_name: str, naming: Mapping[str, Any] | None = None) -> None:
        """`naming` as `naming_options` gives it."""
        self._naming = naming or {}
        self._context = offline_context(dialect_name, io.StringIO(), self._naming)
        self._dialect = self._context.dialect
        self._made: list[recorded.Operation] = []

    def record(self, function: Callable[[], None] | None) -> recorded.Recorded:
        """What `function`, a revision's upgrade or downgrade, does; where it has none, that it does nothing."""
        undecidable = None
        if function is None:
            return recorded.Recorded(())
        connection = SilentConnection(self._dialect, self._executed, self._type_made)
        with Operations.context(self._context) as operations:
            patched: Any = operations
            patched.invoke = self._invoke
            patched.batch_alter_table = self._batch
            patched.get_bind = lambda: connection
            context: Any = self._context
            context.autocommit_block = self._autocommit
            context.connection = connection
            try:
                function()
            except LiveDataRead as read:
                undecidable = f"it reads the database: {read}"
            except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a script raises without a database
                undecidable = f"it cannot be followed without a database: {type(error).__name__}: {error}"
        return recorded.Recorded(tuple(self._made), undecidable.splitlines()[0] if undecidable else None)

    # -- what a script calls

    def _invoke(self, operation: ops.MigrateOperation) -> Any:
        return self._invoke_on(operation, None, None)

    def _invoke_on(self, operation: ops.MigrateOperation, table: str | None, schema: str | None) -> Any:
        if isinstance(operation, ops.CreateTableOp):
            made = operation.to_table(self._context)
            self._table(made)
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
        copies = recreate == "always" or any(not isinstance(one, ADDED_IN_PLACE) for one in collected)
        if self._dialect.name == "sqlite" and recreate != "never" and copies:
            self._made.append(recorded.RebuildTable(table_name, schema))
        for operation in collected:
            self._invoke_on(operation, table_name, schema)

    @contextmanager
    def _autocommit(self) -> Iterator[None]:
        self._made.append(recorded.Autocommit(begins=True))
        yield
        self._made.append(recorded.Autocommit(begins=False))

    def _executed(self, sql: str) -> None:
        self._made.append(recorded.ExecuteSql(sql.strip()))

    def _type_made(self, kind: sa.Enum, *, drop: bool) -> None:
        name, schema = kind.name or "", kind.schema
        known = {one.name for one in self._made if isinstance(one, recorded.CreateType)}
        if drop:
            self._made.append(recorded.DropType(name, schema))
        elif name not in known:
            self._made.append(recorded.CreateType(name, schema, tuple(kind.enums)))

    # -- Alembic's operations as ours

    def _translated(  # noqa: PLR0911 - a case an operation
        self, operation: ops.MigrateOperation, table: str | None, schema: str | None
    ) -> list[recorded.Operation]:
        match operation:
            case ops.DropTableOp():
                return [recorded.DropTable(operation.table_name, operation.schema)]
            case ops.RenameTableOp():
                return [recorded.RenameTable(operation.table_name, operation.schema, str(operation.new_table_name))]
            case ops.AddColumnOp():
                return self._added(operation)
            case ops.DropColumnOp():
                return [recorded.DropColumn(operation.table_name, operation.schema, operation.column_name)]
            case ops.AlterColumnOp():
                return [self._altered(operation)]
            case ops.CreateIndexOp():
                index = operation.to_index(self._context)
                concurrently = bool(operation.kw.get("postgresql_concurrently"))
                made = self._index(index)
                return [recorded.CreateIndex(operation.table_name, operation.schema, made, concurrently)]
            case ops.DropIndexOp():
                concurrently = bool(operation.kw.get("postgresql_concurrently"))
                on = operation.table_name or table
                return [recorded.DropIndex(str(operation.index_name), on, operation.schema or schema, concurrently)]
            case ops.DropConstraintOp():
                kind: Any = {"foreignkey": "foreign"}.get(
                    operation.constraint_type or "", operation.constraint_type or None
                )
                name = self._named(self._dropped(operation).name)
                if_exists = bool(getattr(operation, "if_exists", None))  # since Alembic 1.16
                return [recorded.DropConstraint(operation.table_name, operation.schema, name, kind, if_exists)]
            case ops.AddConstraintOp():
                return self._constraint(operation.to_constraint(self._context))
            case ops.ExecuteSQLOp():
                self._execute(operation.sqltext)
                return []
            case ops.BulkInsertOp():
                return [recorded.InsertRows(operation.table.name, operation.table.schema, len(operation.rows))]
            case _:
                return [recorded.Other(type(operation).__name__)]

    def _execute(self, statement: Any) -> None:
        text = statement if isinstance(statement, str) else self._sql(statement)
        self._executed(text)

    def _sql(self, clause: Any) -> str:
        return _spelled(clause, self._dialect)

    def _table(self, table: sa.Table) -> None:
        for column in table.columns:
            self._note_type(column.type)
        self._made.append(
            recorded.CreateTable(
                table.name,
                table.schema,
                columns=tuple(self._column(column) for column in table.columns),
                primary_key=tuple(column.name for column in table.primary_key.columns),
                indexes=tuple(self._index(index) for index in sorted(table.indexes, key=lambda i: str(i.name))),
                # SQLAlchemy keeps both in sets, whose order is another one each time.
                foreign_keys=tuple(sorted(map(self._foreign_key, table.foreign_key_constraints), key=str)),
                constraints=tuple(
                    sorted(
                        (
                            self._other_constraint(one)
                            for one in table.constraints
                            if isinstance(one, (sa.UniqueConstraint, sa.CheckConstraint)) and not _of_a_type(one)
                        ),
                        key=str,
                    )
                ),
            )
        )

    def _added(self, operation: ops.AddColumnOp) -> list[recorded.Operation]:
        """A column; what else stands in it becomes operations of its own, as Alembic carries them out."""
        column: Any = operation.column._copy()  # it may stand in a table already, and can stand in one only
        convention = self._naming["target_metadata"].naming_convention if self._naming else None
        metadata = sa.MetaData(naming_convention=convention)
        table = sa.Table(operation.table_name, metadata, column, schema=operation.schema)
        where = operation.table_name, operation.schema
        made: list[recorded.Operation] = [recorded.AddColumn(*where, self._column(column))]
        constraints = [
            made_of_it
            for constraint in table.constraints
            if not isinstance(constraint, sa.PrimaryKeyConstraint) and not _of_a_type(constraint)
            for made_of_it in self._constraint(constraint)
        ]
        made += sorted(constraints, key=str)
        made += [recorded.CreateIndex(*where, self._index(index)) for index in table.indexes]
        return made

    def _altered(self, operation: ops.AlterColumnOp) -> recorded.AlterColumn:
        default = operation.modify_server_default
        drops = default is None
        text = None
        if default is not None and default is not False:
            text = self._default(sa.Column("x", sa.Integer, server_default=default))
        return recorded.AlterColumn(
            operation.table_name,
            operation.schema,
            operation.column_name,
            new_name=None if operation.modify_name is None else str(operation.modify_name),
            type=None if operation.modify_type is None else self._type(operation.modify_type),
            using=operation.kw.get("postgresql_using"),
            nullable=operation.modify_nullable,
            default=text,
            drops_default=drops,
        )

    # -- SQLAlchemy's schema as ours

    def _dropped(self, operation: ops.DropConstraintOp) -> sql_schema.Constraint:
        """The constraint as Alembic looks for it: a naming convention holds for its name, too."""
        made: sql_schema.Constraint = SchemaObjects(self._context).generic_constraint(
            operation.constraint_name, operation.table_name, operation.constraint_type, schema=operation.schema
        )
        return made

    def _named(self, name: Any) -> str | None:
        """A name as it comes into the database: SQLAlchemy shortens one that a convention has made too long."""
        if not isinstance(name, str):
            return None
        try:
            return str(
                self._dialect.identifier_preparer.truncate_and_render_constraint_name(name, _alembic_quote=False)
            )
        except sa.exc.IdentifierError:
            return str(name)  # one that was chosen, and is too long: the run will fail on it

    def _column(self, column: sa.Column[Any]) -> Column:
        kind = self._type(column.type)
        counted = column.table is not None and column is column.table._autoincrement_column
        if self._dialect.name == "postgresql" and counted and not (column.server_default or column.identity):
            kind = SERIALS.get(kind, kind)
        return Column(column.name, kind, bool(column.nullable), self._default(column))

    def _type(self, kind: Any) -> str:
        return str(sa.types.to_instance(kind).compile(dialect=self._dialect))

    def _note_type(self, kind: Any) -> None:
        native = isinstance(kind, sa.Enum) and kind.native_enum and self._dialect.name == "postgresql"
        if native and getattr(kind, "create_type", True):
            self._type_made(kind, drop=False)

    def _default(self, column: sa.Column[Any]) -> str | None:
        """A default, or what makes the value instead of one."""
        if column.identity is not None:
            return f"generated {'always' if column.identity.always else 'by default'} as identity"
        if column.computed is not None:
            stored = "virtual" if column.computed.persisted is False else "stored"
            return f"generated always as ({self._sql(column.computed.sqltext)}) {stored}"
        nothing: Any = None  # it is asked for one column's text, and compiles no statement
        compiler: Any = self._dialect.ddl_compiler(self._dialect, nothing)
        text = compiler.get_column_default_string(column)
        return None if text is None else str(text)

    def _index(self, index: sa.Index) -> Index:
        names = tuple(one.name if isinstance(one, sa.Column) else self._sql(one) for one in index.expressions)
        return Index(self._named(index.name) or "None", names, unique=bool(index.unique))

    def _foreign_key(self, one: sa.ForeignKeyConstraint) -> ForeignKey:
        referred = [element._get_colspec() for element in one.elements]
        table, _, _ = referred[0].rpartition(".")
        schema, _, name = table.rpartition(".")
        return ForeignKey(
            self._named(one.name),
            tuple(one.column_keys),
            schema or None,
            name,
            tuple(spec.rpartition(".")[2] for spec in referred),
            None if one.ondelete is None else one.ondelete.upper(),
        )

    def _other_constraint(self, one: sa.UniqueConstraint | sa.CheckConstraint) -> Constraint:
        name = self._named(one.name)
        if isinstance(one, sa.CheckConstraint):
            return Constraint(name, "check", self._sql(one.sqltext))
        columns = tuple(column.name for column in one.columns)
        return Constraint(name, "unique", f"UNIQUE ({', '.join(columns)})", columns)

    def _constraint(self, one: sql_schema.Constraint) -> list[recorded.Operation]:
        table: Any = one.table
        where = table.name, table.schema
        name = self._named(one.name)
        valid = not (self._dialect.name == "postgresql" and one.dialect_kwargs.get("postgresql_not_valid"))
        if isinstance(one, sa.ForeignKeyConstraint):
            return [recorded.AddConstraint(*where, "foreign", name, foreign_key=self._foreign_key(one), valid=valid)]
        if isinstance(one, sa.CheckConstraint):
            return [recorded.AddConstraint(*where, "check", name, definition=self._sql(one.sqltext), valid=valid)]
        kind: Any = "primary" if isinstance(one, sa.PrimaryKeyConstraint) else "unique"
        if not isinstance(one, (sa.PrimaryKeyConstraint, sa.UniqueConstraint)):
            return [recorded.Other(type(one).__name__)]
        return [recorded.AddConstraint(*where, kind, name, tuple(column.name for column in one.columns))]


class SilentConnection:
    """What `op.get_bind()` gives: it notes what is written and tells nothing."""

    def __init__(self, dialect: sa.Dialect, executed: Callable[[str], None], type_made: Callable[..., None]) -> None:
        self.dialect = dialect
        self.name = dialect.name  # as an engine has it
        self.engine = self
        self._executed = executed
        self._type_made = type_made

    def execute(self, statement: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(statement, str):
            statement = _spelled(statement, self.dialect)
        if statement.lstrip(" (\n").upper().startswith(READS):
            raise LiveDataRead(" ".join(statement.split())[:200])
        self._executed(statement)
        return self

    exec_driver_sql = scalar = scalars = execute

    def __getattr__(self, name: str) -> Any:
        raise LiveDataRead(f"its connection's '{name}'")

    def _run_ddl_visitor(self, visitor: Any, element: Any, **_: Any) -> None:
        """A script creates or drops a type, or a table, by itself: `enum.create(op.get_bind())`."""
        if isinstance(element, sa.Enum):
            self._type_made(element, drop="Drop" in visitor.__name__)
        else:
            raise LiveDataRead(f"{visitor.__name__} of {element}")


@inspection._inspects(SilentConnection)
def _inspected(_connection: SilentConnection) -> None:
    raise LiveDataRead("it inspects what is there")


def _spelled(clause: Any, dialect: sa.Dialect) -> str:
    """As SQL, with its values in it unless they are of a type that cannot be written."""
    try:
        return str(clause.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    except sa.exc.CompileError:
        return str(clause.compile(dialect=dialect))


def _of_a_type(constraint: Any) -> bool:
    """Whether a check comes with a column's type: a Boolean's or an Enum's, which the type spells by itself."""
    return bool(getattr(constraint, "_type_bound", False))
