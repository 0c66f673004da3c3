"""A finding: one fact worth acting on, as every judgement of a state gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from magetui.model.plan import ChangeVerb

Severity = Literal["ok", "info", "warning", "critical"]
# That all is well comes before notes on it, and after anything that asks to be done.
URGENCY: Mapping[str, int] = {"critical": 0, "warning": 1, "ok": 2, "info": 3}
BARRIERS = ("pooler", "server-read-only")  # with "connect" as their next: nothing can be changed there
# Of those that are as urgent: a half revision explains what it left, and a migration fails on a type that is there.
FIRST = ("evidence-contradicts", "migration-running", "leftover-type")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact worth acting on; `next` is the verb that would, `facts` what the sentence rests on."""

    code: str
    severity: Severity
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    next: str | None = None


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The most urgent first, none with a change as its next verb that another finding forbids, or wants put off."""
    ordered = tuple(sorted(findings, key=_place))
    if any(finding.code == "several-heads" for finding in ordered):  # a head has to be chosen first
        ordered = tuple(replace(f, next="history") if f.next == "migrate" else f for f in ordered)
    barred = next((f for f in ordered if f.code in BARRIERS and f.next == "connect"), None)
    first = barred or next((f for f in ordered if f.code == "migration-running"), None) or ordered[0]
    if barred is None and first.code != "migration-running" and first.severity != "critical":
        return ordered
    changes = get_args(ChangeVerb)
    put_off = [f for f in ordered if f.next in changes and f is not first and (barred or f.severity != "critical")]
    return tuple(replace(f, next=first.next) if f in put_off else f for f in ordered)


def _place(finding: Finding) -> tuple[int, bool, bool]:
    saves_rows = finding.code == "leftover-table" and "sql" in finding.facts  # they are in the copy alone
    return URGENCY[finding.severity], not saves_rows, finding.code not in FIRST
