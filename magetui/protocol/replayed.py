"""What a replay answers with, as a value: whoever reads it needs neither Alembic nor a driver."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from magetui.model.schema import Column, Constraint, EnumType, ForeignKey, Index, Table, TableDetail


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the chain makes, or why that is not known.

    `refused`: the replay may not be done there, as a sentence; `elsewhere`, whether it could be in a database apart.
    `failed`: a script raised this; `hint` says why it may
    be the scratch place's doing. Both at `revision`, where one had begun.
    """

    schema: str | None = None
    tables: tuple[TableDetail, ...] = ()
    enums: tuple[EnumType, ...] = ()
    server: str = ""
    refused: str | None = None
    elsewhere: bool = True
    failed: str | None = None
    hint: str | None = None
    revision: str | None = None
    where: str | None = None


def decode(values: Mapping[str, Any]) -> Replayed:
    """What a replay told, as `asdict` made it. Raises `KeyError` or `TypeError` for anything else."""
    enums = tuple(EnumType(one["schema"], one["name"], tuple(one["values"])) for one in values["enums"])
    return Replayed(**{**values, "tables": tuple(map(_detail, values["tables"])), "enums": enums})


def _detail(values: Mapping[str, Any]) -> TableDetail:
    def parts(name: str, kind: Callable[..., Any]) -> tuple[Any, ...]:
        return tuple(
            kind(**{key: tuple(one) if isinstance(one, list) else one for key, one in part.items()})
            for part in values[name]
        )

    return TableDetail(
        Table(**values["table"]),
        parts("columns", Column),
        tuple(values["primary_key"]),
        parts("indexes", Index),
        parts("foreign_keys", ForeignKey),
        parts("constraints", Constraint),
    )
