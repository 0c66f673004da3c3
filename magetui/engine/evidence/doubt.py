"""Why a plan is doubtful: the schema contradicts the current revision, or a stamp hides objects of newer scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magetui.engine.evidence.summary import advise_repair, describe_newer, describe_strangers, summarize

if TYPE_CHECKING:
    from magetui.engine.evidence.verdict import Evidence
    from magetui.engine.revisions.graph import Chain
    from magetui.model.plan import Plan

SEE = "'magetui evidence' says what to do."


def doubt_of(chain: Chain, evidence: Evidence, current: tuple[str, ...]) -> str | None:
    """Return why the schema contradicts that current revision, as sentences; None if it does not."""
    if not current and evidence.is_elsewhere:
        return describe_strangers(chain, evidence, current)
    if not evidence.tables or not evidence.contradicts(current):
        return None
    contradiction = f"The schema does not match {', '.join(current) or 'base'}. {summarize(chain, evidence)}"
    repair = advise_repair(evidence)
    return f"{contradiction} {repair or SEE}"


def newer_of(plan: Plan, evidence: Evidence) -> str | None:
    """Return why a stamp that replaces an unknown revision may hide objects of newer scripts; None if nothing does."""
    return describe_newer(plan.replace_unknown, evidence) if plan.replace_unknown and evidence.strangers else None
