"""The chain's branches as lanes, to be drawn beside its revisions: one column a line of development."""

from __future__ import annotations

from dataclasses import dataclass

from magetui.engine.revisions.graph import Chain


@dataclass(frozen=True, slots=True)
class Lane:
    """Where one revision stands: its column among those that pass by; columns of None are free."""

    column: int
    passing: tuple[bool, ...]

    @property
    def width(self) -> int:
        return len(self.passing)

    def drawn(self, glyph: str) -> str:
        """'│ ● ' with the revision's glyph in its column."""
        return "".join(
            f"{glyph if number == self.column else '│' if passes else ' '} "
            for number, passes in enumerate(self.passing)
        )


def lanes_of(chain: Chain) -> dict[str, Lane]:
    """A lane for every revision, walking from the heads down; a lane is free again below a branch's end."""
    waiting: list[str | None] = []  # the revision that each lane leads to next
    lanes: dict[str, Lane] = {}
    for revision in chain.revisions:
        mine = [column for column, leads_to in enumerate(waiting) if leads_to == revision.revision]
        if not mine:
            free = waiting.index(None) if None in waiting else len(waiting)
            waiting[free : free + 1] = [revision.revision]
            mine = [free]
        lanes[revision.revision] = Lane(mine[0], tuple(leads_to is not None for leads_to in waiting))
        for column in mine:
            waiting[column] = None
        for number, parent in enumerate(p for p in revision.down_revisions if p in chain.by_id):
            if number == 0:
                waiting[mine[0]] = parent
            elif parent not in waiting:
                free = waiting.index(None) if None in waiting else len(waiting)
                waiting[free : free + 1] = [parent]
        while waiting and waiting[-1] is None:
            waiting.pop()
    return lanes
