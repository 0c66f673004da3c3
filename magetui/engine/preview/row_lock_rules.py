"""What PostgreSQL locks for rows that are added, changed and deleted: rules beside those of `costs`.

A foreign key is checked by queries on the other table, for the rows that are changed; they lock it as queries do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from magetui.engine.preview.known_tables import Known, Name
from magetui.engine.preview.lock_rules import ROW_EXCLUSIVE, ROW_SHARE, Effect, on, unnamed


def insert_rows(known: Known, name: Name, columns: Iterable[str] | None = None) -> Iterator[Effect]:
    """`columns` None is all of them."""
    yield on(name, ROW_EXCLUSIVE, "data")
    yield from _checked_keys(known, name, columns)


def update_rows(known: Known, name: Name, columns: Iterable[str]) -> Iterator[Effect]:
    columns = set(columns)
    yield on(name, ROW_EXCLUSIVE, "data")
    yield from _checked_keys(known, name, columns)
    for key, other in known.referring(name):
        if columns & set(key.referred_columns):
            yield on(other, ROW_SHARE, note="its keys are looked up, and changed where they are ON UPDATE CASCADE")
    if not known.whole:
        yield unnamed(ROW_SHARE, f"the tables whose foreign keys refer to {name[1]}")


def _checked_keys(known: Known, name: Name, columns: Iterable[str] | None) -> Iterator[Effect]:
    for key, other in known.referred(name):
        if columns is None or set(columns) & set(key.columns):
            yield on(other, ROW_SHARE, note="its keys are looked up")
    if known.tables.get(name) is None and name not in known.created:
        yield unnamed(ROW_SHARE, f"the tables that foreign keys of {name[1]} refer to")


def delete_rows(known: Known, name: Name) -> Iterator[Effect]:
    seen: set[Name] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        yield on(one, ROW_EXCLUSIVE, "data", None if one == name else "its rows go too (ON DELETE CASCADE)")
        for key, other in known.referring(one):
            if key.on_delete == "CASCADE":
                waiting.append(other)
            elif key.on_delete in {"SET NULL", "SET DEFAULT"}:
                yield on(other, ROW_EXCLUSIVE, "data", f"its keys are changed (ON DELETE {key.on_delete})")
            else:
                yield on(other, ROW_SHARE, note="its keys are looked up")
    if not known.whole:
        yield unnamed(ROW_EXCLUSIVE, f"the tables whose foreign keys refer to {name[1]}", "data")
