"""Rules for the locks of rows that are inserted, updated and deleted on PostgreSQL.

The server checks a foreign key with queries on the other table, which lock that table as any query does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.table_state import Name
from magetui.engine.preview.lock_rules import ROW_EXCLUSIVE, ROW_SHARE, Effect, on, unnamed


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
