"""The lock forecast: which tables each operation of a revision locks on PostgreSQL, how, and for what work.

Operations are taken in the order of the run, each with the state that the earlier ones leave behind:

    for operation in recorded.operations:
        locks = effects(operation, major, state)
        state = after(operation, state)

with `state = state.committed()` wherever the run commits. The first state is `SchemaState.read(…)` of the live schema.
Without a database it is an open state: then effects without a table describe which other tables may be locked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from magetui.engine.preview import lock_rules
from magetui.engine.preview.column_rules import new_column
from magetui.engine.preview.lock_rules import ACCESS_EXCLUSIVE, Effect, on
from magetui.engine.sql.ddl import statements_of
from magetui.model import operations as ops

if TYPE_CHECKING:
    from magetui.engine.evidence.schema_state import SchemaState
    from magetui.engine.evidence.table_state import Name

COMMENTS = ("CreateTableCommentOp", "DropTableCommentOp")


def effects(operation: ops.Operation, server: int, state: SchemaState) -> tuple[Effect, ...]:
    """Return what `operation` does to tables that other sessions see: one effect for each table.

    `server`: PostgreSQL's major version, 12 to 18. The result is empty if no table is touched.
    """
    if not isinstance(operation, ops.ExecuteSql):
        return lock_rules.merged(_effects(operation, server, state), state)
    locks: list[Effect] = []
    for part in _parts(operation.sql):
        locks += lock_rules.merged(_effects(part, server, state), state)
        state = state.as_far_as_read(part)
    return lock_rules.merged(locks)


def after(operation: ops.Operation, state: SchemaState) -> SchemaState:
    """Return the state when the operation is done, as far as the operation is understood."""
    for part in _parts(operation.sql) if isinstance(operation, ops.ExecuteSql) else (operation,):
        state = state.as_far_as_read(part)
    return state


def _parts(sql: str) -> Iterator[ops.Operation]:
    return (operation for statement in statements_of(sql, "postgresql") for operation in statement.locks)


def _effects(operation: ops.Operation, server: int, state: SchemaState) -> Iterator[Effect]:  # noqa: PLR0912 - a case an operation
    match operation:
        case ops.Guarded():
            for part in operation.operations if state.runs(operation) else ():
                yield from _effects(part, server, state)
                state = state.as_far_as_read(part)
        case ops.OnTable():
            yield from _table_effects(operation, state.path(operation.schema, operation.table), state)
        case ops.LockTable() if operation.since <= server:
            yield _locked(operation, state)
        case ops.RunQuery():
            from magetui.engine.preview.query_locks import query  # loads sqlglot: only for plans with raw SQL

            yield from query(operation.sql, state, runs=operation.runs)
        case ops.DropIndex():
            mode = lock_rules.SHARE_UPDATE_EXCLUSIVE if operation.concurrently else ACCESS_EXCLUSIVE
            yield _locked(ops.LockTable(operation.table, operation.schema, mode, index=operation.name), state)
        case ops.DropSchema():
            for path in (table.path for table in state.tables.values()):
                if path[0] == operation.schema:
                    dropped = lock_rules.drop_table(state, path, cascade=True)
                    yield from (effect for effect in dropped if effect.table is not None)
        case ops.Other() if operation.name in COMMENTS:
            yield lock_rules.unnamed(lock_rules.SHARE_UPDATE_EXCLUSIVE, "the table that is commented on")
        case ops.Other() | ops.UnclearCall():
            yield lock_rules.not_known(f"what {operation.name} locks")
        case ops.OnType() | ops.RenameIndex() | ops.LockTable() | ops.Autocommit():
            pass
        case _:
            yield lock_rules.not_known(f"what {operation.kind} locks")


def _table_effects(operation: ops.OnTable, path: Name, state: SchemaState) -> Iterator[Effect]:  # noqa: PLR0912 - a case an operation
    match operation:
        case ops.CreateTable():  # no other session sees the new table yet
            for key in operation.foreign_keys:
                other = state.path(key.referred_schema, key.referred_table)
                if other != path:
                    note = "a foreign key of the new table refers to it"
                    yield on(other, lock_rules.SHARE_ROW_EXCLUSIVE, note=note)
        case ops.DropTable():
            yield from lock_rules.drop_table(state, path, operation.cascade)
        case ops.RenameTable() if state.table_of_index(*path) is not None:
            pass  # ALTER TABLE renames an index too, without a lock on its table
        case ops.RenameTable() | ops.MoveTable() | ops.RenameConstraint():
            yield on(path, ACCESS_EXCLUSIVE)
        case ops.AddColumn():
            column = operation.column
            yield on(path, ACCESS_EXCLUSIVE, *new_column(column.type, column.default, column.nullable))
        case ops.DropColumn():
            yield from lock_rules.drop_column(state, path, operation.column, operation.cascade)
        case ops.AlterColumn():
            yield on(path, ACCESS_EXCLUSIVE)
            if operation.type is not None:
                yield from lock_rules.set_type(state, path, operation.column, operation.type, operation.using)
            table = state.at(path)
            if operation.nullable is False and (table is None or not table.is_not_null(operation.column)):
                yield on(path, ACCESS_EXCLUSIVE, "scan", "looks for nulls, unless a valid CHECK excludes them")
        case ops.CreateIndex(concurrently=True):
            note = "builds the index beside readers and writers, and waits for transactions that are open"
            yield on(path, lock_rules.SHARE_UPDATE_EXCLUSIVE, "build", note)
        case ops.CreateIndex():
            yield on(path, lock_rules.SHARE, "build", "builds the index while writers wait")
        case ops.AddConstraint(foreign_key=key) if key is not None:
            referred_table = state.path(key.referred_schema, key.referred_table)
            yield from lock_rules.add_foreign_key(path, referred_table, operation.valid)
        case ops.AddConstraint(constraint="check", valid=False):
            yield on(path, ACCESS_EXCLUSIVE, note=lock_rules.NOT_VALID)
        case ops.AddConstraint(constraint="check"):
            yield on(path, ACCESS_EXCLUSIVE, "scan", "checks every row")
        case ops.AddConstraint():
            yield on(path, ACCESS_EXCLUSIVE, "build", "builds the index while readers and writers wait")
        case ops.ValidateConstraint():
            yield from lock_rules.validate(state, path, operation.name)
        case ops.DropConstraint():
            yield from lock_rules.drop_constraint(state, path, operation.name, operation.constraint, operation.cascade)
        case ops.InsertRows():
            yield from lock_rules.insert_rows(state, path, operation.columns)
        case ops.TruncateTable():
            yield from lock_rules.truncate(state, path, operation.cascade)
        case ops.RebuildTable():
            pass  # a table is rebuilt on SQLite alone
        case _:
            yield lock_rules.not_known(f"what {operation.kind} locks")


def _locked(operation: ops.LockTable, state: SchemaState) -> Effect:
    if operation.mode is None:
        return lock_rules.not_known(operation.note or "")
    path = None if operation.index is None else state.table_of_index(operation.schema, operation.index)
    if path is None and operation.table is not None:
        path = state.path(operation.schema, operation.table)
    if path is not None:
        return on(path, operation.mode, operation.work, operation.note)
    note = operation.note if operation.index is None else f"the table of index {operation.index}"
    return lock_rules.unnamed(operation.mode, note or "", operation.work)
