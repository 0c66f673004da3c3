"""Pane 2: the chain, newest first, with the applied, current and pending revisions and unknown current revisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.text import formats
from magetui.tui.panes.base import PROBLEM, RowsPane, wrapped_row
from magetui.tui.theme import CRITICAL, GOOD, QUIET, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, fitted

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.revisions.graph import Chain

ID_WIDTH = 14
UNKNOWN = "unknown:"


class RevisionsPane(RowsPane):
    NUMBER, NAME = 2, "Revisions"
    ABOUT = (
        "The chain of migration scripts, newest first: ○ pending, ● applied, ▶ the current revision, ? a current "
        "revision that no script has, · not known. Enter shows a revision's script. b and s use the revision at the "
        "cursor as their target."
    )

    EMPTY = "no revisions"

    def __init__(self) -> None:
        super().__init__("revisions", "revision-rows")
        self._cursor_placed = False

    @property
    def selected(self) -> str | None:
        """The revision at the cursor, or None if the row is not a revision of the chain."""
        key = self.rows.selected
        return None if key is None or key.startswith((UNKNOWN, PROBLEM)) else key

    def show_reading(self) -> None:
        self._cursor_placed = False
        super().show_reading()

    def show_chain(self, chain: Chain, diagnosis: Diagnosis | None) -> None:
        current = diagnosis.current if diagnosis is not None else ()
        applied = chain.applied(current)
        pending = len(diagnosis.pending) if diagnosis is not None and diagnosis.knows_pending else 0
        title = [str(len(chain.revisions))]
        if pending:
            title.append(f"{pending} pending")
        if chain.unknown(current):
            title.append("current revision unknown")
        if chain.broken:
            title.append("BROKEN")
        self.show_title(" · ".join(title))
        known = diagnosis is not None and diagnosis.knows_pending and not chain.unknown(current)
        self.rows.show(lambda width: revision_rows(chain, current, applied, width, known=known))
        if current and not self._cursor_placed and current[0] in chain.by_id:
            self._cursor_placed = True
            self.rows.select(current[0])


def revision_rows(
    chain: Chain, current: Sequence[str], applied: frozenset[str], width: int, *, known: bool
) -> list[Row]:
    """Return the chain's rows: problems and unknown current revisions first, then the revisions with their lanes."""
    from magetui.engine.project.releases import first_releases, release_range
    from magetui.engine.revisions.lanes import lanes_of

    rows = [
        wrapped_row(f"{PROBLEM}{number}", problem.message, hanging("!  ", problem.message, width, label=CRITICAL))
        for number, problem in enumerate(chain.problems)
        if problem.code != "several-heads"
    ]
    for unknown in chain.unknown(current):
        text = f"{unknown}  is the database's current revision, and no script has it"
        rows.append(wrapped_row(f"{UNKNOWN}{unknown}", text, hanging("▶ ? ", text, width, label=CRITICAL)))
    lanes = lanes_of(chain)
    lane_width = max((lane.width for lane in lanes.values()), default=2)
    first = first_releases(chain)
    for revision in chain.revisions:
        is_current = revision.revision in current
        glyph = "●" if revision.revision in applied else "○" if known else "·"
        drawn = lanes[revision.revision].drawn(glyph)
        release = (release_range(revision.revision) or "").removeprefix("mage-ai ")
        if not release and revision.revision in first:
            release = f"first in {first[revision.revision].version}"
        date = (revision.created or "")[:10]
        room = width - 2 - lane_width - ID_WIDTH
        side = "" if room < 30 else f"  {release:>16}" if room < 60 else f"  {release:>16}  {date}"
        message_width = max(8, room - len(side))
        style = STRONG if is_current else GOOD if revision.revision in applied else WARNING if known else QUIET
        labels = f"({', '.join(revision.branch_labels)}) " if revision.branch_labels else ""
        content = Content.assemble(
            ("▶ " if is_current else "  ", STRONG),
            (fitted(drawn, lane_width), style),
            (fitted(formats.plain(revision.revision), ID_WIDTH), STRONG if is_current else ""),
            fitted(formats.plain(labels + revision.message), message_width),
            (side, QUIET),
        )
        search = f"{revision.revision} {revision.message} {release} {date}"
        rows.append(Row(revision.revision, content, search))
    return rows
