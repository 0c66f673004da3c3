"""The preflight of a plan in words and as a document, for the command line and the plan screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from magetui.text import formats, operations

if TYPE_CHECKING:
    from magetui.engine.preview.preflight.answers import Cause, Offenders, Preflight, StepAnswer

WORDS = {"passes": "will pass", "fails": "will fail", "unknown": "cannot be known"}
NULL = "NULL"


def cause_lines(cause: Cause) -> Iterator[str]:
    """Yield a cause as sentences, and below it what the server says, the first rows, and the query for all of them."""
    about = "" if cause.operation is None else f" ({operations.doing(cause.operation, 60)})"
    verdict = "It will fail:" if cause.answer == "fails" else "Not known beforehand:"
    yield f"{verdict} {cause.said}{about}."
    if cause.says is not None:
        yield f"The error would be: {cause.says}"
    if cause.offenders is not None:
        yield f"The first: {'; '.join(_rows(cause.offenders))}"
    if cause.query is not None:
        yield f"All: {cause.query}"


def _rows(offenders: Offenders) -> Iterator[str]:
    for row in offenders.rows:
        pairs = zip(offenders.columns, row, strict=True)
        yield ", ".join(f"{column} {NULL if value is None else value}" for column, value in pairs)


def report_lines(preflight: Preflight) -> Iterator[str]:
    """Yield a line for each step, with the causes below it."""
    for step in preflight.steps:
        yield formats.plain(f"  {step.direction:<9} {step.revision}  {WORDS[step.answer]}")
        for cause in step.causes:
            first, *more = cause_lines(cause)
            yield formats.plain(f"    {first}")
            yield from (formats.plain(f"      {line}") for line in more)


def conclusion(preflight: Preflight | None) -> str:
    """Return the answer for the complete plan as a sentence."""
    if preflight is None:
        return "There is no preflight on this kind of database yet."
    failing = [step.revision for step in preflight.steps if step.answer == "fails"]
    unknown = [step.revision for step in preflight.steps if step.answer == "unknown"]
    if failing:
        return f"It will fail at {', '.join(failing)}."
    if unknown:
        return f"Nothing fails for certain. Whether it passes is not known at {', '.join(unknown)}."
    return "It will pass, unless the database changes before it runs, or somebody holds a lock."


def document(preflight: Preflight | None) -> dict[str, Any] | None:
    if preflight is None:
        return None
    return {"answer": preflight.answer, "steps": [_step(step) for step in preflight.steps]}


def _step(step: StepAnswer) -> dict[str, Any]:
    return {
        "revision": step.revision,
        "direction": step.direction,
        "answer": step.answer,
        "causes": [_cause(cause) for cause in step.causes],
    }


def _cause(cause: Cause) -> dict[str, Any]:
    found = cause.offenders
    return {
        "answer": cause.answer,
        "operation": None if cause.operation is None else cause.operation.kind,
        "message": cause.said,
        "server_says": cause.says,
        "query": cause.query,
        "rows": None if found is None else found.count,
        "first_rows": [] if found is None else [dict(zip(found.columns, row, strict=True)) for row in found.rows],
    }
