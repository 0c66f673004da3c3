"""What the evidence amounts to, in sentences for somebody who is tired: the same on the command line and the screen.

First what the schema fits, then what that says of the current revision, then that it is evidence and no proof, and last the way
on, if there is one. Nothing is stamped from here.
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
    "This is evidence, not proof: rows that scripts have changed are not seen. Nothing is stamped unless you do it."
)
ASK = "Before anything is stamped or migrated, find out where the differences come from, and whether it was run."
VERIFY_FIRST = "'magetui verify' runs the scripts beside it and compares, which comes before anything else."
NAMED_AT_MOST = 5
LOOSELY_NAMED = 2
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
AS_A_VERB = {"missing": "is missing", "too much": "is there and should not be", "different": ""}
GONE = "no "  # how a fact begins that is brought about by taking something away


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is said of the evidence, without credentials.

    `details` are the operations of a revision that is half there, or the differences from the nearest one: each with
    what became of it. `candidates` are the revisions of all current revisions that fit.
    """

    sentences: tuple[str, ...]
    command: str | None  # what would set the current revision right, if that is what it takes
    details: tuple[tuple[str, str], ...]
    candidates: frozenset[str]
    current: Revisions
    current_matches: bool | None  # None where there is no current revision to compare with
    revisions: tuple[RevisionEvidence, ...]  # newest first
    half: str | None  # the revision that is half there

    def marks(self, revision: str) -> str:
        """'fits, current revision', for what is true of a revision."""
        marked = (("fits", self.candidates), ("current", self.current))
        return ", ".join(word for word, several in marked if revision in several)


def conclude(chain: Chain, evidence: Evidence, table: VersionTable | None, clean: Callable[[str], str]) -> Conclusion:
    """What the evidence says of the chain and of the current revision in `table`; `clean` takes credentials out of a text."""
    current = _current(table)
    unread = table is not None and table.rows is None
    fits = _current_matches(chain, evidence, table)
    said = [_of_the_schema(chain, evidence), _of_current(chain, table, fits=fits), REMINDER]
    if evidence.half is not None and evidence.half.revision in current:
        said.insert(2, f"{evidence.half.revision} was run whole by that: {VERIFY_FIRST}")
    begun = evidence.half is not None and bool(evidence.loosely)
    settled = (fits and not begun) or unread or not evidence.tables
    unsure = evidence.is_unsure and evidence.half is None
    way_on, command = ("", None) if settled else (ASK, None) if unsure else _way_on(chain, evidence, current)
    return Conclusion(
        sentences=tuple(formats.plain(clean(one)) for one in (*said, way_on) if one),
        command=command,
        details=tuple((state, formats.plain(clean(text))) for state, text in _details(evidence)),
        candidates=frozenset(one for several in _fitting(evidence) for one in several),
        current=current,
        current_matches=fits,
        revisions=tuple(replace(one, why=clean(one.why) if one.why else None) for one in evidence.revisions),
        half=evidence.half.revision if evidence.half is not None else None,
    )


def _fitting(evidence: Evidence) -> Sequence[Revisions]:
    return () if evidence.is_unsure else evidence.fits or evidence.loosely


# -- of one revision


def spoken_state(one: RevisionEvidence) -> str:
    """What the schema says of one revision."""
    match one.state:
        case "applied":
            if one.missing:
                return "applied, though part of what it did is not to be seen now"
            return "applied: all that can still be seen of it is there"
        case "missing":
            return "missing: not applied" if not one.there else "missing, though part of what it does is there"
        case "partial":
            return "partial: part of what it does is there, and part is missing"
        case "superseded":
            return "superseded: later revisions have changed all that could be seen of it"
        case "undecidable":
            return f"undecidable: {formats.one_line(one.why or 'it cannot be told')}"


def seen(one: RevisionEvidence) -> Iterator[tuple[str, str]]:
    """What it should have brought about, each under whether it did: 'there', 'gone', 'missing', 'still there'."""
    for facts, brought, removed in ((one.there, "there", "gone"), (one.missing, "missing", "still there")):
        yield from ((brought, formats.one_line(fact)) for fact in facts if not fact.startswith(GONE))
        yield from ((removed, formats.one_line(fact.removeprefix(GONE))) for fact in facts if fact.startswith(GONE))


# -- of the schema


