"""The verdict of the evidence in two short lines: the fact, and the next step. A screen keeps both always in view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.engine.evidence import verdict as verdicts
from magetui.engine.evidence.summary import advise_verify, count_differences, describe_strangers, shorten
from magetui.engine.evidence.verdict import Evidence, PartiallyApplied, Revisions
from magetui.text import formats

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.model.schema import VersionTable

BASE = "an empty database"
LISTED_AT_MOST = 2
NOT_YET = "Don't migrate yet:"
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
        return Verdict("The tables of the scripts do not exist here, but others do.", "Check the URL.")
    fact = _fact(evidence, _compared_with(chain, current, matches=matches))
    if table is not None and table.rows is None:
        return Verdict(fact, "The current revision cannot be read.")
    if describe_strangers(chain, evidence, current) is not None:
        return Verdict(fact, "Don't stamp yet: newer scripts may have changed this schema.")
    return Verdict(fact, _step(evidence, current, command, matches=matches))


def _fact(evidence: Evidence, current: str) -> str:  # noqa: PLR0911 - a case for each verdict
    match evidence.verdict:
        case verdicts.Matches(candidates):
            return f"The schema matches {_named(candidates)}{current}."
        case verdicts.MatchesLoosely(started=PartiallyApplied() as partial) | verdicts.MatchesPartially(partial):
            return _partial(partial)
        case verdicts.MatchesLoosely(candidates):
            left = f": {shorten(candidates[0].leftovers, ', ')}" if candidates[0].leftovers else ""
            names = _named([match.revisions for match in candidates])
            return f"The schema matches {names}{current}, apart from leftovers{left}."
        case verdicts.MadeFromModels(revisions):
            return f"The application made the tables, not the scripts: they are as at {_named([revisions])}{current}."
        case verdicts.Unsure(partial=PartiallyApplied() as partial):
            return _partial(partial)
        case verdicts.Unsure(unread):
            return f"The schema matches no revision for sure: the script of {unread} cannot be read."
        case verdicts.NoMatch(nearest):
            count = count_differences(nearest.differences)
            return f"The schema matches no revision. Nearest is {_named([nearest.revisions])}, with {count}."


def _partial(partial: PartiallyApplied) -> str:
    downgrade = "" if partial.direction == "upgrade" else "The downgrade of "
    done, doubt, missing = (len(partial.real(places)) for places in (partial.done, partial.doubt, partial.missing))
    count = f"{done} of {formats.number(done + doubt + missing, 'operation')} done"
    return f"{downgrade}{partial.revision} is partially applied: {count}."


def _named(candidates: tuple[Revisions, ...] | list[Revisions]) -> str:
    """Return 'a1, b2 or 3 others', where several revisions of one candidate are joined by 'and'."""
    names = [" and ".join(revisions) or BASE for revisions in candidates]
    if len(names) > LISTED_AT_MOST + 1:
        return f"{', '.join(names[:LISTED_AT_MOST])} or {len(names) - LISTED_AT_MOST} others"
    return " or ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else names[0]


def _compared_with(chain: Chain, current: Revisions, *, matches: bool | None) -> str:
    """Return how the current revision compares, as the end of a sentence; '' if that is not known."""
    revisions = "revisions" if len(current) > 1 else "revision"
    if chain.unknown(current):
        return f", and no script has the current {revisions} {' and '.join(current)}"
    if matches is None:
        return ""
    if not current:
        return "" if matches else ", but there is no current revision"
    return f", as the current {revisions}" if matches else f", not the current {revisions} {' and '.join(current)}"


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
    return f"{LISTS_ALL}, if there are any." if matches else ""


def _repair(evidence: Evidence, partial: PartiallyApplied, current: Revisions) -> str:
    if advise_verify(evidence, current) is not None:
        return f"the current revision says that it was completed. {LISTS_ALL}."
    undo = "" if partial.adds_values_alone else ", or undo it with 'magetui undo'"
    return f"finish it with 'magetui finish'{undo}."
