"""A finding: one fact worth acting on, as every judgement of a state gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from magetui.runner.request import ChangeVerb

Severity = Literal["ok", "info", "warning", "critical"]
# That all is well comes before notes on it, and after anything that asks to be done.
URGENCY: Mapping[str, int] = {"critical": 0, "warning": 1, "ok": 2, "info": 3}
BARRIERS = ("pooler", "server-read-only")  # with "connect" as their next: nothing can be changed there


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact worth acting on; `next` is the verb that would, `facts` what the sentence rests on."""

    code: str
    severity: Severity
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    next: str | None = None


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The most urgent first, each with a next verb that is not refused: behind a barrier, connecting elsewhere."""
    ordered = tuple(sorted(findings, key=lambda finding: URGENCY[finding.severity]))
    if not any(finding.code in BARRIERS and finding.next == "connect" for finding in ordered):
        return ordered
    return tuple(replace(f, next="connect") if f.next in get_args(ChangeVerb) else f for f in ordered)
