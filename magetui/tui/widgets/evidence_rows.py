"""The rows of the evidence: each revision, what the schema says of it, and how many of its operations it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.text import formats
from magetui.tui.theme import CRITICAL, GOOD, QUIET, STRONG, WARNING
from magetui.tui.widgets.rows import Row, fitted

if TYPE_CHECKING:
    from magetui.engine.evidence.verdict import EvidenceState, RevisionEvidence
    from magetui.engine.revisions.graph import Chain
    from magetui.text.evidence import Conclusion

STATE_STYLES: dict[EvidenceState, str] = {
    "applied": GOOD,
    "missing": WARNING,
    "partial": CRITICAL,
    "superseded": GOOD,
    "undecidable": QUIET,
}
SAYS: dict[EvidenceState, str] = {
    "applied": "● applied",
    "missing": "○ not applied",
    "partial": "◐ partial",
    "superseded": "~ superseded",
    "undecidable": "? undecidable",
}
CURRENT, MATCH = "▶ ", "= match"
MARK, ID, GAP, STATE, FOUND = 2, 14, 2, 15, 9
MATCH_WIDTH = len(MATCH)
MESSAGE_ROOM = 12  # columns that a message needs before FOUND is shown beside it


@dataclass(frozen=True, slots=True)
class Columns:
    """The widths of the columns that vary. A width of 0 leaves a column out."""

    message: int
    found: int
    match: int


def columns_of(conclusion: Conclusion, width: int) -> Columns:
    """Return the widths. Without room, FOUND is left out; the match is left out if there is none."""
    match = MATCH_WIDTH if conclusion.candidates else 0
    room = width - MARK - ID - STATE - match
    found = FOUND if room - FOUND >= MESSAGE_ROOM else 0
    return Columns(max(8, room - found), found, match)


def evidence_heading(conclusion: Conclusion, width: int) -> str:
    """Return the names of the columns."""
    columns = columns_of(conclusion, width)
    revision = fitted("REVISION", ID + columns.message)
    return f"{'':<{MARK}}{revision}{'SCHEMA SAYS':<{STATE}}{'FOUND' if columns.found else ''}".rstrip()


def evidence_rows(chain: Chain, conclusion: Conclusion, width: int) -> list[Row]:
    """Return a row for each revision, newest first."""
    columns = columns_of(conclusion, width)
    return [_row(chain, conclusion, evidence, columns) for evidence in conclusion.revisions]


def _row(chain: Chain, conclusion: Conclusion, evidence: RevisionEvidence, columns: Columns) -> Row:
    name = evidence.revision
    is_current, matches = name in conclusion.current, name in conclusion.candidates
    message = formats.plain(chain.by_id[name].message)
    content = Content.assemble(
        (CURRENT if is_current else " " * MARK, STRONG),
        (fitted(formats.plain(name), ID), STRONG if is_current or matches else ""),
        fitted(message, columns.message - GAP) + " " * GAP,
        (fitted(SAYS[evidence.state], STATE), STATE_STYLES[evidence.state]),
        fitted(found_of(evidence), columns.found),
        (fitted(MATCH if matches else "", columns.match), STRONG),
    )
    return Row(name, content, f"{content.plain} {message}")


def found_of(evidence: RevisionEvidence) -> str:
    """Return '1 of 3': how many operations the schema shows, of all that it can show."""
    done, visible = evidence.found
    return f"{done} of {visible}" if visible else ""
