"""Queries and changes of rows in raw SQL: the locks that they take, and the rows and values that they lose.

sqlglot tells which tables a statement reads, and which it writes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from magetui.engine.preview import lock_rules
from magetui.engine.preview.column_rules import EACH, ONCE

if TYPE_CHECKING:
    from magetui.engine.evidence.schema_state import SchemaState
    from magetui.engine.evidence.table_state import Name
    from magetui.engine.preview.lock_rules import Effect
    from magetui.model.lock_modes import LockMode

logging.getLogger("sqlglot").addHandler(logging.NullHandler())  # its warnings would appear on the screen

PARSER = {"postgresql": "postgres", "mssql": "tsql"}  # sqlglot's names of SQLAlchemy's dialects
STATEMENTS = (exp.Query, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Merge)
# Clauses that may follow the query of CREATE TABLE AS and of a view.
ENDING = re.compile(r"\bWITH\s+(NO\s+DATA|DATA|((LOCAL|CASCADED)\s+)?CHECK\s+OPTION)\s*$", re.IGNORECASE)
CATALOGS = ("pg_catalog", "information_schema")
# Functions of the server, beside those of `column_rules`, that touch no user table. sqlglot knows most others by type.
HARMLESS = frozenset(
    """set_config to_regclass txid_status pg_notify num_nulls num_nonnulls quote_ident quote_literal format
    regexp_replace regexp_match split_part jsonb_set jsonb_agg json_agg jsonb_array_elements json_array_elements
    jsonb_array_elements_text jsonb_object_keys jsonb_typeof jsonb_each jsonb_each_text array_length cardinality
    string_to_array array_to_string array_append array_remove unnest setseed translate reverse""".split()  # noqa: SIM905 - to be read, not scrolled
)


def query(text: str, state: SchemaState, *, runs: bool) -> Iterator[Effect]:
    """Yield what one statement that reads or changes rows does. `runs` False: a view or a rule only stores it."""
    try:
        # Any: sqlglot declares another type from release to release.
        tree: Any = sqlglot.parse_one(ENDING.sub("", text), dialect="postgres")
    except SqlglotError as error:
        reason = str(error).partition("\n")[0]
        yield lock_rules.not_known(f"what a statement does that cannot be parsed ({reason})")
        return
    is_query = isinstance(tree, STATEMENTS)
    if not is_query:
        yield lock_rules.not_known(f"what {text.split(maxsplit=1)[0]} does, which cannot be parsed")
        return
    locks = (*_writes(tree, state), *_reads(tree, state))
    if runs:
        yield from _calls(tree)
        yield from locks
    else:
        yield from (replace(effect, work="catalog") for effect in locks)


def _calls(tree: exp.Expression) -> Iterator[Effect]:
    for call in tree.find_all(exp.Anonymous):
        name = call.name.lower()
        if name not in HARMLESS | ONCE | EACH and not name.startswith("pg_"):
            yield lock_rules.not_known(f"what the function {name}() does")


def _writes(tree: exp.Expression, state: SchemaState) -> Iterator[Effect]:
    for node in tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge):
        target = _target(node)
        if not isinstance(target, exp.Table):
            continue  # a branch of MERGE, which is read with it
        name = _name(target, state)
        yield from _view(name, lock_rules.ROW_EXCLUSIVE, state)
        if isinstance(node, exp.Insert):
            columns = (
                [_folded(column) for column in node.this.expressions] if isinstance(node.this, exp.Schema) else None
            )
            yield from lock_rules.insert_rows(state, name, columns)
            conflict = node.args.get("conflict")
            if conflict is not None and conflict.expressions:
                yield from lock_rules.update_rows(state, name, _set(conflict))
        elif isinstance(node, exp.Update):
            yield from lock_rules.update_rows(state, name, _set(node))
        elif isinstance(node, exp.Delete):
            yield from lock_rules.delete_rows(state, name)
        else:
            yield from _merge(node, name, state)


def _merge(node: exp.Expression, name: Name, state: SchemaState) -> Iterator[Effect]:
    yield lock_rules.on(name, lock_rules.ROW_EXCLUSIVE, "data")
    for when in node.find_all(exp.When):
        then = when.args.get("then")
        if isinstance(then, exp.Update):
            yield from lock_rules.update_rows(state, name, _set(then))
        elif isinstance(then, exp.Insert):
            columns = [_folded(column) for column in then.this.expressions] if then.this is not None else None
            yield from lock_rules.insert_rows(state, name, columns)
        elif then is not None and then.name.upper() == "DELETE":
            yield from lock_rules.delete_rows(state, name)


def _set(node: exp.Expression) -> set[str]:
    """Return the columns that SET gives a value."""
    targets = [part.this for part in node.expressions if isinstance(part, exp.EQ)]
    return {_folded(name) for target in targets for name in target.find_all(exp.Identifier)}


def _reads(tree: exp.Expression, state: SchemaState) -> Iterator[Effect]:
    written = {id(_target(node)) for node in tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge)}
    named = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        is_source = isinstance(table.this, exp.Identifier) and not isinstance(table.parent, (exp.Lock, exp.Into))
        if not is_source or id(table) in written or (not table.db and table.name.lower() in named):
            continue
        name = _name(table, state)
        if name[0] in CATALOGS or (not table.db and name[1].startswith("pg_")):
            continue
        mode = lock_rules.ROW_SHARE if _is_locked(table) else lock_rules.ACCESS_SHARE
        yield lock_rules.on(name, mode, "scan")
        yield from _view(name, mode, state)


def _target(node: exp.Expression) -> Any:
    return node.this.this if isinstance(node.this, exp.Schema) else node.this


def _is_locked(table: exp.Table) -> bool:
    """Return True if the SELECT around the table locks its rows: FOR UPDATE, FOR SHARE, …"""
    select = table.find_ancestor(exp.Select)
    for lock in (select.args.get("locks") or []) if select is not None else []:
        if not lock.expressions or table.alias_or_name in {locked.name for locked in lock.expressions}:
            return True
    return False


def _view(name: Name, mode: LockMode, state: SchemaState) -> Iterator[Effect]:
    if not state.open and state.at(name) is None:
        yield lock_rules.unnamed(mode, f"the tables that {name[1]} reads, if it is a view", "scan")


def _name(table: exp.Expression, state: SchemaState) -> Name:
    schema, dialect = table.args.get("db"), state.dialect
    return state.path(_folded(schema, dialect) if schema is not None else None, _folded(table.this, dialect))


def _folded(identifier: exp.Expression, dialect: str = "postgresql") -> str:
    """Return the name as the server folds it: PostgreSQL folds names without quotes to lower case, others none."""
    inner = identifier.this if isinstance(identifier, exp.Column) else identifier
    as_written = inner.args.get("quoted") or dialect != "postgresql"
    return str(inner.name) if as_written else str(inner.name).lower()


# -- lost rows and values, on any dialect


@dataclass(frozen=True, slots=True)
class RowChange:
    """A DELETE (`columns` is None), or an UPDATE that overwrites values of `columns`.

    `table` None: the rows are not those of a table. `is_partial`: a condition may keep some rows.
    """

    table: Name | None
    columns: tuple[str, ...] | None
    is_partial: bool
    sql: str


def parsed(sql: str, dialect: str) -> list[Any]:
    """Return the statements of `sql` as sqlglot's trees. Raises whatever the parser raises of odd input."""
    return [tree for tree in sqlglot.parse(sql, read=PARSER.get(dialect, dialect)) if tree is not None]


