"""Record the moving picture of the README: the program recovers the demo's half-applied revision, on a real terminal.

    uv run python -m screenshots.cast

Each step presses keys and waits for what the operator would read. The screens become one SVG file whose frames follow
one another, so that a page shows it without a player.
"""

from __future__ import annotations

import html
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from pyte import ByteStream
from pyte.screens import Char

from tests.support.terminal import FOREIGN, Screen, Terminal

HERE = Path(__file__).resolve().parent
SIZE = COLUMNS, LINES = 80, 24
WIDTH, HEIGHT, FONT = 8.4, 18, 14  # of a cell, in pixels
COLOURS = {
    "default": "#d0d0d0", "black": "#1c1c1c", "red": "#ef6b73", "green": "#8cc265", "brown": "#e0af68",
    "blue": "#5aa9f5", "magenta": "#c678dd", "cyan": "#56b6c2", "white": "#ffffff",
}  # fmt: skip
BACKGROUND = "#101418"


@dataclass(frozen=True, slots=True)
class Step:
    """What is pressed, what is waited for, and how many seconds a reader needs for the screen."""

    keys: tuple[str, ...]
    until: str
    seconds: float


STEPS = (
    Step((), r"LEFTOVER TABLE.*4 Log", 4),
    Step(("e",), r"Evidence.*partial", 5),
    Step(("f",), r"enter: yes|type the", 5),
    Step(("enter",), r"DONE", 4),
    Step(("escape",), r"UP TO DATE|BEHIND BY", 3),
)


def record() -> list[tuple[float, list[list[Char]]]]:
    """Drive the program, and return each screen with its seconds."""
    command = [sys.executable, "-m", "magetui", "demo", "half-applied"]
    frames = []
    with tempfile.TemporaryDirectory() as state, Terminal(command, SIZE, {"XDG_STATE_HOME": state}) as terminal:
        for step in STEPS:
            terminal.press(*step.keys)
            terminal.wait_for(step.until, 60)
            terminal.wait_quiet(1.0)
            frames.append((step.seconds, cells_of(terminal.output)))
        terminal.press("q")
        terminal.wait_exit()
    return frames


def cells_of(output: bytes) -> list[list[Char]]:
    """Return the lines of the screen after this output."""
    screen = Screen(*SIZE)
    ByteStream(screen).feed(FOREIGN.sub(b"", output))
    return [[screen.buffer[y][x] for x in range(COLUMNS)] for y in range(LINES)]


def drawn(line: Sequence[Char], y: int) -> Iterator[str]:
    """Yield the SVG elements of a line: one for each run of cells in the same style."""
    x = 0
    for _style, run in groupby(line, key=lambda cell: cell._replace(data="")):
        cells = list(run)
        cell, text = cells[0], "".join(cell.data for cell in cells)
        ink, paper = COLOURS.get(cell.fg, COLOURS["default"]), COLOURS.get(cell.bg, "")
        if cell.bg == "default":
            paper = ""
        if cell.reverse:
            ink, paper = BACKGROUND, ink
        left, width = x * WIDTH, len(cells) * WIDTH
        if paper:
            yield f'<rect x="{left:.1f}" y="{y * HEIGHT}" width="{width:.1f}" height="{HEIGHT}" fill="{paper}"/>'
        if text.strip():
            weight = ' font-weight="bold"' if cell.bold else ""
            yield (
                f'<text x="{left:.1f}" y="{y * HEIGHT + FONT}" fill="{ink}"{weight} textLength="{width:.1f}" '
                f'xml:space="preserve">{html.escape(text)}</text>'
            )
        x += len(cells)


def svg(frames: Sequence[tuple[float, list[list[Char]]]]) -> str:
    """Return the frames as one SVG file that shows them in turn, for ever."""
    total = sum(seconds for seconds, _cells in frames)
    styles, groups, begin = [], [], 0.0
    for number, (seconds, cells) in enumerate(frames):
        start, end = 100 * begin / total, 100 * (begin + seconds) / total
        shown = f"0%{{opacity:{int(not number)}}}{start:.2f}%{{opacity:1}}{end:.2f}%{{opacity:0}}100%{{opacity:0}}"
        styles.append(f"@keyframes f{number}{{{shown}}}.f{number}{{animation:f{number} {total}s step-end infinite}}")
        lines = "".join(part for y, line in enumerate(cells) for part in drawn(line, y))
        groups.append(f'<g class="f{number}" opacity="{int(not number)}">{lines}</g>')
        begin += seconds
    width, height = COLUMNS * WIDTH, LINES * HEIGHT + 6
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" font-size="{FONT}" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace"><style>{"".join(styles)}</style>'
        f'<rect width="100%" height="100%" fill="{BACKGROUND}" rx="6"/>{"".join(groups)}</svg>\n'
    )


if __name__ == "__main__":
    (HERE / "demo.svg").write_text(svg(record()), encoding="utf-8")
