"""The operations of a revision in words: one line for each operation, for the command line and the screen.

A line starts with a verb ('adds role.entity (entity, null)'), so that it fits in a list and after 'missing'. Names and
SQL come from a script and may contain anything, so they are made safe to show.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from magetui.model import operations as ops
from magetui.text import formats

if TYPE_CHECKING:
    from magetui.model.schema import Column, ForeignKey

SQL_WIDTH = 100
DROPPED = "dropped"
RUNS_SQL = "runs SQL: "
VALUES_NAMED = 6
NOTHING = "nothing: it only sets the current revision"
CONSTRAINTS = {
    "primary": "primary key",
    "foreign": "foreign key",
    "unique": "unique constraint",
    "check": "check",
    "exclude": "exclusion",
    None: "constraint",
}


def doings(recorded: ops.Recorded, sql_width: int = SQL_WIDTH) -> tuple[str, ...]:
    """Return a line for each operation of one direction of a revision, and why there may be more operations."""
    lines = tuple(doing(operation, sql_width) for operation in recorded.operations)
    if recorded.undecidable is None:
        return lines or (NOTHING,)
    what = "what else it does" if lines else "what it does"
    return (*lines, f"{what} cannot be known in advance: {formats.one_line(recorded.undecidable)}")


def doing(operation: ops.Operation, sql_width: int = SQL_WIDTH) -> str:
    """Return one operation as one line. SQL of the script is cut at `sql_width` columns."""
    return formats.one_line(_worded(operation, sql_width))


def _worded(operation: ops.Operation, sql_width: int) -> str:  # noqa: PLR0911, PLR0912 - a case for each operation
    match operation:
        case ops.CreateTable():
            return f"creates table {_table(operation)} ({_parts(operation)})"
        case ops.DropTable():
            return f"drops table {_table(operation)}"
        case ops.RenameTable():
            return f"renames table {_table(operation)} to {operation.new_name}"
        case ops.RebuildTable():
            return f"rebuilds table {_table(operation)} as a copy, with the changes that follow"
        case ops.AddColumn():
            return f"adds {_table(operation)}.{operation.column.name} ({_column(operation.column)})"
        case ops.DropColumn():
            return f"drops {_table(operation)}.{operation.column}"
        case ops.AlterColumn():
            return f"changes {_table(operation)}.{operation.column}: {_changes(operation)}"
        case ops.Refused():
            return f"is refused before it reaches the server: {operation.says}"
        case ops.CreateIndex():
            unique = "unique index" if operation.index.unique else "index"
            columns = ", ".join(operation.index.columns)
            where = f" where {operation.condition}" if operation.condition else ""
            concurrently = ", concurrently" if operation.concurrently else ""
            return f"creates {unique} {operation.index.name} on {_table(operation)} ({columns}){where}{concurrently}"
        case ops.DropIndex():
            of = f" of {operation.table}" if operation.table else ""
            concurrently = ", concurrently" if operation.concurrently else ""
            return f"drops index {_named(operation.schema, operation.name)}{of}{concurrently}"
        case ops.AddConstraint():
            return _constraint(operation)
        case ops.DropConstraint():
            name = operation.name or "without a name"
            return f"drops {CONSTRAINTS[operation.constraint]} {name} of {_table(operation)}"
        case ops.CreateType():
            return f"creates type {_named(operation.schema, operation.name)} ({_values(operation.values)})"
        case ops.DropType():
            return f"drops type {_named(operation.schema, operation.name)}"
        case ops.ExecuteSql():
            return f"{RUNS_SQL}{formats.one_line(operation.sql, max(20, sql_width - len(RUNS_SQL)))}"
        case ops.InsertRows():
            return f"inserts {formats.rows(operation.rows)} into {_table(operation)}"
        case ops.Autocommit():
            begins = "commits the changes so far; each later statement commits by itself"
            return begins if operation.begins else "starts a transaction again"
        case ops.AddEnumValue():
            return f"adds value '{operation.value}' to type {_named(operation.schema, operation.name)}"
        case ops.RenameEnumValue():
            name = _named(operation.schema, operation.name)
            return f"renames value '{operation.value}' of type {name} to '{operation.new_value}'"
        case ops.RenameType():
            return f"renames type {_named(operation.schema, operation.name)} to {operation.new_name}"
        case ops.RenameIndex():
            return f"renames index {_named(operation.schema, operation.name)} to {operation.new_name}"
        case ops.UnclearTable():
            return f"runs SQL on table {_named(operation.schema, operation.table)} that magetui cannot read"
        case ops.UnclearCall():
            return f"does {operation.name}, which magetui cannot follow: it may change whatever it names"
        case ops.Unclear():
            return "runs SQL that magetui cannot read"
        case ops.Other():
            return f"does Alembic's {operation.name}, which magetui does not check"
        case _:
            return operation.kind.replace("-", " ")


def subject(operation: ops.Operation) -> tuple[str, str]:  # noqa: PLR0911, PLR0912 - a case for each operation
    """Return what an operation is about, and what it makes of that: ('task.retries', 'INTEGER, not null')."""
    match operation:
        case ops.CreateTable():
            return f"table {_table(operation)}", _parts(operation)
        case ops.DropTable():
            return f"table {_table(operation)}", DROPPED
        case ops.RenameTable():
            return f"table {_table(operation)}", f"renamed to {operation.new_name}"
        case ops.AddColumn():
            return f"{_table(operation)}.{operation.column.name}", _column(operation.column)
        case ops.DropColumn():
            return f"{_table(operation)}.{operation.column}", DROPPED
        case ops.AlterColumn():
            return f"{_table(operation)}.{operation.column}", _changes(operation)
        case ops.CreateIndex():
            unique = "unique, " if operation.index.unique else ""
            return (
                f"index {operation.index.name}",
                f"{unique}{_table(operation)} ({', '.join(operation.index.columns)})",
            )
        case ops.DropIndex():
            return f"index {_named(operation.schema, operation.name)}", DROPPED
        case ops.RenameIndex():
            return f"index {_named(operation.schema, operation.name)}", f"renamed to {operation.new_name}"
        case ops.AddConstraint():
            return operation.name or f"{CONSTRAINTS[operation.constraint]} of {_table(operation)}", _rule(operation)
        case ops.DropConstraint():
            return operation.name or f"{CONSTRAINTS[operation.constraint]} of {_table(operation)}", DROPPED
        case ops.CreateType():
            return f"type {_named(operation.schema, operation.name)}", _values(operation.values)
        case ops.DropType():
            return f"type {_named(operation.schema, operation.name)}", DROPPED
        case ops.RenameType():
            return f"type {_named(operation.schema, operation.name)}", f"renamed to {operation.new_name}"
        case ops.AddEnumValue():
            return f"type {_named(operation.schema, operation.name)}", f"value '{operation.value}'"
        case ops.RenameEnumValue():
            renamed = f"value '{operation.value}' renamed to '{operation.new_value}'"
            return f"type {_named(operation.schema, operation.name)}", renamed
        case ops.InsertRows():
            return f"rows of {_table(operation)}", f"{formats.rows(operation.rows)} inserted"
        case ops.ExecuteSql():
            return "SQL", formats.one_line(operation.sql)
        case _:
            return "script", doing(operation)


def _named(schema: str | None, name: str) -> str:
    return f"{schema}.{name}" if schema else name


def _table(operation: ops.OnTable) -> str:
    return _named(operation.schema, operation.table)


def _parts(table: ops.CreateTable) -> str:
    """Return '9 columns, 2 indexes, 1 foreign key'."""
    parts = [formats.number(len(table.columns), "column")]
    if table.indexes:
        parts.append(formats.number(len(table.indexes), "index", "indexes"))
    if table.foreign_keys:
        parts.append(formats.number(len(table.foreign_keys), "foreign key"))
    return ", ".join(parts)


def _column(column: Column) -> str:
    default = f", default {column.default}" if column.default is not None else ""
    return f"{column.type}, {'null' if column.nullable else 'not null'}{default}"


def _changes(change: ops.AlterColumn) -> str:
    parts = []
    if change.new_name is not None:
        parts.append(f"renamed to {change.new_name}")
    if change.type is not None:
        parts.append(f"type {change.type}" + (f" using {change.using}" if change.using else ""))
    if change.nullable is not None:
        parts.append("may be null" if change.nullable else "not null")
    if change.default is not None:
        parts.append(f"default {change.default}")
    if change.drops_default:
        parts.append("no default")
    return ", ".join(parts) or "nothing that magetui checks"


def _constraint(added: ops.AddConstraint) -> str:
    name = f" {added.name}" if added.name else ""
    kind, table = CONSTRAINTS[added.constraint], _table(added)
    unchecked = "" if added.valid else ", without checking existing rows"
    if added.foreign_key is not None:
        key = added.foreign_key
        deleted = f", on delete {key.on_delete.lower()}" if key.on_delete else ""
        return f"adds {kind}{name} from {table} ({', '.join(key.columns)}) to {_referred(key)}{deleted}{unchecked}"
    if added.constraint == "check":
        return f"adds {kind}{name} to {table}: {added.definition or ''}{unchecked}"
    return f"adds {kind}{name} to {table} ({', '.join(added.columns)})"


def _rule(added: ops.AddConstraint) -> str:
    """Return 'foreign key, task (owner) to user (id)', 'check on task: retries >= 0' or 'primary key, task (id)'."""
    kind, table = CONSTRAINTS[added.constraint], _table(added)
    if added.foreign_key is not None:
        return f"{kind}, {table} ({', '.join(added.foreign_key.columns)}) to {_referred(added.foreign_key)}"
    if added.constraint == "check":
        return f"{kind} on {table}: {added.definition or ''}"
    return f"{kind}, {table} ({', '.join(added.columns)})"


def _referred(key: ForeignKey) -> str:
    return f"{_named(key.referred_schema, key.referred_table)} ({', '.join(key.referred_columns)})"


def _values(values: Iterable[str]) -> str:
    quoted = [f"'{value}'" for value in values]
    more = f", and {len(quoted) - VALUES_NAMED} more" if len(quoted) > VALUES_NAMED else ""
    return ", ".join(quoted[:VALUES_NAMED]) + more
