"""A plan's preview in words, the same on the command line and on the plan screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from magetui.text import formats

if TYPE_CHECKING:
    from magetui.engine.preview.data_loss import Loss
    from magetui.engine.preview.preview import Preview, TableEffect
    from magetui.model.lock_modes import LockMode

Heading = Literal["doubt", "locks", "loses", "fails", "first"]
EMPTY_NAMED = 3
WORK = {"scan": "reads all of it", "build": "builds an index", "rewrite": "writes it anew", "data": "changes rows"}


def overview(preview: Preview, backup: str = "'magetui backup'") -> Iterator[tuple[Heading, str]]:
    """Under which heading, and what: the strong locks of the whole run, what is lost, and what cannot be foretold;
    and what of the schema speaks against the current revision.

    `backup` is how one is made where this is read.
    """
    if preview.doubt is not None:
        yield "doubt", preview.doubt
    if preview.no_forecast is not None:
        yield "locks", preview.no_forecast
    modes: dict[LockMode | None, list[TableEffect]] = {}
    for one in sorted(preview.strongest, key=lambda one: -(one.rows or 0)):
        modes.setdefault(one.effect.mode, []).append(one)
    for mode, several in modes.items():
        yield "locks", f"{formats.mode(mode and mode.value)} on {_tables(several)}"
    losses = preview.losses.known
    values = [loss for loss in losses if loss.kind == "enum-value" and loss.rows]
    lost = [loss for loss in losses if loss.kind != "enum-value" and loss.rows != 0]
    for sentence in preview.fails:
        yield "fails", sentence
    for loss in values:
        yield "fails", f"if nothing is done about {_of_value(loss)}"
    for loss in lost:
        yield "loses", _lost(loss)
    if losses and not lost and not values:
        yield "loses", "no rows: what is dropped is empty"
    for sentence in preview.losses.undecidable:
        yield "loses", f"perhaps more: {sentence}"
    if lost:
        yield "first", f"{backup} keeps what would be lost"


def _tables(several: Sequence[TableEffect]) -> str:
    """Those with rows by name; empty ones too, unless they are many, since nobody waits long for them."""
    full = [one for one in several if one.rows != 0 or one.holders]
    empty = [one for one in several if one not in full]
    if len(empty) <= EMPTY_NAMED:
        return ", ".join(map(_locked, [*full, *empty]))
    return ", ".join([*map(_locked, full), f"{len(empty)} {'empty tables' if not full else 'that are empty'}"])


def _locked(one: TableEffect) -> str:
    """'user (1,204 rows, writes it anew, in the way now: 4711)'."""
    effect = one.effect
    size = "" if one.rows is None else "empty" if not one.rows else f"{one.rows:,} row{'' if one.rows == 1 else 's'}"
    held = f"in the way now: {', '.join(map(str, one.holders))}" if one.holders else ""
    facts = ", ".join(part for part in (size, WORK.get(effect.work, ""), held) if part)
    schema = f"{effect.schema}." if effect.schema not in (None, "public") else ""
    return f"{schema}{effect.table}" + (f" ({facts})" if facts else "")


def _lost(loss: Loss) -> str:
    """'column role.entity, set in about 340 rows'."""
    place = _place(loss)
    spoken = {
        "table": f"table {place} with {_rows(loss)}",
        "column": f"column {place}.{loss.column}, set in {_rows(loss)}",
        "rows": f"{_rows(loss)} of {place}",
    }[loss.kind]
    return spoken + (f" ({loss.problem})" if loss.problem else "")


def _of_value(loss: Loss) -> str:
    """PostgreSQL takes no value away from a type: the column is cast to a new one, and a row that has it stops that."""
    have = "has" if loss.rows == 1 else "have"
    return f"the {_rows(loss)} that {have} '{loss.value}' in {_place(loss)}.{loss.column}, a value that is removed"


def _rows(loss: Loss) -> str:
    count = "an unknown number of" if loss.rows is None else f"{'' if loss.exact else 'about '}{loss.rows:,}"
    return f"{count} row{'' if loss.rows == 1 else 's'}"


def _place(loss: Loss) -> str:
    schema = f"{loss.schema}." if loss.schema not in (None, "public", "main", "dbo") else ""
    return f"{schema}{loss.table}"
