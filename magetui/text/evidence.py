"""The evidence in sentences, for the command line and the screen.

The conclusion says first which revision the schema matches, then if the current revision matches, then that this is
evidence and not proof, and last what to do. Nothing is stamped from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from magetui.model.operations import Autocommit
from magetui.text import formats, operations

if TYPE_CHECKING:
    from magetui.engine.evidence.evidence import Evidence, RevisionEvidence
    from magetui.engine.evidence.partial import PartiallyApplied
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.schema.facts import Fact
    from magetui.model.schema import VersionTable

Revisions = tuple[str, ...]

REMINDER = (
    "This is evidence, not proof: changed rows leave no trace in the schema. Nothing is stamped unless you do it."
)
FIND_OUT = "Before you stamp or migrate, find out where the differences come from."
ASK = "Before you stamp or migrate, find out where the differences come from and whether that script was run."
VERIFY_FIRST = "First of all, 'magetui verify' replays the scripts and compares the schemas."
NAMED_AT_MOST = 5
LOOSELY_NAMED = 2
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
AS_A_VERB = {"missing": "is missing", "too much": "should not exist", "different": ""}
GONE = "no "  # starts the fact that something was removed


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The sentences on the evidence, without credentials.

    `details` are (state, text): the operations of the partially applied revision, or the differences from the closest
    revision. `candidates` are all revisions that the schema matches.
    """

    sentences: tuple[str, ...]
    command: str | None  # the next command, if there is one
    details: tuple[tuple[str, str], ...]
    candidates: frozenset[str]
    current: Revisions
    current_matches: bool | None  # None if the current revision cannot be compared
    revisions: tuple[RevisionEvidence, ...]  # newest first
    half: str | None  # the partially applied revision

    def marks(self, revision: str) -> str:
        """Return the marks of a revision: 'matches', 'current', both, or ''."""
        marks = (("matches", self.candidates), ("current", self.current))
        return ", ".join(mark for mark, revisions in marks if revision in revisions)


def conclude(chain: Chain, evidence: Evidence, table: VersionTable | None, clean: Callable[[str], str]) -> Conclusion:
    """Return the conclusion on the schema and on the current revision in `table`.

    `clean` removes credentials from a text.
    """
    current = _current(table)
    unread = table is not None and table.rows is None
    fits = _current_matches(chain, evidence, table)
    sentences = [_schema_sentence(chain, evidence), _current_sentence(chain, table, fits=fits), REMINDER]
    if evidence.half is not None and evidence.half.revision in current:
        complete = f"By the current revision, {evidence.half.revision} is completely applied. {VERIFY_FIRST}"
        sentences.insert(2, complete)
    started = evidence.half is not None and bool(evidence.loosely)
    settled = (fits and not started) or unread or not evidence.tables
    unsure = evidence.is_unsure and evidence.half is None
    advice, command = ("", None) if settled else (ASK, None) if unsure else _next(chain, evidence, current)
    return Conclusion(
        sentences=tuple(formats.plain(clean(sentence)) for sentence in (*sentences, advice) if sentence),
        command=command,
        details=tuple((state, formats.plain(clean(text))) for state, text in _details(evidence)),
        candidates=frozenset(revision for candidate in _fitting(evidence) for revision in candidate),
        current=current,
        current_matches=fits,
        revisions=tuple(
            replace(revision, why=clean(revision.why) if revision.why else None) for revision in evidence.revisions
        ),
        half=evidence.half.revision if evidence.half is not None else None,
    )


def _fitting(evidence: Evidence) -> Sequence[Revisions]:
    return () if evidence.is_unsure else evidence.fits or evidence.loosely


# -- one revision


def state_sentence(revision: RevisionEvidence) -> str:
    """Return what the schema shows of one revision."""
    match revision.state:
        case "applied":
            if revision.missing:
                return "applied, but part of its result no longer exists"
            return "applied: everything that is still visible of it exists"
        case "missing":
            return "missing: not applied" if not revision.there else "missing, but part of its result exists"
        case "partial":
            return "partial: part of its result exists, and part is missing"
        case "superseded":
            return "superseded: later revisions changed everything that was visible of it"
        case "undecidable":
            return f"undecidable: {formats.one_line(revision.why or 'the reason is unknown')}"


