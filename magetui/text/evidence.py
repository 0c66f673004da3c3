"""The conclusions from the evidence, in sentences: the same on the command line and the screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from magetui.engine.evidence import verdict as verdicts
from magetui.engine.evidence.summary import (
    advise_repair,
    advise_verify,
    describe_strangers,
    group_differences,
    shorten,
    summarize,
)
from magetui.model.operations import NO_CHANGES
from magetui.model.schema import BATCH_PREFIX
from magetui.text import formats, operations
from magetui.text.comparison import Compared, compare_operations
from magetui.text.verdict import Verdict, verdict_of

if TYPE_CHECKING:
    from magetui.engine.evidence.verdict import Evidence, RevisionEvidence, Revisions
    from magetui.engine.revisions.graph import Chain
    from magetui.model.schema import VersionTable

FINISH, REPAIR = "magetui plan finish", "magetui plan repair"
REMINDER = (
    "This is evidence, not proof: rows, invalid indexes and tables that no script makes are not compared. Nothing is "
    "stamped unless you do it."
)
BEFORE_CHANGES = "Before anything is stamped or migrated"
FIND_OUT = "find out where the differences come from: 'magetui verify' lists all of them."
REMOVED = "no "  # how a fact starts that a revision removes


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The evidence in words, without credentials."""

    sentences: tuple[str, ...]
    verdict: Verdict
    command: str | None  # the command for the next step, if there is one
    details: tuple[tuple[str, str], ...]  # (state, text): the partial revision's operations or the differences
    candidates: frozenset[str]  # the revisions that the schema matches
    current: Revisions
    current_matches: bool | None  # None if there is no current revision to compare with
    revisions: tuple[RevisionEvidence, ...]  # newest first
    is_elsewhere: bool  # whether the scripts' tables are not in this schema, so that nothing here is theirs
    partial: str | None  # the partially applied revision
    is_undoable: bool  # whether the partially applied revision can be undone
    is_repairable: bool  # whether the schema can be taken to the current revision, though no revision explains it
    compared: Mapping[str, tuple[Compared, ...]]  # the operations of each revision against the live schema
    notes: Mapping[str, str]  # of each revision whose operations do not say it: why the schema shows nothing of it
    verified: frozenset[str]  # the candidates that can be verified: those that are a current revision by themselves

    def marks(self, revision: str) -> str:
        """Return the marks of a revision in a list: 'matches, current revision'."""
        marks = (("matches", self.candidates), ("current revision", self.current))
        return ", ".join(mark for mark, revisions in marks if revision in revisions)


def conclude(chain: Chain, evidence: Evidence, table: VersionTable | None, clean: Callable[[str], str]) -> Conclusion:
    """Return the conclusions for the current revision in `table`; `clean` removes credentials from a text."""
    current = _current(table)
    matches = _current_matches(chain, evidence, table)
    advice, command = _next_step(chain, evidence, table, matches=matches)
    described = _describe_schema(chain, evidence), _describe_current(chain, evidence, table, matches=matches)
    only_copies = [f"Of {table} only the copy {BATCH_PREFIX}{table} exists." for table in evidence.copies]
    sentences = (*described, *only_copies, advise_verify(evidence, current), REMINDER, advice)
    verdict = verdict_of(chain, evidence, table, command, matches=matches)
    candidates = _candidates(evidence)
    return Conclusion(
        sentences=tuple(formats.plain(clean(sentence)) for sentence in sentences if sentence),
        verdict=Verdict(formats.plain(clean(verdict.fact)), formats.plain(clean(verdict.step))),
        command=command,
        details=tuple((state, formats.plain(clean(text))) for state, text in _details(evidence)),
        candidates=frozenset(revision for revisions in candidates for revision in revisions),
        current=current,
        current_matches=matches,
        revisions=tuple(
            replace(revision, why=clean(revision.why) if revision.why else None) for revision in evidence.revisions
        ),
        is_elsewhere=not current and evidence.is_elsewhere,
        partial=evidence.partial.revision if evidence.partial is not None else None,
        is_undoable=evidence.partial is not None and not evidence.partial.adds_values_alone,
        is_repairable=command == REPAIR,
        compared={
            revision.revision: tuple(part.shown(clean) for part in compare_operations(revision, evidence))
            for revision in evidence.revisions
        },
        notes={revision.revision: formats.plain(clean(_note(revision))) for revision in evidence.revisions},
        verified=frozenset(revisions[0] for revisions in candidates if len(revisions) == 1),
    )


def _candidates(evidence: Evidence) -> tuple[Revisions, ...]:
    if isinstance(evidence.verdict, verdicts.Matches):
        return evidence.fits
    is_loose = isinstance(evidence.verdict, verdicts.MatchesLoosely | verdicts.MadeFromModels)
    return evidence.loosely if is_loose else ()


# -- one revision


def describe_state(evidence: RevisionEvidence) -> str:
    """Return what the schema says of one revision."""
    match evidence.state:
        case "applied":
            if evidence.missing:
                return "applied, though a part of what it did is not visible now"
            return "applied: all that a schema can still show of it exists"
        case "missing":
            return "missing: not applied" if not evidence.there else "missing, though a part of what it does exists"
        case "partial":
            return "partial: a part of what it does exists, and a part is missing"
        case "superseded":
            return "superseded: later revisions have changed all that a schema could show of it"
        case "undecidable":
            return f"undecidable: {formats.one_line(evidence.why or 'the reason is not known')}"