def _of_the_schema(chain: Chain, evidence: Evidence) -> str:
    if not evidence.tables:
        return "The scripts make no table, so the schema cannot say where the database is."
    if evidence.is_unsure:
        one = _named(chain, (next(iter(evidence.unsure.values())),))
        other = _nearest(chain, evidence) if evidence.half is None else _of_a_half(chain, evidence.half)
        return (
            f"The schema fits no revision that can be told: what {one} does cannot be read from its script, so that it "
            f"would fit anything. {other}"
        )
    if evidence.fits:
        also = "".join(
            f" It would fit {_named(chain, one)} too, provided that {_left_behind(evidence, one)}."
            for one in evidence.loosely[:LOOSELY_NAMED]
        )
        return f"The schema fits {_listed(chain, evidence.fits)}.{also}"
    if evidence.loosely:
        left = _left_behind(evidence, evidence.loosely[0])
        half = "" if evidence.half is None else f" {_of_a_half(chain, evidence.half)}"
        return f"The schema fits {_listed(chain, evidence.loosely)}, provided that {left}; it fits none exactly.{half}"
    if evidence.half is not None:
        return f"The schema fits no revision. {_of_a_half(chain, evidence.half)}"
    return f"The schema fits no revision. {_nearest(chain, evidence)}"


def _nearest(chain: Chain, evidence: Evidence) -> str:
    wrong = [f"{text} {AS_A_VERB[state]}".rstrip() for state, text in told_differences(evidence.differences)]
    return (
        f"Nearest is {_named(chain, evidence.nearest or ())}, with "
        f"{len(wrong)} difference{'' if len(wrong) == 1 else 's'}: {_some(wrong, '; ')}."
    )


def _listed(chain: Chain, candidates: Sequence[Revisions]) -> str:
    """'42a1 (Update token)', or 'these two, which it cannot tell apart: …'."""
    if len(candidates) == 1:
        return _named(chain, candidates[0])
    names = _some([_named(chain, one) for one in candidates], "; ")
    return f"these {_number(len(candidates))}, which it cannot tell apart: {names}"


def _named(chain: Chain, current: Revisions) -> str:
    """A current revision with its message, where it is one revision; base by what it means."""
    if not current:
        return "a database before the first revision"
    message = formats.one_line(chain.by_id[current[0]].message) if len(current) == 1 else ""
    return " and ".join(current) + (f" ({message})" if message else "")


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _left_behind(evidence: Evidence, current: Revisions) -> str:
    """What a current revision does not explain: 'a rollback, or a run that broke off, left type entity behind'."""
    return f"a rollback, or a run that broke off, left {_some(evidence.left[current], ' and ') or 'something'} behind"


def _some(texts: Sequence[str], between: str) -> str:
    more = f"{between}{len(texts) - NAMED_AT_MOST} more" if len(texts) > NAMED_AT_MOST else ""
    return between.join(texts[:NAMED_AT_MOST]) + more


def _of_a_half(chain: Chain, half: PartiallyApplied) -> str:
    done, missing, doubt = (half.real(places) for places in (half.done, half.missing, half.doubt))
    count = len(done) + len(missing) + len(doubt)
    what = "Half" if half.direction == "upgrade" else "Half of the way back"
    texts = [operations.doing(one) for one in missing]
    unseen = f", {len(doubt)} no schema shows" if doubt else ""
    verb = "is" if len(done) == 1 else "are"
    or_else = (
        f" Or it is {half.or_else} that was begun: it asks the database what to do, so no schema shows what it did."
        if half.or_else
        else ""
    )
    lacks = "this one is missing" if len(texts) == 1 else "these are missing" if texts else "none is seen to be missing"
    return (
        f"{what} of {_named(chain, (half.revision,))} is there: of its {count} operations {len(done)} {verb} "
        f"done{unseen}, {lacks}{': ' if texts else ''}{_some(texts, '; ')}.{or_else}"
    )


def _details(evidence: Evidence) -> Iterator[tuple[str, str]]:
    half = evidence.half
    if half is None:
        yield from told_differences(evidence.differences)
        return
    for place, operation in enumerate(half.operations):
        if not isinstance(operation, Autocommit):
            state = "done" if place in half.done else "missing" if place in half.missing else "not seen"
            yield state, operations.doing(operation)


