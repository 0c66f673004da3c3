"""A finding: one fact worth acting on. All modules of the diagnosis return findings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from magetui.verbs import VERBS

Severity = Literal["ok", "info", "warning", "critical"]
# "All is well" comes before notes, and after anything that needs an action.
URGENCY: Mapping[str, int] = {"critical": 0, "warning": 1, "ok": 2, "info": 3}
BARRIERS = ("pooler", "server-read-only")  # if their next verb is "connect", nothing can be changed there
NAMED_AT_MOST = 5
# These come first among findings of the same urgency: they explain the others.
DEFERRING = (
    "migration-running",
    "migration-lock-held",
    "leftover-type",
)  # what is to be done before a change, also if it is a warning
BLOCKERS = "blockers"  # the fact of a finding about sessions that the pending revisions would wait for
UNTRUSTED = "untrusted-project"
CHANGES = tuple(verb.name for verb in VERBS if verb.changes)
NEEDS_TRUST = (*CHANGES, "evidence")
FIRST = ("evidence-contradicts", "migration-running", "migration-lock-held", "leftover-type")

WITHOUT_CURRENT = frozenset(
    {"unknown-revision", "empty-version-table", "no-version-table", "several-current-revisions"}
)
WEIGHED = WITHOUT_CURRENT | {"up-to-date", "behind"}  # the findings that evidence supports or contradicts


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact worth acting on. `next` is the verb for it; `facts` are the values behind the message."""

    code: str
    severity: Severity
    message: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    next: str | None = None


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the most urgent finding first. No finding keeps a next verb that another one forbids or defers."""
    ordered = tuple(sorted(findings, key=_rank))
    if any(finding.code == "several-heads" for finding in ordered):  # a head has to be chosen first
        ordered = tuple(replace(f, next="history") if f.next == "migrate" else f for f in ordered)
    if any(finding.code == UNTRUSTED for finding in ordered):  # without trust nothing can be planned
        ordered = tuple(replace(f, next="trust") if f.next in NEEDS_TRUST else f for f in ordered)
    barred = next((f for f in ordered if f.code in BARRIERS and f.next == "connect"), None)
    waited_for = next((f for f in ordered if f.code in DEFERRING or f.facts.get(BLOCKERS)), None)
    first = barred or waited_for or ordered[0]
    if barred is None and waited_for is None and first.severity != "critical":
        return ordered
    deferred = [f for f in ordered if f.next in CHANGES and f is not first and (barred or f.severity != "critical")]
    return tuple(replace(f, next=first.next) if f in deferred else f for f in ordered)


def worth_weighing(findings: Iterable[Finding]) -> bool:
    """Return True if there are tables that may support or contradict a current revision."""
    return any(finding.code in WEIGHED and finding.facts.get("tables") != 0 for finding in findings)


def _rank(finding: Finding) -> tuple[int, bool, bool]:
    saves_rows = finding.code == "leftover-table" and "sql" in finding.facts  # the rows are only in the copy
    comes_first = finding.code in FIRST or bool(finding.facts.get(BLOCKERS))
    return URGENCY[finding.severity], not saves_rows, not comes_first


def some(names: list[str]) -> str:
    """'a, b' or 'a, b, c, d, e and 7 more'."""
    shown = ", ".join(names[:NAMED_AT_MOST])
    return shown if len(names) <= NAMED_AT_MOST else f"{shown} and {len(names) - NAMED_AT_MOST} more"
