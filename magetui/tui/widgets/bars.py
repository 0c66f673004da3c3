"""Bars of block characters that every console has: a size among others, and a time against its limit."""

from __future__ import annotations

FULL, HALF, EMPTY = "█", "▌", "░"


def bar_of(value: float, most: float, width: int) -> str:
    """Return a bar for `value`, where `most` fills `width` columns. A value above 0 has at least half of one."""
    if value <= 0 or most <= 0 or width <= 0:
        return ""
    halves = max(1, min(width * 2, round(value / most * width * 2)))
    return FULL * (halves // 2) + HALF * (halves % 2)


def gauge(value: float, most: float, width: int) -> str:
    """Return a bar that shows what is left too: '█████░░░░░', of exactly `width` columns."""
    full = min(width, int(value / most * width)) if most > 0 else 0
    return FULL * full + EMPTY * (width - full)
