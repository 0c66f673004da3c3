"""Bars of block characters that every console has: a size among others, a time against its limit, a history."""

from __future__ import annotations

from collections.abc import Sequence

FULL, HALF, EMPTY = "█", "▌", "░"
HEIGHTS = "_▄█"


def bar_of(value: float, most: float, width: int) -> str:
    """Return a bar for `value`, where `most` fills `width` columns. A value above 0 has at least half of one."""
    if value <= 0 or most <= 0 or width <= 0:
        return ""
    steps = max(1, min(width * 2, round(value / most * width * 2)))
    return FULL * (steps // 2) + HALF * (steps % 2)


def gauge(value: float, most: float, width: int) -> str:
    """Return a bar that shows what is left too: '█████░░░░░', of exactly `width` columns."""
    full = min(width, int(value / most * width)) if most > 0 else 0
    return FULL * full + EMPTY * (width - full)


def sparkline(values: Sequence[int], width: int) -> str:
    """Return the last `width` values as columns of two heights, the newest at the right: '__▄▄██'.

    The largest value is a full block. The eighths of a block that sparklines usually have are not in the font of a
    Linux console, and digits end at 9, where a crowd of waiting sessions starts.
    """
    shown = values[-width:]
    most = max(shown, default=0)
    heights = [HEIGHTS[0 if value <= 0 else 1 if value * 2 <= most else 2] for value in shown]
    return "".join(heights)
