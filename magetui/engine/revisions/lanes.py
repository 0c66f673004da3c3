"""The chain's branches as lanes, to be drawn beside its revisions: one column for each line of development.

The layout is separate from the drawing, so that it can be tested without a screen.
"""

from __future__ import annotations

from dataclasses import dataclass

from magetui.engine.revisions.graph import Chain


@dataclass(frozen=True, slots=True)
class Lane:
    """The lanes in one revision's row: the revision's own column, and for each column if a lane passes through it."""

    column: int
    passing: tuple[bool, ...]

    @property
    def width(self) -> int:
        return len(self.passing)

    def drawn(self, glyph: str) -> str:
        """Return the row as text, such as '│ ● ', with the revision's glyph in its column."""
        return "".join(
            f"{glyph if number == self.column else '│' if passes else ' '} "
            for number, passes in enumerate(self.passing)
        )


def lanes_of(chain: Chain) -> dict[str, Lane]:
    """Return the lane of every revision.

    The walk goes from the heads down. Each column leads to the revision that continues it, and a column is free again
    below the end of its branch. Example: heads c and b, both children of a, give c '● ', b '│ ● ' and a '● │ '. In the
    row of a, both columns lead to a; it takes the first one.
    """
    waiting: list[str | None] = []  # the next revision of each column
    lanes: dict[str, Lane] = {}
    for revision in chain.revisions:
        columns = [column for column, leads_to in enumerate(waiting) if leads_to == revision.revision]
        if not columns:
            columns = [_take_free_column(waiting, revision.revision)]
        lanes[revision.revision] = Lane(columns[0], tuple(leads_to is not None for leads_to in waiting))
        for column in columns:
            waiting[column] = None
        for number, parent in enumerate(p for p in revision.down_revisions if p in chain.by_id):
            if number == 0:
                waiting[columns[0]] = parent
            elif parent not in waiting:
                _take_free_column(waiting, parent)
        while waiting and waiting[-1] is None:
            waiting.pop()
    return lanes


def _take_free_column(waiting: list[str | None], revision: str) -> int:
    free = waiting.index(None) if None in waiting else len(waiting)
    waiting[free : free + 1] = [revision]
    return free
