"""The changes that a run left in the schema, in words, for its conclusion and its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from magetui.text.formats import number, plain, some

if TYPE_CHECKING:
    from magetui.engine.runs.record import RunRecord
    from magetui.model.schema_change import SchemaChange

NAMED_AT_MOST = 5
CLEAN = "'magetui clean' drops what is invalid, or builds it again."


def describe_change(change: SchemaChange) -> str:
    """Return 'new table public.a', 'index public.ix, left invalid' or 'table public.a: owner mage → postgres'."""
    name = f"{change.kind} {plain(change.name)}"
    if change.invalid:
        return f"{name}, left invalid"
    if change.change == "new":
        return f"new {name}"
    if change.change == "gone":
        return f"{name} is gone"
    aspects = (
        f"{aspect.aspect} changed"
        if aspect.before is None
        else f"{aspect.aspect} {plain(aspect.before or 'none')} → {plain(aspect.after or 'none')}"
        for aspect in change.aspects
    )
    return f"{name}: {', '.join(aspects)}"


def remains(record: RunRecord, state: str) -> str:
    """Return what a run that did not end as planned left in the database, with `state`, the current revision.

    If the current revision moved, its changes belong to that, and only the report lists them.
    """
    compared = record.compared
    sentences = ["Part of the run was committed and stays."] if record.committed and record.outcome != "lost" else []
    if compared is None:
        return " ".join([*sentences, state])
    if compared.problem is not None:
        problem = f"The schema could not be compared with the one before: {plain(compared.problem)}."
        return " ".join([*sentences, problem, state])
    changes = [change for change in compared.changes if not change.is_sequence_value]
    invalid = [change for change in changes if change.invalid]
    if record.current_after != record.current_before:
        sentences += [f"It left {_listed(invalid, 0)}. {CLEAN}"] if invalid else []
        listed = f"The report lists {number(len(changes) + compared.more, 'change')} of the schema."
        sentences += [state, *([listed] if changes else [])]
    elif changes:
        since = "It left" if sentences else "The schema is not as it was before the run"
        sentences += [f"{since}: {_listed(changes, compared.more)}.", *([CLEAN] if invalid else []), state]
    elif record.committed:
        sentences += ["The schema is as it was before the run.", state]
    else:
        sentences += ["Nothing was committed, and the schema is as it was before the run.", state]
    moved = [change for change in compared.changes if change.is_sequence_value]
    if moved:
        sentences.append(f"No rollback sets a sequence back, and it or other sessions used {_sequences(moved)}.")
    return " ".join(sentences)


def left_invalid(record: RunRecord) -> str:
    """Return the sentence about invalid indexes that a completed run met or left; '' if there are none."""
    changes = record.compared.changes if record.compared is not None else ()
    invalid = [change for change in changes if change.invalid]
    return f"But it left {_listed(invalid, 0)}. {CLEAN}" if invalid else ""


def _listed(changes: Sequence[SchemaChange], more: int) -> str:
    texts = [describe_change(change) for change in changes]
    return "; ".join(texts[:NAMED_AT_MOST]) + (
        f"; and {len(texts) - NAMED_AT_MOST + more} more" if len(texts) > NAMED_AT_MOST else ""
    )


def _sequences(moved: Sequence[SchemaChange]) -> str:
    names = [
        f"{plain(change.name)} ({change.aspects[0].before or 'new'} → {change.aspects[0].after})" for change in moved
    ]
    return some(names, NAMED_AT_MOST)
