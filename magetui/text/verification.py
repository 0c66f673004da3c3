"""What a verification amounts to, in sentences: the same on the command line and the screen.

First whether the live schema is what the revision makes, then what was compared with what, then what was not compared.
Before it, what building it means, for whoever is asked for consent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.text import formats
from magetui.text.evidence import told_differences

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.verify import ReplayPlan, Verification

NOT_COMPARED = "Rows, views, functions, triggers and rights were not compared, nor what an env.py would add."
SOURCES = {
    "named": "",
    "current": ", where the current revision is",
    "evidence": ", which the schema looks like, since the current revision names no revision of the chain",
}
BESIDE_NAMED = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is said of a verification, without credentials. `details`: each difference, after what is wrong with it."""

    sentences: tuple[str, ...]
    details: tuple[tuple[str, str], ...]
    beside: tuple[str, ...]
    equal: bool


def announced(chain: Chain, rehearsal: ReplayPlan, clean: Callable[[str], str]) -> tuple[str, ...]:
    """What is going to be built, and what that means for the database, as sentences."""
    count = len(rehearsal.steps)
    steps = "no revision" if not count else "1 revision" if count == 1 else f"{count} revisions"
    what = f"This builds the schema of {_named(chain, rehearsal)} from nothing, {steps}"
    match rehearsal.mode:
        case "memory":
            said: tuple[str, ...] = (f"{what}, in memory.",)
        case "apart":
            where = f"in the scratch database {rehearsal.scratch}"
            said = (f"{what}, {where}, in one transaction that is taken back.",)
        case _:
            said = (
                f"{what}, in a scratch schema of this database.",
                "It runs the scripts in one transaction that is never committed: nobody else sees it, no table that is "
                "there is locked, and nothing of it is left, even if this program is killed.",
            )
    return tuple(formats.plain(clean(one)) for one in said)


def judge(chain: Chain, found: Verification, clean: Callable[[str], str]) -> Verdict:
    """What the verification says; `clean` takes credentials out of a text."""
    rehearsal = found.plan
    name = _named(chain, rehearsal)
    source = SOURCES[rehearsal.chosen] and f"{SOURCES[rehearsal.chosen]},"
    details = told_differences(found.differences)
    if found.equal and found.unread:
        first = f"As far as it could be read, the live schema is what {name}{source} makes."
    elif found.equal:
        first = f"The live schema is exactly what {name}{source} makes."
    else:
        count = "1 difference" if len(details) == 1 else f"{len(details)} differences"
        first = f"The live schema is not what {name}{source} makes: {count}."
    said = [first, f"{_compared(found)} {NOT_COMPARED}"]
    if found.unread:
        names = _some(sorted({fact.table for fact in found.unread}))
        said.append(f"Not all could be read, since somebody has it locked: {names}. 'magetui locks' shows who.")
    beside = tuple(formats.plain(str(fact)) for fact in found.unrelated)
    if beside:
        said.append(f"The chain knows nothing of {_some(beside)}: that is no difference.")
    if not found.equal:
        said.append(
            "Before anything is stamped or migrated, find out where the differences come from."
            if rehearsal.chosen != "evidence"
            else "If another revision is meant, name it: magetui verify R"
        )
    return Verdict(
        tuple(formats.plain(clean(one)) for one in said),
        tuple((state, formats.one_line(clean(text))) for state, text in details),
        beside,
        found.equal,
    )


def _compared(found: Verification) -> str:
    tables = "1 table" if found.tables == 1 else f"{found.tables} tables"
    place = {
        "memory": "in memory",
        "schema": "in a scratch schema, of which nothing is left",
        "apart": f"in the scratch database {found.plan.scratch}, where nothing is left",
    }[found.plan.mode]
    took = formats.duration(found.elapsed_ms)
    return f"It was compared with {tables} built from nothing {place} (version {found.server}, {took})."


def _named(chain: Chain, rehearsal: ReplayPlan) -> str:
    revisions = rehearsal.revisions
    if not revisions:
        return "a database before the first revision"
    message = formats.one_line(chain.by_id[revisions[0]].message) if len(revisions) == 1 else ""
    return " and ".join(revisions) + (f" ({message})" if message else "")


def _some(names: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(names) - BESIDE_NAMED} more" if len(names) > BESIDE_NAMED else ""
    return ", ".join(names[:BESIDE_NAMED]) + more
