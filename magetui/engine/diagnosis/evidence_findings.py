"""The findings that evidence adds to a diagnosis: whether the schema matches the current revision.

If there is no usable current revision, the evidence names candidates for it. These findings are separate because the
evidence takes longer than the diagnosis, and may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from magetui.engine.diagnosis.finding import WEIGHED, WITHOUT_CURRENT, Finding
from magetui.engine.evidence.summary import (
    advise_repair,
    advise_verify,
    describe_strangers,
    list_differences,
    name_revisions,
    shorten,
    summarize,
)
from magetui.engine.evidence.verdict import Evidence, MadeFromModels, MatchesLoosely, Unsure

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain

NO_ROW = frozenset({"empty-version-table", "no-version-table"})
REPLACES = "If the schema matches a known revision, 'magetui stamp' can replace the current revision."


def judged(findings: Sequence[Finding], chain: Chain, current: tuple[str, ...], evidence: Evidence) -> list[Finding]:
    """Return the findings, with what the evidence says of the current revision or of candidates for it."""
    findings = [kept for finding in findings if (kept := _with_fate(finding, evidence)) is not None]
    codes = {finding.code for finding in findings}
    if not evidence.tables or not codes & WEIGHED:
        return findings  # the chain makes nothing that a schema shows, or there is no current revision to weigh
    if codes & WITHOUT_CURRENT:
        return [
            _with_candidates(finding, chain, current, evidence) if finding.code in WITHOUT_CURRENT else finding
            for finding in findings
        ]
    if isinstance(evidence.verdict, MadeFromModels):
        return [
            *findings,
            Finding("made-from-models", "info", summarize(chain, evidence), _facts(evidence), "evidence"),
        ]
    if evidence.contradicts(current):
        contradiction = _contradiction(chain, current, evidence)
        if contradiction.severity == "critical":  # then it is no good news that the current revision is the head
            findings = [finding for finding in findings if finding.code != "up-to-date"]
        return [*findings, contradiction]
    return [*findings, *_too_early(evidence)]


def _with_fate(finding: Finding, evidence: Evidence) -> Finding | None:
    """Return the finding; None if it is about an unused type that no pending revision fails on."""
    if finding.code != "leftover-type":
        return finding
    fate = evidence.type_fates.get(str(finding.facts["name"]).rpartition(".")[2])
    if fate == "harmless":
        return None
    return replace(finding, severity="info") if fate == "unknown" else finding


def _facts(evidence: Evidence) -> Mapping[str, Any]:
    return {
        "fits": [list(revisions) for revisions in (*evidence.fits, *evidence.loosely)],
        "nearest": None if evidence.nearest is None else list(evidence.nearest),
        "partial": None if evidence.partial is None else evidence.partial.revision,
        "differences": [f"{'missing' if missing else 'extra'}: {fact}" for fact, missing in evidence.differences],
    }


def _with_candidates(finding: Finding, chain: Chain, current: tuple[str, ...], evidence: Evidence) -> Finding:
    unknown = chain.unknown(current)
    facts = {**finding.facts, **_facts(evidence)}
    if (strangers := describe_strangers(chain, evidence, current)) is not None:
        matched = summarize(chain, evidence) if current else None
        message = _joined(finding.message, matched, strangers)
        return replace(finding, message=message, facts=facts, next="evidence" if current else "connect")
    message = _joined(
        finding.message,
        REPLACES if unknown and finding.next == "stamp" else None,
        summarize(chain, evidence),
        advise_repair(evidence),
        "This is evidence, not proof.",
    )
    is_new = evidence.fits == ((),) and not current
    if is_new:
        message += " If it is right, there is nothing to stamp: 'magetui migrate' starts with the first revision."
    return replace(
        finding,
        message=message,
        facts=facts,
        next="evidence" if unknown else "migrate" if is_new and finding.code in NO_ROW else finding.next,
    )


def _contradiction(chain: Chain, current: tuple[str, ...], evidence: Evidence) -> Finding:
    # If a rebuilt table lacks its indexes, somebody may as well have dropped them by hand.
    is_partial = evidence.partial is not None and not evidence.partial.unindexed
    if not is_partial and evidence.nearest is not None and sorted(evidence.nearest) == sorted(current):
        unread = None
        if isinstance(evidence.verdict, Unsure):
            name = name_revisions(chain, (evidence.verdict.unread,))
            unread = f"The script of {name} cannot be read, so it is not known whether it was run."
        message = _joined(
            f"The schema almost matches {', '.join(current) or 'base'}: "
            f"{shorten(list_differences(evidence.differences), '; ')}.",
            "Somebody may have changed it by hand. A migration that builds on it can fail.",
            unread,
        )
        return Finding("evidence-contradicts", "warning", message, _facts(evidence), "evidence")
    message = _joined(
        f"The current revision is {', '.join(current) or 'base'}, but the schema does not match it.",
        summarize(chain, evidence),
        advise_repair(evidence),
        advise_verify(evidence, current),
        None if evidence.partial is not None else "Find out why before anything is migrated.",
    )
    return Finding("evidence-contradicts", "critical", message, _facts(evidence), "evidence")


def _too_early(evidence: Evidence) -> Iterator[Finding]:
    """Yield a finding for each revision that fails because a value of an enum type exists already.

    PostgreSQL commits such values by themselves, so that they stay when a run stops.
    """
    if not isinstance(evidence.verdict, MatchesLoosely):
        return
    too_early, started = evidence.verdict.too_early, evidence.verdict.started
    for revision in dict.fromkeys(revision for revision, _ in too_early):
        values = [str(fact) for name, fact in too_early if name == revision]
        names = " and ".join(values)
        is_started = started is not None and started.revision == revision
        advice = (
            "'magetui finish' does its missing operations."
            if is_started
            else f"Migrate to the revision before {revision} first. Then 'magetui finish' does its missing operations."
        )
        yield Finding(
            "leftover-value",
            "critical",
            f"{names[0].upper()}{names[1:]} {'exists' if len(values) == 1 else 'exist'} already, so revision "
            f"{revision} will fail: 'already exists'. A run of it stopped half-way, or a rollback left this behind. "
            f"{advice}",
            {"revision": revision, "values": values},
            "finish" if is_started else "evidence",
        )


def _joined(*sentences: str | None) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
