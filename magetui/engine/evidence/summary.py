"""The evidence in sentences, for findings, refusals, and the conclusions of the command line and the screen.

Each fact is worded in this module and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from magetui.engine.evidence import verdict as verdicts
from magetui.engine.schema.facts import Difference, Fact, telling, without_parts

if TYPE_CHECKING:
    from magetui.engine.evidence.verdict import Evidence, LooseMatch, Nearest, PartiallyApplied, Revisions
    from magetui.engine.revisions.graph import Chain

NAMED_AT_MOST = 5
LOOSE_NAMED_AT_MOST = 2
NUMBERS = ("no", "one", "two", "three", "four", "five")
APART_FROM_LEFTOVERS = "apart from leftovers of a rollback or of a run that stopped"
ASKS_DATABASE = "it asks the database what to do, so no schema shows what it did"
AS_VERBS = {"missing": " is missing", "extra": " exists and should not", "different": ""}
NULL_STATES = {"null": "may be null", "not null": "is not null"}


def summarize(chain: Chain, evidence: Evidence) -> str:
    """Return what the schema matches, or which revision is partially applied, or which revision is the nearest."""
    match evidence.verdict:
        case verdicts.Matches(candidates, loose):
            too = "".join(
                f" It would also match {name_revisions(chain, match.revisions)}, if {name_leftovers(match)}."
                for match in loose[:LOOSE_NAMED_AT_MOST]
            )
            return f"The schema matches {_list_candidates(chain, candidates)}.{too}"
        case verdicts.MatchesLoosely(candidates, started):
            names = _list_candidates(chain, [match.revisions for match in candidates])
            partial = "" if started is None else f" {describe_partial(chain, started)}"
            leftovers = f": {shorten(candidates[0].leftovers, '; ')}" if candidates[0].leftovers else ""
            return f"The schema matches {names}, {APART_FROM_LEFTOVERS}{leftovers}.{partial}"
        case verdicts.MadeFromModels(revisions, tables, differences):
            texts = list_differences(differences)
            return (
                f"The schema has what {name_revisions(chain, revisions)} has, but the application made it from its "
                f"models and not with the scripts: the order of the columns of {shorten(tables, ', ')} shows it. "
                f"Such a schema differs by design: {shorten(texts, '; ')}. A revision that builds on this can fail."
            )
        case verdicts.MatchesPartially(partial, _):
            return f"The schema matches no revision. {describe_partial(chain, partial)}"
        case verdicts.NoMatch(nearest):
            return f"The schema matches no revision. {describe_nearest(chain, nearest)}"
        case verdicts.Unsure(unread, partial=partial, nearest=nearest):
            instead = describe_partial(chain, partial) if partial else describe_nearest(chain, nearest)
            return (
                f"The schema matches no revision for sure: the script of {name_revisions(chain, (unread,))} cannot be "
                f"read, so that revision would match any schema. {instead}"
            )


def name_revisions(chain: Chain, revisions: Revisions) -> str:
    """Return the ids of a current revision, with its message if it is one revision."""
    if not revisions:
        return "a database before the first revision"
    message = " ".join(chain.by_id[revisions[0]].message.split()) if len(revisions) == 1 else ""
    return " and ".join(revisions) + (f" ({message})" if message else "")


def name_leftovers(match: LooseMatch) -> str:
    """Return the condition of a loose match: 'a rollback or a stopped run left type entity behind'."""
    return f"a rollback or a stopped run left {shorten(match.leftovers, ' and ') or 'something'} behind"


def describe_partial(chain: Chain, partial: PartiallyApplied) -> str:
    """Return which revision is partially applied, and how many of its operations are done."""
    done, missing, doubt = (partial.real(places) for places in (partial.done, partial.missing, partial.doubt))
    count = len(done) + len(missing) + len(doubt)
    what = "Revision" if partial.direction == "upgrade" else "The downgrade of revision"
    hidden = f", and {_is(len(doubt))} not visible in a schema" if doubt else ""
    alternative = f" Or revision {partial.or_else} was started: {ASKS_DATABASE}." if partial.or_else else ""
    return (
        f"{what} {name_revisions(chain, (partial.revision,))} is partially applied: of its {count} operations "
        f"{_is(len(done))} done, {_is(len(missing))} missing{hidden}.{alternative}"
    )


def describe_nearest(chain: Chain, nearest: Nearest) -> str:
    """Return the nearest current revision, and its differences from the live schema."""
    count, texts = count_differences(nearest.differences), list_differences(nearest.differences)
    return f"Nearest is {name_revisions(chain, nearest.revisions)}, with {count}: {shorten(texts, '; ')}."


def describe_strangers(chain: Chain, evidence: Evidence, current: Revisions) -> str | None:
    """Return why tables that no revision makes forbid a stamp or a first migration; None if they do not."""
    if not current and evidence.is_elsewhere:
        return _describe_elsewhere(evidence)
    unknown = chain.unknown(current)
    return describe_newer(unknown[0], evidence) if unknown and evidence.strangers else None


def _describe_elsewhere(evidence: Evidence) -> str:
    others = evidence.strangers
    if evidence.other_schemas:
        return (
            f"None of the {evidence.tables} tables that the scripts make exists in this schema, but tables with their "
            f"names exist in {shorten(evidence.other_schemas, ', ')}. Check the search_path of the URL."
        )
    return (
        f"None of the {evidence.tables} tables that the scripts make exists here, and {_others(others)}: this is "
        "probably the database of another application. Check the URL."
    )


def describe_newer(unknown: str, evidence: Evidence) -> str:
    """Return why a stamp would be wrong: tables remain that an unknown revision, of newer scripts, may have made."""
    return (
        f"No revision of these scripts makes {shorten(evidence.strangers, ', ')}: newer scripts may have. Then a stamp "
        f"would hide that, and they would fail later. Find the release or the commit that has {unknown}, and roll back "
        "with its scripts first."
    )


def advise_repair(evidence: Evidence) -> str | None:
    """Return which verbs repair the partially applied revision; None if there is none."""
    if evidence.partial is None:
        return None
    undo = " To take it back, 'magetui undo' reverses the done ones."
    return (
        "To complete it, 'magetui finish' does the missing operations."
        f"{'' if evidence.partial.adds_values_alone else undo}"
    )


def advise_verify(evidence: Evidence, current: Revisions) -> str | None:
    """Return the advice to verify first, if the current revision says that the partially applied one was completed.

    A downgrade that stopped half-way leaves its revision the current one: that says nothing.
    """
    partial = evidence.partial
    if partial is None or partial.direction == "downgrade" or partial.revision not in current:
        return None
    return (
        f"But the current revision says that {partial.revision} was run completely. Use 'magetui verify' "
        "first: it builds the schema from the scripts, and compares it with the live one."
    )


def list_differences(differences: Sequence[Difference]) -> list[str]:
    """Return each difference as a clause: 'table task is missing'."""
    return [f"{text}{AS_VERBS[state]}" for state, text in group_differences(differences)]


def count_differences(differences: Sequence[Difference]) -> str:
    """Return '1 difference' or '3 differences'. Things are counted: a missing column is one, whatever its type."""
    count = len(group_differences(differences))
    return "1 difference" if count == 1 else f"{count} differences"


def group_differences(differences: Sequence[Difference]) -> list[tuple[str, str]]:
    """Return each difference as its state ('missing', 'extra' or 'different') and its text, the most telling first.

    The parts of a missing table or column are left out, and two values of the same part become one difference.
    """
    grouped = []
    for expected, live in pair_differences(differences):
        if expected is not None and live is not None:
            grouped.append(("different", _contrast(live, expected)))
        else:
            grouped.append(("extra", str(live)) if expected is None else ("missing", str(expected)))
    return grouped


def pair_differences(differences: Iterable[Difference]) -> list[tuple[Fact | None, Fact | None]]:
    """Return each difference as the expected fact and the live fact of the same place, the most telling first.

    Only one of the two is None. The parts of a missing table or column are left out.
    """
    differences = list(differences)
    kept: list[Difference] = []
    for missing in (True, False):
        kept += [(fact, missing) for fact in without_parts(f for f, is_missing in differences if is_missing is missing)]
    expected = {fact.place: fact for fact, missing in kept if missing}
    live = {fact.place for fact, missing in kept if not missing}
    paired: list[tuple[Fact | None, Fact | None]] = []
    for fact, missing in sorted(kept, key=lambda pair: (telling(pair[0]), not pair[1])):
        if not missing:
            paired.append((expected.get(fact.place), fact))
        elif fact.place not in live:
            paired.append((fact, None))
    return paired


def shorten(texts: Sequence[str], separator: str) -> str:
    """Join the texts, at most five of them: 'a; b; c; d; e; 3 more'."""
    more = f"{separator}{len(texts) - NAMED_AT_MOST} more" if len(texts) > NAMED_AT_MOST else ""
    return separator.join(texts[:NAMED_AT_MOST]) + more


def _list_candidates(chain: Chain, candidates: Sequence[Revisions]) -> str:
    """Return '42a1 (Update token)', or 'these two, which it cannot tell apart: …'. Of many, name the ends only."""
    if len(candidates) > NAMED_AT_MOST:
        newest, oldest = (name_revisions(chain, revisions) for revisions in _newest_and_oldest(chain, candidates))
        return (
            f"{len(candidates)} revisions equally well, from {oldest} to {newest}: what they do differently is not "
            "visible in a schema, so it cannot tell which of them it is"
        )
    names = [name_revisions(chain, revisions) for revisions in candidates]
    return (
        names[0] if len(names) == 1 else f"these {NUMBERS[len(names)]}, which it cannot tell apart: {'; '.join(names)}"
    )


def _newest_and_oldest(chain: Chain, candidates: Sequence[Revisions]) -> tuple[Revisions, Revisions]:
    """Return two of the candidates by the order of the chain. They come in the order of how much they explain."""
    newest_first = [revision.revision for revision in chain.revisions]
    in_order = sorted(candidates, key=lambda names: min(map(newest_first.index, names), default=len(newest_first)))
    return in_order[0], in_order[-1]


def _others(tables: Sequence[str]) -> str:
    count = "another table does" if len(tables) == 1 else f"{len(tables)} others do"
    return f"{count} ({shorten(tables, ', ')})"


def _is(count: int) -> str:
    return f"{count} {'is' if count == 1 else 'are'}"


def _contrast(live: Fact, expected: Fact) -> str:
    if live.kind == "null":
        return f"{live.table}.{live.name} {NULL_STATES[live.value]}, and {NULL_STATES[expected.value]} by the scripts"
    return f"{live}, not {expected.value or 'none'}"
