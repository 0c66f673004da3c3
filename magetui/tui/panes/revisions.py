"""Pane 2: the chain, newest first, with what is applied, current, pending, and a current revision the chain does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.content import Content

from magetui.tui.panes.base import RowsPane
from magetui.tui.theme import CRITICAL, GOOD, QUIET, STRONG, WARNING
from magetui.tui.widgets.rows import Row, Rows, fitted

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.revisions.graph import Chain

ID_WIDTH = 14
UNKNOWN = "unknown:"
PROBLEM = "problem:"


class RevisionsPane(RowsPane):
    """The revisions; enter opens one."""

    NUMBER, NAME = 2, "Revisions"
    ABOUT = (
        "The chain of migration scripts, newest first: ○ pending, ● applied, ▶ where the database is, ? a current revision that "
        "no script has, · not known. Enter shows a revision's script; b and s take the one under the "
        "cursor as their target."
    )

    def __init__(self) -> None:
        super().__init__(id="revisions")
        self._placed = False

    def compose(self) -> ComposeResult:
        yield Rows(id="revision-rows", empty="no revisions")

    @property
    def selected(self) -> str | None:
        """The revision under the cursor, if it is one of the chain's."""
        key = self.rows.selected
        return None if key is None or key.startswith((UNKNOWN, PROBLEM)) else key

    def show_reading(self) -> None:
        """Another database is asked; what was shown is not its."""
        self._placed = False
        self.tell_state("reading …")
        self.rows.forget()

    def show_problem(self, message: str) -> None:
        from magetui.text import formats

        self.tell_state("not read")
        text = formats.one_line(message)
        self.rows.show(lambda _width: [Row(f"{PROBLEM}read", Content.styled(text, QUIET), text)])

    def show_chain(self, chain: Chain, diagnosis: Diagnosis | None) -> None:
        current = diagnosis.current if diagnosis is not None else ()
        applied = chain.applied(current)
        pending = len(diagnosis.pending) if diagnosis is not None else 0
        said = [str(len(chain.revisions))]
        if pending:
            said.append(f"{pending} pending")
        if chain.unknown(current):
            said.append("current revision unknown")
        if chain.broken:
            said.append("BROKEN")
        self.tell_state(" · ".join(said))
        known = diagnosis is not None and is_known(chain, diagnosis)
        self.rows.show(lambda width: revision_rows(chain, current, applied, width, known=known))
        if current and not self._placed and current[0] in chain.by_id:
            self._placed = True
            self.rows.select(current[0])


def is_known(chain: Chain, diagnosis: Diagnosis) -> bool:
    """Whether what the database has not applied is pending, or nobody knows what it has applied."""
    unread = any(finding.code == "unreadable-version-table" for finding in diagnosis.findings)
    return diagnosis.target.database is not None and not unread and not chain.unknown(diagnosis.current)


def revision_rows(
    chain: Chain, current: Sequence[str], applied: frozenset[str], width: int, *, known: bool
) -> list[Row]:
    """The chain's rows for a width: problems and unknown current revisions first, then the revisions with their lanes."""
    from magetui.engine.project.releases import first_releases, release_range
    from magetui.engine.revisions.lanes import lanes_of
    from magetui.text import formats

    rows = [
        Row(
            f"{PROBLEM}{number}",
            Content.assemble(("!  ", CRITICAL), formats.plain(problem.message)),
            problem.message,
        )
        for number, problem in enumerate(chain.problems)
        if problem.code != "several-heads"
    ]
    for unknown in chain.unknown(current):
        text = f"{formats.plain(unknown)}  is the database's current revision, and no script has it"
        rows.append(Row(f"{UNKNOWN}{unknown}", Content.assemble(("▶ ? ", CRITICAL), text), text))
    lanes = lanes_of(chain)
    lane_width = max((lane.width for lane in lanes.values()), default=1) * 2
    first = first_releases(chain)
    for revision in chain.revisions:
        here = revision.revision in current
        glyph = "●" if revision.revision in applied else "○" if known else "·"
        drawn = lanes[revision.revision].drawn(glyph)
        release = (release_range(revision.revision) or "").removeprefix("mage-ai ")
        if not release and revision.revision in first:
            release = f"first in {first[revision.revision].version}"
        date = (revision.created or "")[:10]
        room = width - 2 - lane_width - ID_WIDTH
        side = "" if room < 30 else f"  {release:>16}" if room < 60 else f"  {release:>16}  {date}"
        message_width = max(8, room - len(side))
        style = STRONG if here else GOOD if revision.revision in applied else WARNING if known else QUIET
        labels = f"({', '.join(revision.branch_labels)}) " if revision.branch_labels else ""
        content = Content.assemble(
            ("▶ " if here else "  ", STRONG),
            (fitted(drawn, lane_width), style),
            (fitted(formats.plain(revision.revision), ID_WIDTH), STRONG if here else ""),
            fitted(formats.plain(labels + revision.message), message_width),
            (side, QUIET),
        )
        search = f"{revision.revision} {revision.message} {release} {date}"
        rows.append(Row(revision.revision, content, search))
    return rows
