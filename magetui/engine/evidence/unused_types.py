"""Whether an enum type that nothing uses makes a pending revision fail.

A type that exists already is no fault by itself: the scripts may have made it, or may look before they create it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Literal

from magetui.engine.sql.ddl import parts_of
from magetui.model import operations as ops

if TYPE_CHECKING:
    from magetui.engine.evidence.schema_state import SchemaState

TypeFate = Literal["fails", "harmless", "unknown"]


def fates_of_types(
    names: Iterable[str], now: SchemaState, pending: Iterable[Iterable[ops.Operation]]
) -> Mapping[str, TypeFate]:
    """Return for each type what it means to the pending revisions, of which the operations are given, oldest first.

    'fails': a revision creates the type. 'unknown': a revision that cannot be followed names it.
    """
    fates: dict[str, TypeFate] = dict.fromkeys(names, "harmless")
    waiting = {name for name in fates if name not in now.enums}
    for operations in pending:
        for operation in operations:
            for part in parts_of(operation, now.dialect):
                named = _named(part, waiting, now)
                for name in named:
                    fates[name] = _fate(part)
                waiting -= named
    return fates


def _named(part: ops.Operation, names: Iterable[str], now: SchemaState) -> set[str]:
    if isinstance(part, ops.OnType):
        return {now.type_of(part)}.intersection(names)
    if isinstance(part, ops.Unclear):
        return {name for name in names if name.rpartition(".")[2] in part.words}
    return set()


def _fate(part: ops.Operation) -> TypeFate:
    if isinstance(part, ops.Unclear):
        return "unknown"
    return "fails" if isinstance(part, ops.CreateType) and not part.if_not_exists else "harmless"
