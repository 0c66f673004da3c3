"""The answer of a replay, as a value: code that reads it needs neither Alembic nor a database driver."""

from __future__ import annotations

from dataclasses import dataclass

from magetui.model.schema import EnumType, TableDetail


@dataclass(frozen=True, slots=True)
class Replayed:
    """The schema that the chain creates, or the reason why it is not known.

    `refused`: a sentence that says why the replay is not possible on that server; `elsewhere`: whether it is possible
    in a scratch database. `failed`: the error that a script raised; `hint`: how the scratch database may have caused
    that error. Both happened at `revision`, if a revision had started.
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