def _note(evidence: RevisionEvidence) -> str:
    """Return why the schema shows nothing of a revision, or '' if its operations say enough."""
    return describe_state(evidence) if evidence.state in ("undecidable", "superseded") else ""


def results(evidence: RevisionEvidence) -> Iterator[tuple[str, str]]:
    """Yield each change of a revision after its state: 'there', 'gone', 'missing' or 'still there'."""
    for facts, added, removed in ((evidence.there, "there", "gone"), (evidence.missing, "missing", "still there")):
        for fact in sorted(facts, key=lambda fact: fact.startswith(REMOVED)):  # a stable order: the most telling first
            yield removed if fact.startswith(REMOVED) else added, formats.one_line(fact.removeprefix(REMOVED))


# -- the schema


def _describe_schema(chain: Chain, evidence: Evidence) -> str:
    if not evidence.tables:
        return "The scripts make no table, so the schema cannot say where the database is."
    missing = [] if evidence.partial is None else evidence.partial.real(evidence.partial.missing)
    names = f" Missing: {shorten([operations.doing(operation) for operation in missing], '; ')}." if missing else ""
    return f"{summarize(chain, evidence)}{names}"


def _details(evidence: Evidence) -> Iterator[tuple[str, str]]:
    partial = evidence.partial
    if partial is None:
        yield from group_differences(evidence.differences)
        return
    for index, operation in enumerate(partial.operations):
        if not isinstance(operation, NO_CHANGES):
            state = "done" if index in partial.done else "missing" if index in partial.missing else "not seen"
            yield state, operations.doing(operation)


# -- the current revision


def _current(table: VersionTable | None) -> Revisions:
    return table.rows if table is not None and table.rows is not None else ()


def _current_matches(chain: Chain, evidence: Evidence, table: VersionTable | None) -> bool | None:
    """Return whether the schema matches the current revision; None if it is unknown to the chain, or unreadable."""
    if not evidence.tables or (table is not None and (table.rows is None or chain.unknown(table.rows))):
        return None
    return not evidence.contradicts(_current(table))


def _describe_current(chain: Chain, evidence: Evidence, table: VersionTable | None, *, matches: bool | None) -> str:
    if table is not None and table.rows is None:
        return f"The current revision cannot be read. {table.problem or ''}".rstrip()
    current = _current(table)
    if not current:
        fact = "There is no version table in this schema" if table is None else "The version table is empty"
        fact += ", so a migration would start with the first revision."
        result = {True: " That is right for this schema.", False: " But the schema shows that revisions were applied."}
        return fact if matches is None else f"{fact}{result[matches]}"
    several = len(current) > 1
    fact = f"The current {'revisions are' if several else 'revision is'} {' and '.join(current)}"
    if unknown := chain.unknown(current):
        return f"{fact}, and the scripts do not have {' and '.join(unknown) if several else 'that revision'}."
    if matches is None:
        return f"{fact}."
    them = "them" if several else "it"
    if not matches:
        return f"{fact}. The schema does not match {them}."
    is_loose = sorted(current) not in map(sorted, evidence.fits) and isinstance(
        evidence.verdict, verdicts.MatchesLoosely
    )
    return f"{fact}. The schema matches {them}{', apart from the leftovers' if is_loose else ''}."


def _next_step(
    chain: Chain, evidence: Evidence, table: VersionTable | None, *, matches: bool | None
) -> tuple[str | None, str | None]:
    """Return the advice for a current revision that is not right, and the command for it."""
    if not evidence.tables or (table is not None and table.rows is None):
        return None, None
    if (strangers := describe_strangers(chain, evidence, _current(table))) is not None:
        return strangers, None
    return _advise(chain, evidence, _current(table), matches=matches)


def _advise(
    chain: Chain, evidence: Evidence, current: Revisions, *, matches: bool | None
) -> tuple[str | None, str | None]:
    repair = f"{advise_repair(evidence)} This command shows the plan:"
    match evidence.verdict:
        case verdicts.MatchesLoosely(started=verdicts.PartiallyApplied()):
            advice = f"A migration would fail on the leftovers, whichever revision is right. {repair}"
            return advice, FINISH
        case verdicts.MatchesPartially() | verdicts.Unsure(partial=verdicts.PartiallyApplied()):
            return f"{BEFORE_CHANGES}, repair the revision: {repair}", FINISH
        case verdicts.Unsure(unread):
            return f"{BEFORE_CHANGES}, find out whether {unread} was run, and {FIND_OUT}", None
        case verdicts.NoMatch():
            advice = f"{BEFORE_CHANGES}, {FIND_OUT}"
            if not current or chain.unknown(current):
                return advice, None
            return f"{advice} This command shows the plan that removes them:", REPAIR
        case verdicts.Matches() | verdicts.MatchesLoosely() | verdicts.MadeFromModels():
            return (None, None) if matches else _stamp(chain, _candidates(evidence), current)


def _stamp(chain: Chain, candidates: tuple[Revisions, ...], current: Revisions) -> tuple[str | None, str | None]:
    """Return the advice and the command that would set the current revision to a candidate."""
    if len(candidates) == 1 and len(candidates[0]) > 1:
        return None, None  # several rows take more than one command
    unknown = chain.unknown(current)
    instead = f" --replace-unknown-revision {unknown[0]}" if unknown else ""
    if len(candidates) > 1:
        advice = "When you know which revision R is right, this command sets the current revision:"
        return advice, f"magetui stamp R{instead}"
    target = candidates[0][0] if candidates[0] else "base"
    advice = "If the database is at that revision, this command sets the current revision:"
    return advice, f"magetui stamp {target}{instead}"
