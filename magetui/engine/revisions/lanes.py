"""The chain's branches as lanes, to be drawn beside its revisions: one column for each line of development.

The layout is separate from the screen, so that it can be tested without one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain

# By the directions in which lines leave the cell: up, down, left, right. A Linux console has all of them.
LINES: Mapping[str, str] = {
    "": " ",
    "ud": "│",
    "lr": "─",
    "ul": "┘",
    "dl": "┐",
    "ur": "└",
    "dr": "┌",
    "udl": "┤",
    "udr": "├",
    "ulr": "┴",
    "dlr": "┬",
    "udlr": "┼",
}


@dataclass(frozen=True, slots=True)
class Lane:
    """One revision's row of the graph: the revision's own column, and the two characters of each column."""

    column: int
    cells: tuple[str, ...]

    @property
    def width(self) -> int:
        return 2 * len(self.cells)

    def drawn(self, glyph: str) -> str:
        """Return the row as text, such as '│ ● ', with the revision's glyph in its column."""
        return "".join(f"{glyph}{cell[1]}" if number == self.column else cell for number, cell in enumerate(self.cells))


def lanes_of(chain: Chain) -> dict[str, Lane]:
    """Return the lane of every revision.

    The walk goes from the heads down. Each column leads to the revision that continues it, and a column is free again
    below the end of its branch. A revision is joined to the columns that end in it and to those that begin with it.
    Example: heads c and b, both children of a, give c '● ', b '│ ● ' and a '●─┘ '.
    """
    waiting: list[str | None] = []  # the next revision of each column
    lanes: dict[str, Lane] = {}
    for revision in chain.revisions:
        above = list(waiting)
        columns = [column for column, leads_to in enumerate(waiting) if leads_to == revision.revision]
        own = columns[0] if columns else _take_free_column(waiting, revision.revision)
        for column in columns or [own]:
            waiting[column] = None
        joined = set(columns)
        for number, parent in enumerate(p for p in revision.down_revisions if p in chain.by_id):
            if number == 0:
                waiting[own] = parent
            else:
                joined.add(waiting.index(parent) if parent in waiting else _take_free_column(waiting, parent))
        lanes[revision.revision] = Lane(own, _cells(own, above, waiting, joined))
        while waiting and waiting[-1] is None:
            waiting.pop()
    return lanes


def _take_free_column(waiting: list[str | None], revision: str) -> int:
    free = waiting.index(None) if None in waiting else len(waiting)
    waiting[free : free + 1] = [revision]
    return free


def _cells(
    own: int, above: Sequence[str | None], below: Sequence[str | None], joined: Collection[int]
) -> tuple[str, ...]:
    """Return the cells of a row. `above` and `below` are the columns on its two sides; `joined` ones lead to `own`."""
    first, last = min({own, *joined}), max({own, *joined})
    cells = []
    for column in range(max(len(above), len(below))):
        up = column < len(above) and above[column] is not None
        down = column < len(below) and below[column] is not None
        left, right = first < column <= last, first <= column < last
        ways = zip("udlr", (up, down, left, right), strict=True)
        line = LINES.get("".join(way for way, leads in ways if leads), " ")
        cells.append(line + ("─" if right else " "))
    return tuple(cells)
