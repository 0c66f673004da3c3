"""The result of `verify` in sentences, for the command line and the screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.engine.evidence.summary import group_differences
from magetui.model.schema import BATCH_PREFIX
from magetui.text import formats
from magetui.text.comparison import Compared, compare_differences

FIND_OUT = (
    "Before you stamp or migrate, find out where the differences come from: 'magetui evidence' shows which revision "
    "the schema matches, 'magetui clean' what earlier runs left, and 'magetui runs' what was run."
)

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.verify import ReplayPlan, Verification

NOT_COMPARED = "Not compared: rows, views, functions, triggers, rights, and changes that env.py makes."
SOURCES = {
    "named": "",
    "current": ", the current {revision}",
    "evidence": ", the closest match, as the current revision is not known",
}
MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentences on a verification, without credentials.

    `details` are the differences as (state, text), and `compared` the same differences by table.
    """

    sentences: tuple[str, ...]
    details: tuple[tuple[str, str], ...]
    compared: tuple[Compared, ...]
    beside: tuple[str, ...]
    equal: bool
    about: str  # the revisions


def announced(chain: Chain, rehearsal: ReplayPlan, clean: Callable[[str], str]) -> tuple[str, ...]:
    """Return what `verify` will build and what this means for the database, as sentences."""
    steps = formats.number(len(rehearsal.steps), "revision") if rehearsal.steps else "no revisions"
    what = f"This builds the schema of {_named(chain, rehearsal)} from nothing ({steps})"
    match rehearsal.mode:
        case "memory":
            sentences: tuple[str, ...] = (f"{what} in memory.",)
        case "apart":
            where = f"in the scratch database {rehearsal.scratch}"
            sentences = (f"{what} {where}, in one transaction that is rolled back.",)
        case _:
            sentences = (
                f"{what} in a scratch schema of this database.",
                "The scripts run in one transaction that is never committed. Nobody else sees the scratch schema, no "
                "existing table is locked, and nothing is left, even if this program is killed.",
            )
    return tuple(formats.plain(clean(sentence)) for sentence in sentences)


def judge(chain: Chain, verification: Verification, clean: Callable[[str], str]) -> Verdict:
    """Return the verdict of a verification. `clean` removes credentials from a text."""
    rehearsal = verification.plan
    several = "revision" if len(rehearsal.revisions) < 2 else "revisions"
    name = f"{_named(chain, rehearsal)}{SOURCES[rehearsal.chosen].format(revision=several)}"
    details = group_differences(verification.differences)
    if verification.equal and verification.unread:
        first = f"As far as magetui could read it, the live schema equals the schema of {name}."
    elif verification.equal:
        first = f"The live schema equals the schema of {name}."
    else:
        first = f"The live schema has {formats.number(len(details), 'difference')} from the schema of {name}."
    sentences = [first, f"{_compared(verification)} {NOT_COMPARED}"]
    if verification.unread:
        names = formats.some(sorted({fact.table for fact in verification.unread}), MOST_NAMED)
        sentences.append(f"Could not read {names}: another session holds a lock. 'magetui locks' shows the session.")
    beside = tuple(formats.plain(str(fact)) for fact in verification.unrelated)
    gone = {fact.table for fact, is_missing in verification.differences if is_missing and fact.kind == "table"}
    copies = [f"{BATCH_PREFIX}{table}" for table in sorted(gone) if f"table {BATCH_PREFIX}{table}" in beside]
    if copies:
        sentences.append(f"Of a table that is gone, the copy exists: {', '.join(copies)}. See 'magetui clean'.")
    if beside:
        sentences.append(f"The chain does not mention {formats.some(beside, MOST_NAMED)}: this is not a difference.")
    if not verification.equal:
        sentences.append(FIND_OUT if rehearsal.chosen != "evidence" else "To check another revision: magetui verify R")
    return Verdict(
        tuple(formats.plain(clean(sentence)) for sentence in sentences),
        tuple((state, formats.one_line(clean(text))) for state, text in details),
        tuple(part.shown(clean) for part in compare_differences(verification.differences)),
        beside,
        verification.equal,
        " and ".join(rehearsal.revisions) or "base",
    )


def _compared(verification: Verification) -> str:
    tables = formats.number(verification.tables, "table")
    where = {
        "memory": "in memory",
        "schema": "in a scratch schema, which is gone",
        "apart": f"in the scratch database {verification.plan.scratch}, which is empty again",
    }[verification.plan.mode]
    took = formats.duration(verification.elapsed_ms)
    return f"Compared with {tables} built from nothing {where} (version {verification.server}, {took})."


def _named(chain: Chain, rehearsal: ReplayPlan) -> str:
    revisions = rehearsal.revisions
    if not revisions:
        return "base (before the first revision)"
    message = formats.one_line(chain.by_id[revisions[0]].message) if len(revisions) == 1 else ""
    return " and ".join(revisions) + (f" ({message})" if message else "")
