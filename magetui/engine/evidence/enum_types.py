"""How operations change the enum types of a schema state."""

from __future__ import annotations

from collections.abc import Mapping

from magetui.engine.evidence.table_state import without
from magetui.model import operations as ops

Values = tuple[str, ...]


def changed_types(  # noqa: PLR0911 - a case an operation
    known: Mapping[str, Values], opened: frozenset[str], name: str, operation: ops.OnType, new_name: str
) -> tuple[Mapping[str, Values], frozenset[str]]:
    """Return the known types with their values, and the names of the types that may exist or not, with any values.

    `name` is the type that the operation changes, and `new_name` the name that it has afterwards.
    """
    is_open = name in opened
    values = known.get(name, ())
    match operation:
        case ops.DropType():
            return without(known, name), opened - {name}
        case ops.CreateType(values=(), if_not_exists=_):
            return known, opened  # of values that are not read, nothing is known
        case ops.CreateType(if_not_exists=True) if is_open or name in known:
            return known, opened
        case ops.CreateType():
            return {**known, name: operation.values}, opened - {name}
        case ops.RenameType() if is_open:
            return without(known, new_name), opened - {name} | {new_name}
        case _ if is_open:
            return known, opened  # with any values before, it may have any values afterwards
        case ops.AddEnumValue():
            values = (*values, operation.value)
        case ops.RenameEnumValue(value=old, new_value=new):
            values = tuple(new if value == old else value for value in values)
    return {**without(known, name), new_name: values}, opened - {new_name}