def told_differences(differences: Sequence[tuple[Fact, bool]]) -> list[tuple[str, str]]:
    """Each with its state: of a table or column that is missing whole, not its parts; what differs, in one."""
    found = []
    for missing in (True, False):
        facts = {fact for fact, of in differences if of is missing}
        whole = {(fact.table, "") for fact in facts if fact.kind in ("table", "enum")}
        whole |= {(fact.table, fact.name) for fact in facts if fact.kind == "column"}
        whole |= {(fact.table, f"unique ({fact.value})") for fact in facts if fact.kind == "unique"}
        whole |= {(fact.table, f"foreign key ({fact.name})") for fact in facts if fact.kind == "foreign-key"}
        found += [(fact, missing) for fact in facts if not _is_part(fact, whole)]
    wanted = {fact.place: fact for fact, missing in found if missing}
    there = {fact.place for fact, missing in found if not missing}
    told = []
    for fact, missing in sorted(found, key=lambda one: (one[0].table, one[0].name, not one[1], str(one[0]))):
        other = wanted.get(fact.place)
        if not missing and other is not None:
            told.append(("different", _told_apart(fact, other)))
        elif not missing or fact.place not in there:
            told.append(("missing" if missing else "too much", str(fact)))
    return told


def _told_apart(fact: Fact, wanted: Fact) -> str:
    if fact.kind == "null":
        states = {"null": "may be null", "not null": "is not null"}
        return f"{fact.table}.{fact.name} {states[fact.value]}, and {states[wanted.value]} by the scripts"
    return f"{fact}, not {wanted.value or 'none'}"


def _is_part(fact: Fact, whole: set[tuple[str, str]]) -> bool:
    """Whether something is said already with the table or the column that it is of."""
    if fact.kind in ("table", "enum"):
        return False
    return (fact.table, "") in whole or (fact.kind != "column" and (fact.table, fact.name) in whole)


# -- of the current revision


def _current(table: VersionTable | None) -> Revisions:
    return table.rows if table is not None and table.rows is not None else ()


def _current_matches(chain: Chain, evidence: Evidence, table: VersionTable | None) -> bool | None:
    """Whether the current revision fits; None where the chain does not have it, or nobody can read it."""
    if not evidence.tables or (table is not None and (table.rows is None or chain.unknown(table.rows))):
        return None
    return not evidence.contradicts(_current(table))


def _of_current(chain: Chain, table: VersionTable | None, *, fits: bool | None) -> str:
    if table is not None and table.rows is None:
        return f"The current revision cannot be read. {table.problem or ''}".rstrip()
    current = _current(table)
    if table is None:
        says = "There is no version table, as if nothing were applied"
    elif not current:
        says = "The version table is empty, as if nothing were applied"
    else:
        says = f"The current revision says {', '.join(current)}"
    if unknown := chain.unknown(current):
        return f"{says}, and the scripts do not have {', '.join(unknown) if len(current) > 1 else 'that revision'}."
    if fits is None:
        return f"{says}."
    return f"{says}: that {'fits' if fits else 'does not fit'}."


def _way_on(chain: Chain, evidence: Evidence, current: Revisions) -> tuple[str, str | None]:
    """What to do about a current revision that is not right, and the command for it."""
    if evidence.half is not None and evidence.loosely:
        return (
            "Either way a migration would fail on what is there, and 'finish' does what is missing. This shows the "
            "plan for it:"
        ), "magetui plan finish"
    if evidence.half is not None:
        return (
            "Before anything is stamped or migrated, 'finish' does what is missing of it, or 'undo' takes back what is "
            "done; each shows its plan first. This would show the one to finish it:"
        ), "magetui plan finish"
    fitting = evidence.fits or evidence.loosely
    if not fitting:
        return "Before anything is stamped or migrated, find out where the differences come from.", None
    if len(fitting) == 1 and len(fitting[0]) > 1:
        return "", None  # a current revision of several rows is more than one command
    unknown = chain.unknown(current)
    instead = f" --replace-unknown-revision {unknown[0]}" if unknown else ""
    if len(fitting) > 1:
        return (
            "Once you know which of them, R, it is, this would set the current revision:",
            f"magetui stamp R{instead}",
        )
    target = fitting[0][0] if fitting[0] else "base"
    return "If that is where the database is, this would set the current revision:", f"magetui stamp {target}{instead}"
