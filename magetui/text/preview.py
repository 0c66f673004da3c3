"""The preview of a plan in words, for the command line and the plan screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from magetui.text import formats

if TYPE_CHECKING:
    from magetui.engine.preview.preflight.answers import Cause
    from magetui.engine.preview.preview import Preview, TableEffect
    from magetui.model.lock_modes import LockMode
    from magetui.model.plan import Loss, Plan

Heading = Literal["waits", "doubt", "locks", "loses", "fails", "owner", "first"]
EMPTY_NAMED = 3
WORK = {"scan": "scans the table", "build": "builds an index", "rewrite": "rewrites the table", "data": "changes rows"}


def overview(preview: Preview, backup: str = "'magetui backup'") -> Iterator[tuple[Heading, str]]:
    """Yield (heading, text): the strong locks of the run, the data loss, the expected failures, and what is unknown.

    `doubt` says how the schema contradicts the revision of a stamp. `backup` is how the reader makes a backup, if
    this program makes backups of this kind of database.
    """
    first: tuple[tuple[Heading, str | None], ...] = (
        ("waits", preview.waits),
        ("doubt", preview.doubt),
        ("doubt", preview.not_compared),
        ("locks", preview.no_forecast),
    )
    yield from ((heading, text) for heading, text in first if text is not None)
    modes: dict[LockMode | None, list[TableEffect]] = {}
    for effect in sorted(preview.strongest, key=lambda effect: -(effect.rows or 0)):
        modes.setdefault(effect.effect.mode, []).append(effect)
    for mode, effects in modes.items():
        yield "locks", f"{formats.mode(mode and mode.value)} on {_tables(effects)}"
    losses = preview.losses.known
    values = [loss for loss in losses if loss.kind == "enum-value" and loss.rows]
    lost = lost_rows(losses)
    for sentence in preview.fails:
        yield "fails", sentence
    for loss in values:
        yield "fails", f"unless you first change {_rows_with_value(loss)}"
    for text in lost:
        yield "loses", text
    if losses and not lost and not values:
        committed = "committed " if preview.uncommitted else ""
        yield "loses", f"no {committed}rows: the dropped tables and columns are empty"
    if preview.uncommitted:
        yield "loses", f"what {formats.some(list(map(str, preview.uncommitted)), 3)} has written there and may commit"
    for sentence in preview.losses.undecidable:
        yield "loses", f"perhaps {'more' if lost or values else 'rows'}: {sentence}"
    if preview.owner is not None:
        yield "owner", preview.owner
    if lost:
        yield "first", f"{preview.other_backup or backup} saves the data that would be lost"


def causes(preview: Preview, number: int) -> tuple[Cause, ...]:
    """Return why the step fails, or why it is not known whether it does; steps are numbered from 1.

    What the script decides when it runs is among its warnings already.
    """
    if preview.preflight is None or number > len(preview.preflight.steps):
        return ()
    found = preview.preflight.steps[number - 1].causes
    return tuple(cause for cause in found if cause.operation is not None or cause.answer == "fails")


def lost_rows(losses: Sequence[Loss]) -> list[str]:
    """Return what goes with its rows: 'table generic_job with 3,000 rows'. What is empty is left out."""
    return [_lost(loss) for loss in losses if loss.kind != "enum-value" and loss.rows != 0]


def unavailable(plan: Plan, why: str) -> str:
    """Return the sentence for a plan whose preview could not be made."""
    what = "Could not compare the schema" if plan.verb == "stamp" else "Could not forecast locks and data loss"
    return f"{what}. {formats.plain(why)}"


def _tables(effects: Sequence[TableEffect]) -> str:
    """Name the tables that have rows. Many empty tables are only counted, because a lock on them is short."""
    full = [effect for effect in effects if effect.rows != 0 or effect.holders]
    empty = [effect for effect in effects if effect not in full]
    if len(empty) <= EMPTY_NAMED:
        return ", ".join(map(_locked, [*full, *empty]))
    return ", ".join([*map(_locked, full), f"{len(empty)} {'empty tables' if not full else 'more that are empty'}"])


def _locked(table: TableEffect) -> str:
    """Return 'user (1,204 rows, rewrites the table, blocked now by 4711)'."""
    effect, rows = table.effect, table.rows
    size = "empty" if rows == 0 else formats.rows(rows)
    held = f"blocked now by {', '.join(map(str, table.holders))}" if table.holders else ""
    facts = ", ".join(part for part in (size, WORK.get(effect.work, ""), held) if part)
    schema = f"{effect.schema}." if effect.schema not in (None, "public") else ""
    return f"{schema}{effect.table}" + (f" ({facts})" if facts else "")


def _lost(loss: Loss) -> str:
    """Return 'column role.entity, set in about 340 rows'."""
    table = _table(loss)
    lost = {
        "table": f"table {table} with {_rows(loss)}",
        "column": f"column {table}.{loss.column}, set in {_rows(loss)}",
        "rows": f"{_rows(loss)} of {table}",
    }[loss.kind]
    return lost + (f" ({loss.problem})" if loss.problem else "")


def _rows_with_value(loss: Loss) -> str:
    # PostgreSQL cannot remove a value from a type. The cast to a new type fails on a row with the value.
    have = "has" if loss.rows == 1 else "have"
    return f"the {_rows(loss)} that {have} '{loss.value}' in {_table(loss)}.{loss.column}: this value is removed"


def _rows(loss: Loss) -> str:
    if loss.rows is None:
        return "an unknown number of rows"
    return f"{'' if loss.exact else 'about '}{formats.rows(loss.rows)}"


def _table(loss: Loss) -> str:
    schema = f"{loss.schema}." if loss.schema not in (None, "public", "main", "dbo") else ""
    return f"{schema}{loss.table}"
