"""Queries and changes of rows in raw SQL, parsed by sqlglot: which tables they read, and which they write."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from magetui.engine.preview import lock_rules, row_lock_rules
from magetui.engine.preview.known_tables import Known, Name
from magetui.engine.preview.lock_rules import Effect

logging.getLogger("sqlglot").addHandler(logging.NullHandler())  # it warns on stderr, where a screen is painted

STATEMENTS = (exp.Query, exp.Values, exp.Insert, exp.Update, exp.Delete, exp.Merge)
CALL = "what the function "
# What may end the query of CREATE TABLE AS and of a view.
ENDING = re.compile(r"\bWITH\s+(NO\s+DATA|DATA|((LOCAL|CASCADED)\s+)?CHECK\s+OPTION)\s*$", re.IGNORECASE)
CATALOGS = ("pg_catalog", "information_schema")
# The server's own, beside those of `costs`, that touch no table of a user; sqlglot knows most others as types.
HARMLESS = frozenset(
    """set_config to_regclass txid_status pg_notify num_nulls num_nonnulls quote_ident quote_literal format
    regexp_replace regexp_match split_part jsonb_set jsonb_agg json_agg jsonb_array_elements json_array_elements
    jsonb_array_elements_text jsonb_object_keys jsonb_typeof jsonb_each jsonb_each_text array_length cardinality
    string_to_array array_to_string array_append array_remove unnest setseed translate reverse""".split()  # noqa: SIM905 - to be read, not scrolled
)


def query(text: str, known: Known) -> tuple[list[Effect], Known]:
    """What one statement that reads or changes rows does, and what is known after it."""
    try:
        # Any: what it is typed as differs from release to release.
        tree: Any = sqlglot.parse_one(ENDING.sub("", text), dialect="postgres")
    except SqlglotError as error:
        reason = str(error).partition("\n")[0]
        return [lock_rules.cannot_tell(f"what a statement does that cannot be read ({reason})")], known
    is_query = isinstance(tree, STATEMENTS)
    if not is_query:
        return [lock_rules.cannot_tell(f"what {text.split(maxsplit=1)[0]} does, which cannot be read")], known
    effects = [*_calls(tree), *_writes(tree, known), *_reads(tree, known)]
    for into in tree.find_all(exp.Into):
        known = known.with_table(_name(into.this, known))
    return effects, known


def _calls(tree: exp.Expression) -> Iterator[Effect]:
    for call in tree.find_all(exp.Anonymous):
        name = call.name.lower()
        if name not in HARMLESS | lock_rules.ONCE | lock_rules.EACH and not name.startswith("pg_"):
            yield lock_rules.cannot_tell(f"{CALL}{name}() does")


def is_call(effect: Effect) -> bool:
    """Whether it is of a function, which does nothing before the query is run."""
    return effect.unknown and effect.note is not None and effect.note.startswith(CALL)


def _writes(tree: exp.Expression, known: Known) -> Iterator[Effect]:
    for node in tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge):
        target = node.this.this if isinstance(node.this, exp.Schema) else node.this
        if not isinstance(target, exp.Table):
            continue  # a branch of MERGE: told with it
        name = _name(target, known)
        yield from _view(name, lock_rules.ROW_EXCLUSIVE, known)
        if isinstance(node, exp.Insert):
            columns = [_folded(one) for one in node.this.expressions] if isinstance(node.this, exp.Schema) else None
            yield from row_lock_rules.insert_rows(known, name, columns)
            conflict = node.args.get("conflict")
            if conflict is not None and conflict.expressions:
                yield from row_lock_rules.update_rows(known, name, _set(conflict))
        elif isinstance(node, exp.Update):
            yield from row_lock_rules.update_rows(known, name, _set(node))
        elif isinstance(node, exp.Delete):
            yield from row_lock_rules.delete_rows(known, name)
        else:
            yield from _merge(node, name, known)


def _merge(node: exp.Expression, name: Name, known: Known) -> Iterator[Effect]:
    yield lock_rules.on(name, lock_rules.ROW_EXCLUSIVE, "data")
    for when in node.find_all(exp.When):
        then = when.args.get("then")
        if isinstance(then, exp.Update):
            yield from row_lock_rules.update_rows(known, name, _set(then))
        elif isinstance(then, exp.Insert):
            columns = [_folded(one) for one in then.this.expressions] if then.this is not None else None
            yield from row_lock_rules.insert_rows(known, name, columns)
        elif then is not None and then.name.upper() == "DELETE":
            yield from row_lock_rules.delete_rows(known, name)


def _set(node: exp.Expression) -> set[str]:
    """The columns that SET gives a value."""
    targets = [one.this for one in node.expressions if isinstance(one, exp.EQ)]
    return {_folded(name) for target in targets for name in target.find_all(exp.Identifier)}


def _reads(tree: exp.Expression, known: Known) -> Iterator[Effect]:
    written = {id(_target(node)) for node in tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Merge)}
    named = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        is_source = isinstance(table.this, exp.Identifier) and not isinstance(table.parent, (exp.Lock, exp.Into))
        if not is_source or id(table) in written or (not table.db and table.name.lower() in named):
            continue
        name = _name(table, known)
        if name[0] in CATALOGS or (not table.db and name[1].startswith("pg_")):
            continue
        mode = lock_rules.ROW_SHARE if _is_locked(table) else lock_rules.ACCESS_SHARE
        yield lock_rules.on(name, mode, "scan")
        yield from _view(name, mode, known)


def _target(node: exp.Expression) -> object:
    return node.this.this if isinstance(node.this, exp.Schema) else node.this


def _is_locked(table: exp.Table) -> bool:
    """Whether the SELECT that the table stands in says FOR UPDATE, or another of its kind, of it."""
    select = table.find_ancestor(exp.Select)
    for lock in (select.args.get("locks") or []) if select is not None else []:
        if not lock.expressions or table.alias_or_name in {one.name for one in lock.expressions}:
            return True
    return False


def _view(name: Name, mode: str, known: Known) -> Iterator[Effect]:
    if known.whole and name not in known.tables:
        yield lock_rules.unnamed(mode, f"the tables that {name[1]} reads, if it is a view", "scan")


def _name(table: exp.Expression, known: Known) -> Name:
    schema = table.args.get("db")
    return known.name(_folded(schema) if schema is not None else None, _folded(table.this))


def _folded(identifier: exp.Expression) -> str:
    """As the server folds names: quoted ones as they are."""
    inner = identifier.this if isinstance(identifier, exp.Column) else identifier
    return str(inner.name) if inner.args.get("quoted") else str(inner.name).lower()
