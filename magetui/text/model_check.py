"""The result of `check` in sentences: whether the models agree with the database, and what a new script would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magetui.text import formats
from magetui.text.operations import doing

if TYPE_CHECKING:
    from magetui.engine.model_check import ModelCheck
    from magetui.protocol.checked import NewOperation

AGREE = "The models agree with the database: autogenerate finds nothing to write into a new script."
NEXT = (
    "'alembic revision --autogenerate' writes them into a new script. If the models are right and the chain has these "
    "changes already, the database has drifted: 'magetui verify' compares it with the chain."
)


def conclusion(checked: ModelCheck) -> tuple[str, ...]:
    """Return what the check found, as sentences."""
    at = f"Compared at {formats.current(checked.current)}, in {formats.duration(checked.elapsed_ms)}."
    if checked.equal:
        return AGREE, at
    count = formats.number(len(checked.operations), "operation")
    return f"The models differ from the database: autogenerate finds {count}.", f"{at} {NEXT}"


def lines_of(operation: NewOperation) -> tuple[str, ...]:
    """Return what an operation does, a line for each part; its code, if that is all that is known."""
    return tuple(map(doing, operation.does)) or (formats.one_line(operation.code),)
