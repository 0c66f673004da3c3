"""Pane 2: the chain, newest first, with the applied, current and pending revisions and unknown current revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from magetui.text import formats
from magetui.tui.panes.base import PROBLEM, RowsPane, wrapped_row
from magetui.tui.theme import CRITICAL, GOOD, QUIET, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, fitted

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.revisions.lanes import Lane

ID_WIDTH, DATE, GAP = 14, 10, 2
RELEASE_ROOM, DATE_ROOM = 30, 60  # columns beside the id from which the release and the date are shown
REVISION, RELEASE = "REVISION", "RELEASE"
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
        drawn = DrawnChain.of(chain)
        self.rows.show(
            lambda width: revision_rows(drawn, current, applied, width, known=known), partial(revision_heading, drawn)
        )
        if current and not self._cursor_placed and current[0] in chain.by_id:
            self._cursor_placed = True
            self.rows.select(current[0])


@dataclass(frozen=True, slots=True)
class DrawnChain:
    """A chain with the lanes and the releases of its revisions, which are worked out once for all widths."""

    chain: Chain
    lanes: Mapping[str, Lane]
    releases: Mapping[str, str]

    @staticmethod
    def of(chain: Chain) -> DrawnChain:
        from magetui.engine.revisions.lanes import lanes_of

        return DrawnChain(chain, lanes_of(chain), releases_of(chain))


@dataclass(frozen=True, slots=True)
class Columns:
    """The widths of the list: lanes, id, message, release and date. A width of 0 leaves a column out."""

    lanes: int
    id: int
    message: int
    release: int
    date: int


def columns_of(drawn: DrawnChain, width: int) -> Columns:
    """Return the widths of the columns. The date needs the most room; a column that is empty everywhere has none."""
    revisions = drawn.chain.revisions
    lanes = max((lane.width for lane in drawn.lanes.values()), default=2)
    longest = max((cell_len(formats.plain(revision.revision)) for revision in revisions), default=0)
    id_width = min(ID_WIDTH, max(longest, len(REVISION)) + GAP)
    room = width - 2 - lanes - id_width
    release = max((len(text) for text in drawn.releases.values()), default=0)
    release = max(release, len(RELEASE)) + GAP if release and room >= RELEASE_ROOM else 0
    date = DATE + GAP if room >= DATE_ROOM and any(revision.created for revision in revisions) else 0
    return Columns(lanes, id_width, max(8, room - release - date), release, date)


def releases_of(chain: Chain) -> dict[str, str]:
    """Return the releases that have each revision as their head, or else the first one that contains it."""
    from magetui.engine.project.releases import first_releases, release_range

    first = first_releases(chain)
    found = {}
    for revision in chain.revisions:
        name = revision.revision
        release = (release_range(name) or "").removeprefix("mage-ai ")
        if not release and name in first:
            release = f"first in {first[name].version}"
        if release:
            found[name] = release
    return found


def revision_heading(drawn: DrawnChain, width: int) -> str:
    """Return the names of the columns."""
    columns = columns_of(drawn, width)
    release = f"{RELEASE:>{columns.release}}" if columns.release else ""
    date = f"{'CREATED':>{columns.date}}" if columns.date else ""
    return f"{'':<{2 + columns.lanes}}{REVISION:<{columns.id}}{fitted('MESSAGE', columns.message)}{release}{date}"


def revision_rows(
    drawn: DrawnChain, current: Sequence[str], applied: frozenset[str], width: int, *, known: bool
) -> list[Row]:
    """Return the chain's rows: problems and unknown current revisions first, then the revisions with their lanes."""
    chain, columns = drawn.chain, columns_of(drawn, width)
    rows = [
        wrapped_row(f"{PROBLEM}{number}", problem.message, hanging("!  ", problem.message, width, label=CRITICAL))
        for number, problem in enumerate(chain.problems)
        if problem.code != "several-heads"
    ]
    for unknown in chain.unknown(current):
        text = f"{unknown}  is the database's current revision, and no script has it"
        lines = hanging("▶ ? ", text, width, label=CRITICAL)
        rows.append(wrapped_row(f"{UNKNOWN}{unknown}", text, lines, formats.plain(unknown)))
    for revision in chain.revisions:
        name = revision.revision
        is_current = name in current
        glyph = "●" if name in applied else "○" if known else "·"
        style = STRONG if is_current else GOOD if name in applied else WARNING if known else QUIET
        labels = f"({', '.join(revision.branch_labels)}) " if revision.branch_labels else ""
        release, date = drawn.releases.get(name, ""), (revision.created or "")[:DATE]
        side = f"{release:>{columns.release}}" if columns.release else ""
        content = Content.assemble(
            ("▶ " if is_current else "  ", STRONG),
            (fitted(drawn.lanes[name].drawn(glyph), columns.lanes), style),
            (fitted(formats.plain(name), columns.id), STRONG if is_current else ""),
            fitted(formats.plain(labels + revision.message), columns.message),
            (side + (f"{date:>{columns.date}}" if columns.date else ""), QUIET),
        )
        rows.append(Row(name, content, f"{name} {revision.message} {release} {date}"))
    return rows
