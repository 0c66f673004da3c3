"""The verdict of the evidence in two short lines: the fact, and the next step. A screen keeps both always in view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.engine.evidence import verdict as verdicts
from magetui.engine.evidence.summary import advise_verify, count_differences, describe_strangers, shorten
from magetui.engine.evidence.verdict import Evidence, PartiallyApplied, Revisions
from magetui.model.schema import BATCH_PREFIX
from magetui.text import formats

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.model.schema import VersionTable

BASE = "an empty database"
LISTED_AT_MOST = 2
NOT_YET = "Don't migrate yet:"
GIVES_BACK = "'magetui clean' gives the copy its name back."
LISTS_ALL = "'magetui verify' lists the differences"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the schema shows, and what to do about it; `step` is '' if there is nothing to do."""

    fact: str
    step: str


def verdict_of(
    chain: Chain, evidence: Evidence, table: VersionTable | None, command: str | None, *, matches: bool | None
) -> Verdict:
    """Return the verdict. `command` is that of the next step; `matches`: whether the current revision is right."""
    if not evidence.tables:
        return Verdict("The scripts make no table: the schema cannot say where the database is.", "")
    current = table.rows if table is not None and table.rows is not None else ()
    if not current and evidence.is_elsewhere:
        return _elsewhere(evidence)
    fact = _fact(evidence, _matched(chain, evidence, current, matches=matches))
    if evidence.copies:
        gone = formats.some(evidence.copies, LISTED_AT_MOST)
        copies = formats.some([f"{BATCH_PREFIX}{table}" for table in evidence.copies], LISTED_AT_MOST)
        return Verdict(f"{gone} is gone, and only its copy {copies} exists. {fact}", GIVES_BACK)
    if table is not None and table.rows is None:
        return Verdict(fact, "The current revision cannot be read.")
    if describe_strangers(chain, evidence, current) is not None:
        return Verdict(fact, "Don't stamp yet: newer scripts may have changed this schema.")
    return Verdict(fact, " ".join(filter(None, (_step(evidence, current, command, matches=matches), _left(evidence)))))


def _elsewhere(evidence: Evidence) -> Verdict:
    fact = "This schema has none of the tables of the scripts"
    if evidence.other_schemas:
        where = formats.some(evidence.other_schemas, LISTED_AT_MOST)
        return Verdict(f"{fact}. Tables with their names exist in {where}.", "Check the search_path of the URL.")
    return Verdict(f"{fact}{', but others' if evidence.strangers else ''}.", "Check the URL.")


def _fact(evidence: Evidence, matched: str) -> str:  # noqa: PLR0911 - a case for each verdict
    match evidence.verdict:
        case verdicts.Matches():
            return f"The schema matches {matched}."
        case verdicts.MatchesLoosely(started=PartiallyApplied() as partial) | verdicts.MatchesPartially(partial):
            return _partial(partial)
        case verdicts.MatchesLoosely(candidates):
            left = f": {shorten(candidates[0].leftovers, ', ')}" if candidates[0].leftovers else ""
            return f"The schema matches {matched}, apart from leftovers{left}."
        case verdicts.MadeFromModels():
            return f"The application made the tables, not the scripts. The schema matches {matched}."
        case verdicts.Unsure(partial=PartiallyApplied() as partial):
            return _partial(partial)
        case verdicts.Unsure(unread):
            return f"The schema matches no revision for sure: the script of {unread} cannot be read."
        case verdicts.NoMatch(nearest):
            count = count_differences(nearest.differences)
            return f"The schema matches no revision. Nearest is {_named((nearest.revisions,))}, with {count}."


def _left(evidence: Evidence) -> str:
    """Return what runs have left beside the schema, and what removes it; '' if they left nothing."""
    copies = [name for name in evidence.strangers if name.startswith(BATCH_PREFIX)]
    left = [f"the table {name}" for name in copies]
    left += [f"the invalid index {name}" for name in sorted(evidence.invalid)]
    return f"'magetui clean' plans what to do with {formats.some(left, LISTED_AT_MOST)}." if left else ""


def _partial(partial: PartiallyApplied) -> str:
    downgrade = "" if partial.direction == "upgrade" else "The downgrade of "
    done, doubt, missing = (len(partial.real(places)) for places in (partial.done, partial.doubt, partial.missing))
    count = f"{done} of {formats.number(done + doubt + missing, 'operation')} done"
    return f"{downgrade}{partial.revision} is partially applied: {count}."


def _matched(chain: Chain, evidence: Evidence, current: Revisions, *, matches: bool | None) -> str:
    """Return the revisions that the schema matches, and how the current revision compares if that is known."""
    candidates = evidence.fits or evidence.loosely
    several = "revisions" if len(current) > 1 else "revision"
    named = f"current {several} {' and '.join(current)}"
    if matches and current:
        others = formats.number(len(candidates) - 1, "other")
        return f"the {named}" + (f", and {others} equally well" if len(candidates) > 1 else "")
    if chain.unknown(current):
        return f"{_named(candidates)}, and no script has the {named}"
    if matches is not False:
        return _named(candidates)
    return f"{_named(candidates)}, " + (f"not the {named}" if current else "but there is no current revision")


def _named(candidates: tuple[Revisions, ...]) -> str:
    """Return 'a1, b2 or 3 others', where several revisions of one candidate are joined by 'and'."""
    names = [" and ".join(revisions) or BASE for revisions in candidates]
    if len(names) > LISTED_AT_MOST + 1:
        return f"{', '.join(names[:LISTED_AT_MOST])} or {len(names) - LISTED_AT_MOST} others"
    return " or ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names)


def _step(evidence: Evidence, current: Revisions, command: str | None, *, matches: bool | None) -> str:
    if evidence.partial is not None:
        return f"{NOT_YET} {_repair(evidence, evidence.partial, current)}"
    match evidence.verdict:
        case verdicts.Unsure(unread):
            return f"{NOT_YET} find out whether {unread} was run."
        case verdicts.NoMatch():
            repair = f", '{command}' removes them" if command else ""
            return f"{NOT_YET} {LISTS_ALL}{repair}."
        case verdicts.MatchesLoosely(too_early=[(revision, _), *_]):
            return f"{NOT_YET} {revision} will fail on the leftovers."
    if command is not None:
        certain = "When you know which revision R is right" if "stamp R" in command else "If that is right"
        return f"{certain}, '{command}' sets the current revision."
    return "'magetui verify' compares it with the schema that the scripts make." if matches else ""


def _repair(evidence: Evidence, partial: PartiallyApplied, current: Revisions) -> str:
    undo = "" if partial.adds_values_alone else ", 'magetui undo' takes it back"
    if advise_verify(evidence, current) is not None:
        return f"the current revision says it is complete. {LISTS_ALL}; then 'magetui finish' completes it{undo}."
    return f"'magetui finish' completes it{undo}."
