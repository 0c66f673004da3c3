"""The answer of a check of the models. It is separate from the other answers, as it needs the values of operations."""

from __future__ import annotations

from dataclasses import dataclass

from magetui.model.operations import Operation


@dataclass(frozen=True, slots=True)
class NewOperation:
    """An operation that autogenerate would write into a new script: its Python code, and what it does, if known."""

    code: str
    does: tuple[Operation, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """The operations that autogenerate finds. `refused` and `failed` are sentences, and `where` is a line of env.py."""

    operations: tuple[NewOperation, ...] = ()
    refused: str | None = None
    failed: str | None = None
    where: str | None = None
