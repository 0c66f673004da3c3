"""The states of many targets, a line for each, and the JSON document of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from magetui.text import formats
from magetui.text.headline import headline
from magetui.text.terminal import COLOURS, Text, columns, wrapped

if TYPE_CHECKING:
    from magetui.engine.diagnosis.many import NamedDiagnosis

WIDTH = 78
NOT_DIAGNOSED = "NOT DIAGNOSED"


def state_of(one: NamedDiagnosis) -> str:
    """Return the state of a target in capitals, such as 'UP TO DATE' or 'CANNOT CONNECT'."""
    return NOT_DIAGNOSED if one.diagnosis is None else headline(one.diagnosis, one.diagnosis.findings[0])


def state_lines(found: Sequence[NamedDiagnosis], text: Text) -> Iterable[str]:
    """Yield a heading, a line for each target, a summary, and why some could not be diagnosed."""
    rows = [("TARGET", "STATE", "CURRENT", "NEXT"), *map(_row, found)]
    for line, one in zip(columns(rows), (None, *found), strict=True):
        severity = None if one is None else one.diagnosis.findings[0].severity if one.diagnosis else "critical"
        yield line if severity in (None, "ok", "info") else text.paint(line, COLOURS[str(severity)])
    yield ""
    yield summary(found)
    for one in found:
        if not one.reached:
            yield from wrapped(formats.plain(f"{one.name}: {_problem(one)}"), WIDTH, 2)


def summary(found: Sequence[NamedDiagnosis]) -> str:
    """Return '12 targets: 8 healthy, 3 to act on, 1 not reached'."""
    healthy, reached = sum(one.healthy for one in found), sum(one.reached for one in found)
    parts = (f"{healthy} healthy", f"{reached - healthy} to act on", f"{len(found) - reached} not reached")
    return f"{formats.number(len(found), 'target')}: {', '.join(part for part in parts if not part.startswith('0 '))}"


def many_document(found: Sequence[NamedDiagnosis]) -> dict[str, Any]:
    """Return the JSON document: each target with its name, state and diagnosis."""
    return {
        "targets": [
            {
                "name": one.name,
                "healthy": one.healthy,
                "state": state_of(one),
                "problem": one.problem,
                "diagnosis": None if one.diagnosis is None else asdict(one.diagnosis),
            }
            for one in found
        ]
    }


def _row(one: NamedDiagnosis) -> tuple[str, str, str, str]:
    found = one.diagnosis
    if found is None or not one.reached:
        return formats.plain(one.name), state_of(one), "unknown", ""
    current = formats.current(found.current) if found.knows_current else "unknown"
    return formats.plain(one.name), state_of(one), current, "" if one.healthy else found.findings[0].next or ""


def _problem(one: NamedDiagnosis) -> str:
    return one.problem or (one.diagnosis.findings[0].message if one.diagnosis is not None else "")
