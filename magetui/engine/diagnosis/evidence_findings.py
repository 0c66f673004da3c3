"""What the evidence adds to a diagnosis: whether the schema fits the current revision, and a candidate where there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from magetui.engine.diagnosis.finding import Finding
from magetui.engine.revisions.graph import Chain

if TYPE_CHECKING:
    from magetui.engine.evidence.evidence import Evidence
    from magetui.engine.evidence.partial import PartiallyApplied

WITHOUT_CURRENT = frozenset(
    {"unknown-revision", "empty-version-table", "no-version-table", "several-current-revisions"}
)
NO_ROW = frozenset({"empty-version-table", "no-version-table"})
CONSISTENT = frozenset({"up-to-date", "behind"})
WEIGHED = WITHOUT_CURRENT | CONSISTENT
NAMED_AT_MOST = 3


def worth_weighing(findings: Sequence[Finding]) -> bool:
    """Whether a schema is there that could speak for or against a current revision."""
    return any(finding.code in WEIGHED and finding.facts.get("tables") != 0 for finding in findings)


def not_weighed(reason: str) -> Finding:
    return Finding(
        "evidence-missing",
        "info",
        f"Whether the schema agrees with the current revision is not known. {reason}",
        {"reason": reason},
    )


def judged(findings: Sequence[Finding], chain: Chain, current: tuple[str, ...], evidence: Evidence) -> list[Finding]:
    """The findings with what the evidence says of the current revision, or of a current revision to be found."""
    if not evidence.tables:
        return list(findings)  # the chain makes nothing that could be seen
    facts = {
        "fits": [list(one) for one in (*evidence.fits, *evidence.loosely)],
        "nearest": None if evidence.nearest is None else list(evidence.nearest),
        "differences": [f"{'missing' if missing else 'too much'}: {fact}" for fact, missing in evidence.differences],
    }
    if any(finding.code in WITHOUT_CURRENT for finding in findings):
        said = f"{_looks_like(chain, evidence)} That is evidence, not proof."
        nothing = evidence.fits == ((),) and not current
        if nothing:
            said += " If so, there is nothing to stamp: 'migrate' begins with the first revision."
        return [
            replace(
                finding,
                message=f"{finding.message} {said}",
                facts={**finding.facts, **facts},
                next="migrate" if nothing and finding.code in NO_ROW else finding.next,
            )
            if finding.code in WITHOUT_CURRENT
            else finding
            for finding in findings
        ]
    if not any(finding.code in CONSISTENT for finding in findings):
        return list(findings)
    if not evidence.contradicts(current):
        return [*findings, *_too_early(evidence)]
    whole = evidence.half is None or bool(evidence.half.unindexed)  # then it may as well be an index that was dropped
    if whole and evidence.nearest is not None and sorted(evidence.nearest) == sorted(current):
        return [
            *findings,
            Finding(
                "evidence-contradicts",
                "warning",
                f"The schema is not quite what {', '.join(current) or 'base'} should have: {_wrong(evidence)}. Somebody "
                f"may have changed it by hand; a migration that builds on it can fail.{_unread(chain, evidence)}",
                facts,
                "evidence",
            ),
        ]
    return [
        *findings,
        Finding(
            "evidence-contradicts",
            "critical",
            f"The current revision says {', '.join(current)}, but the schema does not look like it. "
            f"{_looks_like(chain, evidence)}{_verify_first(current, evidence)} Nothing should be migrated before that "
            "is understood.",
            facts,
            "evidence",
        ),
    ]


def doubt_of(chain: Chain, evidence: Evidence, current: tuple[str, ...]) -> str | None:
    """What speaks against setting that current revision, as sentences; None where nothing does."""
    if not evidence.tables or not evidence.contradicts(current):
        return None
    return f"The schema does not look like {', '.join(current) or 'base'}. {_looks_like(chain, evidence)}"


def _too_early(evidence: Evidence) -> Iterator[Finding]:
    """What a migration will fail on: values of enum types, which are committed by themselves and stay."""
    for revision in dict.fromkeys(revision for revision, _ in evidence.too_early):
        values = [str(fact) for one, fact in evidence.too_early if one == revision]
        said = " and ".join(values)
        finish = evidence.half is not None and evidence.half.revision == revision
        way_on = (
            "'finish' does what is missing of it."
            if finish
            else f"Migrate to the revision before {revision} first; then 'finish' does what is missing of it."
        )
        yield Finding(
            "leftover-value",
            "critical",
            f"{said[0].upper()}{said[1:]} {'is' if len(values) == 1 else 'are'} there already, and revision {revision} "
            f"will fail on it: 'already exists'. A run of it broke off, or a rollback left it behind. {way_on}",
            {"revision": revision, "values": values},
            "finish" if finish else "evidence",
        )


def _unread(chain: Chain, evidence: Evidence) -> str:
    """Of a revision that would explain anything."""
    if not evidence.is_unsure:
        return ""
    one = _named(chain, (next(iter(evidence.unsure.values())),))
    return f" What {one} does cannot be read from its script, so whether it was run cannot be seen."


def _looks_like(chain: Chain, evidence: Evidence) -> str:
    fitting = evidence.fits or evidence.loosely
    if fitting and not evidence.is_unsure:
        names = " or ".join(_named(chain, one) for one in fitting[:NAMED_AT_MOST])
        more = f", or {len(fitting) - NAMED_AT_MOST} others" if len(fitting) > NAMED_AT_MOST else ""
        apart = ", which it cannot tell apart" if len(fitting) > 1 else ""
        return f"The schema fits {names}{more}{apart}."
    half = evidence.half
    if half is not None:
        undo = "" if half.direction == "upgrade" else " of the way back"
        lacks, count = len(half.real(half.missing)), len(half.real(range(len(half.operations))))
        missing = "1 operation is" if lacks == 1 else f"{lacks} operations are"
        return (
            f"Half{undo} of revision {_named(chain, (half.revision,))} is there: {missing} missing of "
            f"{count}. 'finish' would do the rest, 'undo' take it back.{_or_else(half)}"
            f"{_unread(chain, evidence)}"
        )
    count = len(evidence.differences)
    known = " that can be told" if evidence.is_unsure else ""
    differences = "1 difference" if count == 1 else f"{count} differences"
    return (
        f"It fits no revision{known}. The nearest is {_named(chain, evidence.nearest or ())}, with {differences} "
        f"({_wrong(evidence)}).{_unread(chain, evidence)}"
    )


def _or_else(half: PartiallyApplied) -> str:
    if half.or_else is None:
        return ""
    return f" Or it is {half.or_else} that was begun: it asks the database what to do, so no schema shows what it did."


def _verify_first(current: tuple[str, ...], evidence: Evidence) -> str:
    if evidence.half is None or evidence.half.revision not in current:
        return ""
    return (
        " But the current revision says that it was run whole: 'magetui verify' runs the scripts beside it and compares, and "
        "comes before either."
    )


def _wrong(evidence: Evidence) -> str:
    said = [f"{'missing' if missing else 'too much'}: {fact}" for fact, missing in evidence.differences]
    more = f"; and {len(said) - NAMED_AT_MOST} more" if len(said) > NAMED_AT_MOST else ""
    return "; ".join(said[:NAMED_AT_MOST]) + more


def _named(chain: Chain, current: tuple[str, ...]) -> str:
    """A current revision with its message, where it is one revision; base by what it means."""
    if not current:
        return "a database before the first revision"
    message = chain.by_id[current[0]].message if len(current) == 1 else ""
    return " and ".join(current) + (f" ({message})" if message else "")