def row_changes(statements: Iterable[Any], state: SchemaState) -> Iterator[RowChange]:
    """Yield the deletions and then the updates of each parsed statement."""
    parser = PARSER.get(state.dialect, state.dialect)
    for statement in statements:
        for delete in statement.find_all(exp.Delete):
            name = _name(delete.this, state) if isinstance(delete.this, exp.Table) else None
            yield RowChange(name, None, bool(delete.args.get("where") or delete.args.get("using")), statement.sql())
        for update in statement.find_all(exp.Update):
            if isinstance(update.this, exp.Table):
                where = update.args.get("where")
                names = tuple(name for part in update.expressions for name in _overwritten(part, where, state.dialect))
                yield RowChange(_name(update.this, state), names, where is not None, update.sql(dialect=parser))


def written(statements: Iterable[Any], state: SchemaState) -> Iterator[tuple[Name, frozenset[str] | None]]:
    """Yield each table that the statements write, with the columns that an UPDATE sets; None if rows come or go.

    Raises `ValueError` if a statement may write what it does not name.
    """
    for statement in statements:
        if not isinstance(statement, STATEMENTS) or any(statement.find_all(exp.Anonymous)):
            raise ValueError(statement)
        for node in statement.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge):
            target = _target(node)
            if not isinstance(target, exp.Table):
                raise ValueError(statement)
            columns = frozenset(_set(node)) if isinstance(node, exp.Update) else None
            yield _name(target, state), columns or None


def _overwritten(assignment: Any, where: Any, dialect: str) -> Iterator[str]:
    """Yield the columns in which one assignment of an UPDATE overwrites values that are not null."""
    targets = assignment.this.expressions if isinstance(assignment.this, exp.Tuple) else [assignment.this]
    conditions = list(where.this.flatten()) if where is not None and isinstance(where.this, exp.And) else []
    conditions += [where.this] if where is not None else []
    are_null = (part for part in conditions if isinstance(part, exp.Is) and not part.args.get("negate"))
    nulls = [part.this for part in are_null if isinstance(part.expression, exp.Null)]
    new = assignment.args.get("expression")
    nulls += [new.this] if isinstance(new, exp.Coalesce) else []  # COALESCE keeps the values of its first column
    filled = {_folded(column, dialect) for column in nulls if isinstance(column, exp.Column)}
    columns = (_folded(target, dialect) for target in targets if isinstance(target, exp.Column))
    yield from (column for column in columns if column not in filled)
