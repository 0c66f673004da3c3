"""Rules for the locks and the work of each kind of change on PostgreSQL.

The lock modes are those of the manual's chapter 13.3 and of ALTER TABLE's page. Where the manual is silent, they are
what servers 16 and 18 show in pg_locks: dropping a table, for example, also locks the tables that its foreign keys
refer to. If the `SchemaState` does not know enough, an effect without a table says which tables are meant. Partitions
and children are not in the state: what is said of a table holds for them too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.engine.preview.column_rules import type_change
from magetui.model.lock_modes import WORKS, LockMode, TableWork

if TYPE_CHECKING:
    from magetui.engine.evidence.schema_state import SchemaState
    from magetui.engine.evidence.table_state import Name

ACCESS_SHARE = LockMode.ACCESS_SHARE
ROW_SHARE = LockMode.ROW_SHARE
ROW_EXCLUSIVE = LockMode.ROW_EXCLUSIVE
SHARE_UPDATE_EXCLUSIVE = LockMode.SHARE_UPDATE_EXCLUSIVE
SHARE = LockMode.SHARE
SHARE_ROW_EXCLUSIVE = LockMode.SHARE_ROW_EXCLUSIVE
ACCESS_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE
NOT_VALID = "does not check the existing rows"


@dataclass(frozen=True, slots=True)
class Effect:
    """One lock on one table, and the work that is done while the lock is held.

    `table` None: `note` says which tables are meant. `mode` None: `note` says why the lock is not known.
    """

    table: str | None
    schema: str | None
    mode: LockMode | None
    work: TableWork
    note: str | None = None

    @property
    def unknown(self) -> bool:
        return self.mode is None

    @property
    def rank(self) -> tuple[int, int]:
        """Return the strength of the lock, then the amount of work. An unknown lock is the weakest."""
        return -1 if self.mode is None else self.mode.strength, WORKS.index(self.work)


def on(path: Name, mode: LockMode, work: TableWork = "catalog", note: str | None = None) -> Effect:
    return Effect(path[1], path[0], mode, work, note)


def unnamed(mode: LockMode, note: str, work: TableWork = "catalog") -> Effect:
    return Effect(None, None, mode, work, note)


def not_known(note: str) -> Effect:
    return Effect(None, None, None, "unknown", note)


def merged(effects: Iterable[Effect], state: SchemaState | None = None) -> tuple[Effect, ...]:
    """Return the strongest lock and most work for each table that the transaction of `state` has not created."""
    tables: dict[object, Effect] = {}
    for effect in effects:
        if state is not None and effect.table is not None and state.is_new((effect.schema, effect.table)):
            continue
        key = (effect.schema, effect.table) if effect.table is not None else effect
        tables[key] = _both(tables[key], effect) if key in tables else effect
    return tuple(tables.values())


def _both(effect: Effect, other: Effect) -> Effect:
    notes = dict.fromkeys(note for note in (effect.note, other.note) if note)
    mode = max(effect, other, key=lambda effect: effect.rank).mode
    work = max(effect.work, other.work, key=WORKS.index)
    return Effect(effect.table, effect.schema, mode, work, "; ".join(notes) or None)


# -- tables


def drop_table(state: SchemaState, path: Name, cascade: bool = False) -> Iterator[Effect]:
    yield on(path, ACCESS_EXCLUSIVE)
    for _, other in state.referred(path):
        yield on(other, ACCESS_EXCLUSIVE, note="a foreign key of the dropped table refers to it")
    if state.known(path) is None and state.open:
        yield unnamed(ACCESS_EXCLUSIVE, f"the tables that foreign keys of {path[1]} refer to")
    if cascade:
        for _, other in state.referring(path):
            yield on(other, ACCESS_EXCLUSIVE, note="its foreign key to the dropped table is dropped")
        if state.open:
            yield unnamed(ACCESS_EXCLUSIVE, f"the tables whose foreign keys refer to {path[1]}")
        yield unnamed(ACCESS_EXCLUSIVE, f"views that read {path[1]}")


def truncate(state: SchemaState, path: Name, cascade: bool) -> Iterator[Effect]:
    seen: set[Name] = set()
    waiting = [path]
    while waiting:
        table = waiting.pop()
        if table not in seen:
            seen.add(table)
            yield on(table, ACCESS_EXCLUSIVE, "data", "empties the table")
            waiting += [other for _, other in state.referring(table)] if cascade else []
    if cascade and state.open:
        yield unnamed(ACCESS_EXCLUSIVE, f"the tables whose foreign keys refer to {path[1]}, emptied too", "data")


# -- columns


def drop_column(state: SchemaState, path: Name, column: str, cascade: bool = False) -> Iterator[Effect]:
    yield on(path, ACCESS_EXCLUSIVE)
    for key, other in state.referred(path):
        if column in key.columns:
            yield on(other, ACCESS_EXCLUSIVE, note="the column's foreign key refers to it")
    if state.known(path) is None:
        yield unnamed(ACCESS_EXCLUSIVE, f"the table that a foreign key of {path[1]}.{column} refers to")
    if cascade:
        for key, other in state.referring(path):
            if column in key.referred_columns:
                yield on(other, ACCESS_EXCLUSIVE, note="its foreign key to the dropped column is dropped")
        if state.open:
            yield unnamed(ACCESS_EXCLUSIVE, f"the tables whose foreign keys refer to {path[1]}.{column}")
        yield unnamed(ACCESS_EXCLUSIVE, f"views that read {path[1]}.{column}")


def set_type(state: SchemaState, path: Name, column: str, new: str, using: str | None) -> Iterator[Effect]:
    """Yield the effects of ALTER COLUMN TYPE. It drops and adds again the foreign keys on both sides of the column."""
    table = state.at(path)
    work, note = type_change(table.column_type(column) if table else None, new, column, using)
    yield on(path, ACCESS_EXCLUSIVE, work, note)
    keys = [other for key, other in state.referred(path) if column in key.columns]
    keys += [other for key, other in state.referring(path) if column in key.referred_columns]
    for other in keys:
        others: TableWork = "scan" if work == "rewrite" else "catalog"
        yield on(other, ACCESS_EXCLUSIVE, others, "a foreign key between the two tables is created again")
    if state.known(path) is None or state.open:
        yield unnamed(ACCESS_EXCLUSIVE, f"the tables that a foreign key connects with {path[1]}.{column}")
    if table and any(column in re.findall(r"\w+", check) for check in table.checks.values()):
        yield on(path, ACCESS_EXCLUSIVE, "scan", "a check of the column is created again")


# -- constraints and indexes


def add_foreign_key(path: Name, referred: Name, valid: bool = True) -> Iterator[Effect]:
    if valid:
        yield on(path, SHARE_ROW_EXCLUSIVE, "scan", "looks up every row's key while writers wait")
    else:
        yield on(path, SHARE_ROW_EXCLUSIVE, note=NOT_VALID)
    if referred != path:
        yield on(referred, SHARE_ROW_EXCLUSIVE, "scan" if valid else "catalog", "the foreign key refers to it")


def validate(state: SchemaState, path: Name, constraint: str) -> Iterator[Effect]:
    yield on(path, SHARE_UPDATE_EXCLUSIVE, "scan", "checks every row beside readers and writers")
    for _, other in _named_key(state, path, constraint):
        yield on(other, ROW_SHARE, "scan", "its keys are looked up")
    if state.known(path) is None:
        yield unnamed(ROW_SHARE, f"the table that {constraint} refers to, if it is a foreign key", "scan")


def _named_key(state: SchemaState, path: Name, constraint: str | None) -> list[tuple[str, Name]]:
    """Return the foreign key of that name with the other table that it refers to; nothing if there is none."""
    table = state.at(path)
    key = table.foreign_key(constraint) if table else None
    if table is None or key is None:
        return []
    foreign = table.foreign_keys[key]
    other = state.path(foreign.referred_schema, foreign.referred_table)
    return [(key, other)] if other != path else []


def drop_constraint(
    state: SchemaState, path: Name, constraint: str | None, kind: str | None, cascade: bool = False
) -> Iterator[Effect]:
    """Yield the effects. `kind` None: only the name of the constraint is known."""
    yield on(path, ACCESS_EXCLUSIVE)
    keys = _named_key(state, path, constraint)
    for _, other in keys:
        yield on(other, ACCESS_EXCLUSIVE, note="the foreign key refers to it")
    if state.known(path) is None and kind in {None, "foreign"}:
        yield unnamed(ACCESS_EXCLUSIVE, f"the table that {constraint} refers to, if it is a foreign key")
    elif kind == "foreign" and not keys:
        yield unnamed(ACCESS_EXCLUSIVE, f"the table that {constraint} refers to")
    if cascade and not keys and kind not in {"foreign", "check"}:
        yield from _referring_key(state, path, constraint)


def _referring_key(state: SchemaState, path: Name, constraint: str | None) -> Iterator[Effect]:
    """Yield the tables whose foreign keys need a primary key or a unique constraint."""
    table = state.known(path)
    if table is None or state.open:
        yield unnamed(ACCESS_EXCLUSIVE, f"the tables whose foreign keys refer to {path[1]}")
    if table is None or constraint in table.checks:
        return
    index = table.indexes.get(constraint or "")
    columns = index.columns if index else table.primary_key
    for key, other in state.referring(path):
        if set(columns) == set(key.referred_columns):
            yield on(other, ACCESS_EXCLUSIVE, note="its foreign key needs the constraint, and is dropped")


# -- rows: the server checks a foreign key with queries on the other table, which lock that table as any query does


def insert_rows(state: SchemaState, path: Name, columns: Iterable[str] | None = None) -> Iterator[Effect]:
    """Yield the locks. `columns` None means all columns."""
    yield on(path, ROW_EXCLUSIVE, "data")
    yield from _checked_keys(state, path, columns)


def update_rows(state: SchemaState, path: Name, columns: Iterable[str]) -> Iterator[Effect]:
    columns = set(columns)
    yield on(path, ROW_EXCLUSIVE, "data")
    yield from _checked_keys(state, path, columns)
    for key, other in state.referring(path):
        if columns & set(key.referred_columns):
            yield on(other, ROW_SHARE, note="its keys are looked up, and changed if they are ON UPDATE CASCADE")
    if state.open:
        yield unnamed(ROW_SHARE, f"the tables whose foreign keys refer to {path[1]}")


def _checked_keys(state: SchemaState, path: Name, columns: Iterable[str] | None) -> Iterator[Effect]:
    for key, other in state.referred(path):
        if columns is None or set(columns) & set(key.columns):
            yield on(other, ROW_SHARE, note="its keys are looked up")
    if state.known(path) is None and not state.is_new(path):
        yield unnamed(ROW_SHARE, f"the tables that foreign keys of {path[1]} refer to")


def delete_rows(state: SchemaState, path: Name) -> Iterator[Effect]:
    seen: set[Name] = set()
    waiting = [path]
    while waiting:
        table = waiting.pop()
        if table in seen:
            continue
        seen.add(table)
        yield on(
            table, ROW_EXCLUSIVE, "data", None if table == path else "its rows are deleted too (ON DELETE CASCADE)"
        )
        for key, other in state.referring(table):
            if key.on_delete == "CASCADE":
                waiting.append(other)
            elif key.on_delete in {"SET NULL", "SET DEFAULT"}:
                yield on(other, ROW_EXCLUSIVE, "data", f"its keys are changed (ON DELETE {key.on_delete})")
            else:
                yield on(other, ROW_SHARE, note="its keys are looked up")
    if state.open:
        yield unnamed(ROW_EXCLUSIVE, f"the tables whose foreign keys refer to {path[1]}", "data")