def results(revision: RevisionEvidence) -> Iterator[tuple[str, str]]:
    """Yield (state, text) for each result of a revision. The state is 'exists', 'gone', 'missing' or 'not gone'."""
    for facts, made, removed in ((revision.there, "exists", "gone"), (revision.missing, "missing", "not gone")):
        yield from ((made, formats.one_line(fact)) for fact in facts if not fact.startswith(GONE))
        yield from ((removed, formats.one_line(fact.removeprefix(GONE))) for fact in facts if fact.startswith(GONE))


# -- the schema


def _schema_sentence(chain: Chain, evidence: Evidence) -> str:
    if not evidence.tables:
        return "The scripts create no tables, so the schema cannot show which revisions were applied."
    if evidence.is_unsure:
        unreadable = _named(chain, (next(iter(evidence.unsure.values())),))
        rest = _closest(chain, evidence) if evidence.half is None else _partial_sentence(chain, evidence.half)
        return (
            f"The schema matches no revision: the operations of {unreadable} cannot be read from its script, so it "
            f"would match any schema. {rest}"
        )
    if evidence.fits:
        also = "".join(
            f" It also matches {_named(chain, candidate)}, if {_left_behind(evidence, candidate)}."
            for candidate in evidence.loosely[:LOOSELY_NAMED]
        )
        return f"The schema matches {_listed(chain, evidence.fits)}.{also}"
    if evidence.loosely:
        left = _left_behind(evidence, evidence.loosely[0])
        half = "" if evidence.half is None else f" {_partial_sentence(chain, evidence.half)}"
        return f"The schema matches {_listed(chain, evidence.loosely)}, if {left}. There is no exact match.{half}"
    if evidence.half is not None:
        return f"The schema matches no revision. {_partial_sentence(chain, evidence.half)}"
    return f"The schema matches no revision. {_closest(chain, evidence)}"


def _closest(chain: Chain, evidence: Evidence) -> str:
    wrong = [f"{text} {AS_A_VERB[state]}".rstrip() for state, text in worded_differences(evidence.differences)]
    return (
        f"The closest is {_named(chain, evidence.nearest or ())}, with "
        f"{len(wrong)} difference{'' if len(wrong) == 1 else 's'}: {_some(wrong, '; ')}."
    )


def _listed(chain: Chain, candidates: Sequence[Revisions]) -> str:
    """Return '42a1 (Update token)', or 'these two equally: …'."""
    if len(candidates) == 1:
        return _named(chain, candidates[0])
    names = _some([_named(chain, candidate) for candidate in candidates], "; ")
    return f"these {_number(len(candidates))} equally: {names}"


def _named(chain: Chain, current: Revisions) -> str:
    """Return the revisions, with the message if there is one revision."""
    if not current:
        return "base (before the first revision)"
    message = formats.one_line(chain.by_id[current[0]].message) if len(current) == 1 else ""
    return " and ".join(current) + (f" ({message})" if message else "")


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _left_behind(evidence: Evidence, current: Revisions) -> str:
    """Return what a candidate does not explain: 'a rollback or an interrupted run left type entity behind'."""
    return f"a rollback or an interrupted run left {_some(evidence.left[current], ' and ') or 'something'} behind"


def _some(texts: Sequence[str], between: str) -> str:
    more = f"{between}{len(texts) - NAMED_AT_MOST} more" if len(texts) > NAMED_AT_MOST else ""
    return between.join(texts[:NAMED_AT_MOST]) + more


def _partial_sentence(chain: Chain, half: PartiallyApplied) -> str:
    done, missing, doubt = (half.real(places) for places in (half.done, half.missing, half.doubt))
    count = len(done) + len(missing) + len(doubt)
    what = "" if half.direction == "upgrade" else "The downgrade of "
    texts = [operations.doing(operation) for operation in missing]
    unseen = f", {len(doubt)} {_are(doubt)} not visible in the schema" if doubt else ""
    or_else = (
        f" Or {half.or_else} was started: it asks the database what to do, so the schema does not show what it did."
        if half.or_else
        else ""
    )
    lacks = f"{len(texts)} {_are(texts)} missing: {_some(texts, '; ')}" if texts else "none is missing"
    return (
        f"{what}{_named(chain, (half.revision,))} is partially applied: {len(done)} of its {count} operations "
        f"{_are(done)} done{unseen}, {lacks}.{or_else}"
    )


def _are(items: Sequence[object]) -> str:
    return "is" if len(items) == 1 else "are"


def _details(evidence: Evidence) -> Iterator[tuple[str, str]]:
    half = evidence.half
    if half is None:
        yield from worded_differences(evidence.differences)
        return
    for index, operation in enumerate(half.operations):
        if not isinstance(operation, Autocommit):
            state = "done" if index in half.done else "missing" if index in half.missing else "not seen"
            yield state, operations.doing(operation)


