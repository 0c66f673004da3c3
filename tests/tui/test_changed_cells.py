"""Over a slow line only the cells that change are written, and the terminal shows what it would have shown before."""

from __future__ import annotations

import random

import pyte
import pytest
from pyte.screens import Char
from rich.color import Color
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region, Size
from textual.strip import Strip

from magetui.tui.cells import Cells

WIDTH, HEIGHT = 40, 8
SIZE = Size(WIDTH, HEIGHT)
EMOJI = "⚠️ x👨‍👩‍👧y"
TEXTS = ("users", "  ", "x", "数据库", "é", "e\u0301", "━━━━", "     ", "│", "1,204")
STYLES = (
    None,
    Style(),
    Style(bold=True),
    Style(bold=True, reverse=True),
    Style(reverse=True),
    Style(color=Color.parse("red"), bgcolor=Color.default()),
    Style(color=Color.parse("color(39)")),
    Style(color=Color.parse("#274900"), bgcolor=Color.parse("color(49)"), underline=True),
    Style(color=Color.default(), bgcolor=Color.default(), dim=True),
)


def some_strip(source: random.Random, width: int) -> Strip:
    """Return a strip of exactly `width` columns in several styles, with wide and combining characters.

    The last column is plain, since pyte wraps the line before a combining character there.
    """
    segments, used = [], 0
    while used < width - 1:
        segment = Segment(source.choice(TEXTS), source.choice(STYLES))
        if used + segment.cell_length > width - 1:
            segment = Segment(" " * (width - 1 - used), source.choice(STYLES))
        segments.append(segment)
        used += segment.cell_length
    return Strip([*segments, Segment(source.choice(" x"))], width)


def some_update(source: random.Random) -> CompositorUpdate:
    """Return an update of the complete screen, or of some spans, as Textual's compositor makes them."""
    cut = source.randrange(1, WIDTH)
    if source.random() < 0.3:
        lines = [[some_strip(source, cut), some_strip(source, WIDTH - cut)] for _ in range(HEIGHT)]
        return LayoutUpdate(list(lines), Region(0, 0, WIDTH, HEIGHT))
    chops = [{0: some_strip(source, cut), cut: some_strip(source, WIDTH - cut)} for _ in range(HEIGHT)]
    rows = sorted(source.sample(range(HEIGHT), source.randrange(1, HEIGHT)))
    spans = [(y, *source.choice([(0, WIDTH), (0, cut), (cut, WIDTH)])) for y in rows]
    return ChopsUpdate(chops, spans, [[cut, WIDTH]] * HEIGHT)


def shown(screen: pyte.Screen) -> list[list[tuple[object, ...]]]:
    """Return what can be seen of each cell: nobody sees whether a blank is bold."""

    def seen(cell: Char) -> tuple[object, ...]:
        is_blank = cell.data == " " and not (cell.underscore or cell.strikethrough)
        is_plain = is_blank and (not cell.reverse or (cell.fg, cell.bg) == ("default", "default"))
        return (cell.data, cell.bg, cell.reverse) if is_plain else tuple(cell)

    return [[seen(screen.buffer[y][x]) for x in range(WIDTH)] for y in range(HEIGHT)]


@pytest.mark.slow
def test_a_terminal_shows_the_same_cells_as_with_textuals_own_output() -> None:
    console = Console(color_system="truecolor", force_terminal=True, width=WIDTH, height=HEIGHT)
    for seed in range(25):
        source, cells = random.Random(seed), Cells()
        ours, theirs = pyte.Screen(WIDTH, HEIGHT), pyte.Screen(WIDTH, HEIGHT)
        our_stream, their_stream = pyte.Stream(ours), pyte.Stream(theirs)
        first = LayoutUpdate([[some_strip(source, WIDTH)] for _ in range(HEIGHT)], Region(0, 0, WIDTH, HEIGHT))
        for number, update in enumerate([first, *(some_update(source) for _ in range(12))]):
            our_stream.feed(cells.write(update, SIZE, console))
            their_stream.feed(update.render_segments(console))
            assert shown(ours) == shown(theirs), (seed, number)


def test_an_emoji_of_several_characters_moves_nothing_beside_it() -> None:
    console = Console(color_system="standard", force_terminal=True, width=WIDTH, height=1)
    cells = Cells()
    strip = Strip([Segment(f"{EMOJI}{' ' * 20}│")])
    rest = WIDTH - strip.cell_length
    update = LayoutUpdate([[strip, Strip([Segment("z" * rest)], rest)]], Region(0, 0, WIDTH, 1))
    written = cells.write(update, Size(WIDTH, 1), console)
    assert written.endswith(f"{EMOJI}{' ' * 20}│{'z' * rest}")


def test_what_the_terminal_shows_already_costs_nothing() -> None:
    console = Console(color_system="standard", force_terminal=True, width=WIDTH, height=HEIGHT)
    cells, source = Cells(), random.Random(1)
    update = LayoutUpdate([[some_strip(source, WIDTH)] for _ in range(HEIGHT)], Region(0, 0, WIDTH, HEIGHT))
    complete = cells.write(update, SIZE, console)
    assert cells.write(update, SIZE, console) == ""
    cells.forget()
    assert cells.write(update, SIZE, console) == complete


def test_a_part_of_a_screen_that_is_not_known_is_written_as_it_is() -> None:
    console = Console(color_system="standard", force_terminal=True, width=WIDTH, height=HEIGHT)
    cells = Cells()
    part = ChopsUpdate([{0: Strip([Segment("users")]), 5: None}] * HEIGHT, [(0, 0, 5)], [[5, WIDTH]] * HEIGHT)
    assert cells.write(part, SIZE, console) == "\x1b[1;1Husers"
