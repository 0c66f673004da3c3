"""What each operation of a revision costs others on PostgreSQL: which tables it locks, how, and for what work.

A plan shows it before the run, so that nobody learns from a standing queue that a column was filled in row by row.
Operations are taken in the order of the run, each with what the ones before it leave behind:

    for operation in recorded.operations:
        costs = effects(operation, major, known)
        known = after(operation, known)

with `known = known.committed()` wherever the run commits. `known` begins as `Known.read(details, schema)`, or as
`Known()` without a database: then effects without a table describe which other tables may be locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from magetui.engine.preview import lock_rules, row_lock_rules
from magetui.engine.preview.known_tables import Known
from magetui.engine.preview.lock_rules import Effect
from magetui.model.operations import (
    AddColumn,
    AddConstraint,
    AlterColumn,
    Autocommit,
    CreateIndex,
    CreateTable,
    CreateType,
    DropColumn,
    DropConstraint,
    DropIndex,
    DropTable,
    DropType,
    ExecuteSql,
    InsertRows,
    Operation,
    Other,
    RebuildTable,
    RenameTable,
)
from magetui.model.schema import Column, Index, Table, TableDetail

__all__ = ["Effect", "Known", "after", "effects"]

COMMENTS = ("CreateTableCommentOp", "DropTableCommentOp")


def effects(operation: Operation, server: int, known: Known) -> tuple[Effect, ...]:
    """What `operation` does to tables that others can see: one effect for each, strongest lock and most work.

    `server`: PostgreSQL's major version, 12 to 18. Empty where no table is touched: a type, a sequence, a setting.
    """
    if isinstance(operation, ExecuteSql):
        return _sql(operation, server, known)[0]
    return lock_rules.merged(_effects(operation, known), known)


def after(operation: Operation, known: Known) -> Known:  # noqa: PLR0911, PLR0912 - a case an operation
    """What is known when the operation is done."""
    match operation:
        case CreateTable():
            return _created(operation, known)
        case DropTable():
            return known.without_table(known.name(operation.schema, operation.table))
        case RenameTable():
            new = known.name(operation.schema, operation.new_name)
            return known.with_name(known.name(operation.schema, operation.table), new)
        case AddColumn():
            return known.with_column(known.name(operation.schema, operation.table), operation.column)
        case DropColumn():
            return known.without_column(known.name(operation.schema, operation.table), operation.column)
        case AlterColumn():
            return _altered(operation, known)
        case CreateIndex():
            return known.with_index(known.name(operation.schema, operation.table), operation.index)
        case DropIndex():
            name = known.table_of_index(operation.schema, operation.name)
            return known if name is None else known.without_index(name, operation.name)
        case AddConstraint():
            return _constrained(operation, known)
        case DropConstraint():
            return known.without_constraint(known.name(operation.schema, operation.table), operation.name)
        case ExecuteSql():
            return _sql(operation, 0, known)[1]
        case Autocommit():
            return known.committed()
        case _:
            return known


def _sql(operation: ExecuteSql, server: int, known: Known) -> tuple[tuple[Effect, ...], Known]:
    from magetui.engine.preview.statement_locks import (
        read,  # sqlglot takes as long to import as SQLAlchemy: only for who has raw SQL
    )

    return read(operation.sql, server, known)


def _effects(operation: Operation, known: Known) -> Iterator[Effect]:  # noqa: PLR0912 - a case an operation
    match operation:
        case CreateTable():
            referred = [known.name(key.referred_schema, key.referred_table) for key in operation.foreign_keys]
            yield from lock_rules.create_table(known.name(operation.schema, operation.table), referred)
        case DropTable():
            yield from lock_rules.drop_table(known, known.name(operation.schema, operation.table))
        case RenameTable():
            yield lock_rules.on(known.name(operation.schema, operation.table), lock_rules.ACCESS_EXCLUSIVE)
        case AddColumn():
            column = operation.column
            name = known.name(operation.schema, operation.table)
            yield lock_rules.add_column(name, column.type, column.default, column.nullable)
        case DropColumn():
            yield from lock_rules.drop_column(known, known.name(operation.schema, operation.table), operation.column)
        case AlterColumn():
            yield from _altering(operation, known)
        case CreateIndex():
            yield lock_rules.create_index(known.name(operation.schema, operation.table), operation.concurrently)
        case DropIndex():
            table = None if operation.table is None else known.name(operation.schema, operation.table)
            yield lock_rules.drop_index(known, operation.schema, operation.name, table, operation.concurrently)
        case AddConstraint():
            yield from _constraining(operation, known)
        case DropConstraint():
            name = known.name(operation.schema, operation.table)
            yield from lock_rules.drop_constraint(known, name, operation.name, operation.constraint)
        case InsertRows():
            yield from row_lock_rules.insert_rows(known, known.name(operation.schema, operation.table))
        case Other() if operation.name in COMMENTS:
            yield lock_rules.unnamed(lock_rules.SHARE_UPDATE_EXCLUSIVE, "the table that is commented on")
        case CreateType() | DropType() | RebuildTable() | Autocommit():
            pass  # of no table; and a table is rebuilt on SQLite alone
        case _:
            what = operation.name if isinstance(operation, Other) else operation.kind
            yield lock_rules.cannot_tell(f"what {what} locks")


def _altering(operation: AlterColumn, known: Known) -> Iterator[Effect]:
    name = known.name(operation.schema, operation.table)
    yield lock_rules.on(name, lock_rules.ACCESS_EXCLUSIVE)
    if operation.type is not None:
        yield from lock_rules.set_type(known, name, operation.column, operation.type, operation.using)
    if operation.nullable is False:
        yield lock_rules.set_not_null(known, name, operation.column)


def _altered(operation: AlterColumn, known: Known) -> Known:
    name = known.name(operation.schema, operation.table)
    detail = known.tables.get(name)
    column = next((one for one in detail.columns if one.name == operation.column), None) if detail else None
    if column is None and operation.type is not None:
        column = Column(operation.column, operation.type, nullable=True)
    if column is not None:
        kind = operation.type or column.type
        nullable = column.nullable if operation.nullable is None else operation.nullable
        default = None if operation.drops_default else operation.default or column.default
        known = known.with_column(name, replace(column, type=kind, nullable=nullable, default=default))
    if operation.new_name is not None:
        known = known.with_column_name(name, operation.column, operation.new_name)
    return known


def _constraining(operation: AddConstraint, known: Known) -> Iterator[Effect]:
    name = known.name(operation.schema, operation.table)
    if operation.foreign_key is not None:
        referred = known.name(operation.foreign_key.referred_schema, operation.foreign_key.referred_table)
        yield from lock_rules.add_foreign_key(name, referred, operation.valid)
    elif operation.constraint == "check":
        yield lock_rules.add_check(name, operation.valid)
    else:
        yield lock_rules.add_index_constraint(name)


def _constrained(operation: AddConstraint, known: Known) -> Known:
    name = known.name(operation.schema, operation.table)
    if operation.foreign_key is not None:
        return known.with_foreign_key(name, operation.foreign_key)
    if operation.constraint != "check" and operation.name is not None:
        return known.with_index(name, Index(operation.name, operation.columns, unique=True))
    return known


def _created(operation: CreateTable, known: Known) -> Known:
    name = known.name(operation.schema, operation.table)
    detail = TableDetail(
        Table(*name, rows=None, bytes=None),
        operation.columns,
        operation.primary_key,
        operation.indexes,
        (),
        operation.constraints,
    )
    known = known.with_table(name, detail)
    for key in operation.foreign_keys:
        known = known.with_foreign_key(name, key)
    return known