def worded_differences(differences: Sequence[tuple[Fact, bool]]) -> list[tuple[str, str]]:
    """Return (state, text) for each difference.

    A missing table or column stands for its parts. A fact that is missing in one form and exists in another is one
    difference.
    """
    relevant = []
    for missing in (True, False):
        facts = {fact for fact, is_missing in differences if is_missing is missing}
        owners = {(fact.table, "") for fact in facts if fact.kind in ("table", "enum")}
        owners |= {(fact.table, fact.name) for fact in facts if fact.kind == "column"}
        owners |= {(fact.table, f"unique ({fact.value})") for fact in facts if fact.kind == "unique"}
        owners |= {(fact.table, f"foreign key ({fact.name})") for fact in facts if fact.kind == "foreign-key"}
        relevant += [(fact, missing) for fact in facts if not _is_part(fact, owners)]
    expected = {fact.place: fact for fact, missing in relevant if missing}
    live = {fact.place for fact, missing in relevant if not missing}
    worded = []
    for fact, missing in sorted(relevant, key=lambda item: (item[0].table, item[0].name, not item[1], str(item[0]))):
        other = expected.get(fact.place)
        if not missing and other is not None:
            worded.append(("different", _difference(fact, other)))
        elif not missing or fact.place not in live:
            worded.append(("missing" if missing else "too much", str(fact)))
    return worded


def _difference(live: Fact, expected: Fact) -> str:
    if live.kind == "null":
        states = {"null": "may be null", "not null": "is not null"}
        return f"{live.table}.{live.name} {states[live.value]}, but {states[expected.value]} in the scripts"
    return f"{live}, not {expected.value or 'none'}"


def _is_part(fact: Fact, owners: set[tuple[str, str]]) -> bool:
    """Return whether the difference in the table or the column of the fact includes the fact."""
    if fact.kind in ("table", "enum"):
        return False
    return (fact.table, "") in owners or (fact.kind != "column" and (fact.table, fact.name) in owners)


# -- the current revision


def _current(table: VersionTable | None) -> Revisions:
    return table.rows if table is not None and table.rows is not None else ()


def _current_matches(chain: Chain, evidence: Evidence, table: VersionTable | None) -> bool | None:
    """Return whether the current revision matches the schema; None if it is not in the chain or cannot be read."""
    if not evidence.tables or (table is not None and (table.rows is None or chain.unknown(table.rows))):
        return None
    return not evidence.contradicts(_current(table))


def _current_sentence(chain: Chain, table: VersionTable | None, *, fits: bool | None) -> str:
    if table is not None and table.rows is None:
        return f"The current revision cannot be read. {table.problem or ''}".rstrip()
    current = _current(table)
    if table is None:
        fact = "There is no version table, as if nothing was applied"
    elif not current:
        fact = "The version table is empty, as if nothing was applied"
    else:
        fact = f"The current revision is {', '.join(current)}"
    if unknown := chain.unknown(current):
        return f"{fact}. The scripts do not contain {', '.join(unknown) if len(current) > 1 else 'this revision'}."
    if fits is None:
        return f"{fact}."
    return f"{fact}: this {'matches' if fits else 'does not match'} the schema."


def _next(chain: Chain, evidence: Evidence, current: Revisions) -> tuple[str, str | None]:
    """Return what to do about a current revision that does not match, and the command for it."""
    if evidence.half is not None and evidence.loosely:
        return (
            "In both cases a migration would fail on objects that already exist. 'finish' does the missing operations. "
            "To see its plan:"
        ), "magetui plan finish"
    if evidence.half is not None:
        return (
            "Before you stamp or migrate, finish this revision ('finish') or take back its operations ('undo'). "
            "Both show the plan first. To see the plan to finish:"
        ), "magetui plan finish"
    fitting = evidence.fits or evidence.loosely
    if not fitting:
        return FIND_OUT, None
    if len(fitting) == 1 and len(fitting[0]) > 1:
        return "", None  # a current revision of several rows needs more than one command
    unknown = chain.unknown(current)
    instead = f" --replace-unknown-revision {unknown[0]}" if unknown else ""
    if len(fitting) > 1:
        return (
            "Find out which of these revisions, R, the database is at. Then set the current revision:",
            f"magetui stamp R{instead}",
        )
    target = fitting[0][0] if fitting[0] else "base"
    return "If the database is at this revision, set the current revision:", f"magetui stamp {target}{instead}"
