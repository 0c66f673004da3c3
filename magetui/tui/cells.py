"""The cells that the terminal shows, so that only changed ones are written.

Textual repaints each region of a widget that changed: a cursor that moves by one line costs the entire list. Over a
slow SSH line, that is what an operator waits for. This module keeps the text and the style of each cell on the
terminal, and writes only the cells that differ. Measured at 80x24: a cursor move writes 3,300 bytes without it, and 150
with it. Nobody sees whether a blank is bold, so its style is changed only if that shows.

Control sequences: ECMA-48, 8.3 (CUP, CHA, EL and SGR), which every terminal of today and the Linux console have.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from rich.cells import split_graphemes
from rich.color import ColorSystem
from rich.console import Console
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Size
from textual.strip import Strip

Cell = tuple[str, str]  # the character with its combining characters, and the parameters of SGR

UNKNOWN: Cell = ("", "?")
BLANK: Cell = (" ", "")
BRIDGE = 4  # so many unchanged cells are cheaper to write again than to jump over
ERASED = 4  # from so many blanks on, erasing the rest of the line is cheaper than writing it
# What the program draws, in ASCII, for a console that has nothing else. The same characters of a value change, too.
ASCII = str.maketrans(
    "─━│┃┌┐└┘├┤┬┴┼┏┓┗┛┣┫┳┻╋╭╮╰╯╷╵╶╴╲╱●○◐◉▶▸▾▴→←↑↓⏎█▌▇▅▄▃▂▁░▒▓…·•✓✗×–—",  # noqa: RUF001 - these are drawn
    "-=||++++++++++++++++++++++||--\\/*o%@>>v^><^v<###==-__.:#~.*+xx--",
)
REST = ("39", "49")  # the default colours, which are the reset style's already
# Bold, dim, italic and a foreground: a blank with nothing else looks like any other blank.
UNSEEN_ON_BLANKS = re.compile(r"(?:(?:[123]|[39][0-7]|38;5;\d+|38;2;\d+;\d+;\d+)(?:;|$))*")

REVERSE, BOLD_REVERSE = "7", "1;7"


class Cells:
    """What each cell of the terminal shows. A cell that was not written yet is unknown, and differs from any other."""

    def __init__(self, *, ascii: bool = False) -> None:
        self._glyphs: Mapping[int, str | int] = ASCII if ascii else {}
        self._lines: list[list[Cell]] = []
        self._size = Size(0, 0)

    def forget(self) -> None:
        """Write every cell with the next updates, because something else may have written to the terminal."""
        self._size = Size(0, 0)

    def write(self, update: CompositorUpdate, size: Size, console: Console) -> str:
        """Return the control sequences that change the terminal to what `update` shows, and keep its cells."""
        return self.write_lines(self.changed_lines(update, size, console))

    def changed_lines(self, update: CompositorUpdate, size: Size, console: Console) -> dict[int, list[Cell]]:
        """Return the lines of which `update` changes a cell, by their numbers."""
        if size != self._size:
            self._size = size
            self._lines = [[UNKNOWN] * size.width for _ in range(size.height)]
        system = console._color_system or ColorSystem.TRUECOLOR
        lines: dict[int, list[Cell]] = {}
        for y, x, strip in _strips(update):
            if y < size.height:
                _put(lines.setdefault(y, list(self._lines[y])), x, strip, system, self._glyphs)
        return {y: line for y, line in sorted(lines.items()) if line != self._lines[y]}

    def write_lines(self, lines: Mapping[int, list[Cell]]) -> str:
        """Return the control sequences for changed lines, and keep their cells."""
        written: list[str] = []
        style = ""
        for y, line in lines.items():
            style = _write_line(written, y, self._lines[y], line, style)
            self._lines[y] = line
        if style:
            written.append("\x1b[m")
        return "".join(written)


class ChangedCells(CompositorUpdate):
    """An update that Textual renders only at the moment when it writes it."""

    def __init__(self, cells: Cells, lines: Mapping[int, list[Cell]]) -> None:
        self._cells, self._lines = cells, lines

    def render_segments(self, console: Console) -> str:  # noqa: ARG002 - the console's colours are in the cells
        return self._cells.write_lines(self._lines)


def is_of_cells(update: object) -> bool:
    """Return whether the cells of this update are known. A kind that Textual may add later is written as it is."""
    return isinstance(update, LayoutUpdate | ChopsUpdate)


def _strips(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield the line, the first column and the content of each part of an update."""
    if isinstance(update, LayoutUpdate):
        for y, line in enumerate(update.strips, update.region.y):
            x = update.region.x
            for strip in line:
                yield y, x, strip
                x += strip.cell_length
    elif isinstance(update, ChopsUpdate):
        for y, x1, x2 in update.spans:
            for end, (x, chop) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if chop is not None and x < x2 and end > x1:
                    yield y, x, chop


def _put(line: list[Cell], x: int, strip: Strip, system: ColorSystem, glyphs: Mapping[int, str | int]) -> None:
    """Put a part of a line into its cells."""
    for text, style, control in strip:
        if control:
            continue
        codes = "" if style is None else _without_defaults(Strip.render_ansi(style, system))
        cells = _cells_of(text.translate(glyphs) if glyphs else text, codes)[: max(0, len(line) - x)]
        line[x : x + len(cells)] = cells
        x += len(cells)


def _cells_of(text: str, codes: str) -> list[Cell]:
    """Return the cells of a text. The second cell of a wide character is empty."""
    blank = (" ", _on_blank(codes))
    if text.isascii():
        return [blank if character == " " else (character, codes) for character in text]
    cells: list[Cell] = []
    for begin, end, width in split_graphemes(text)[0]:
        character = text[begin:end]
        cells += [blank if character == " " else (character, codes), ("", codes)][:width]
    return cells


@lru_cache(maxsize=4096)
def _on_blank(codes: str) -> str:
    """Return the SGR parameters of a blank: none, if only a character would show them. Bold alone shows on none."""
    if codes == BOLD_REVERSE:
        return REVERSE
    return "" if UNSEEN_ON_BLANKS.fullmatch(codes) else codes


@lru_cache(maxsize=4096)
def _without_defaults(codes: str) -> str:
    """Return SGR parameters without the default colours. `38;5;39` and `48;2;…` are colours, not defaults."""
    kept: list[str] = []
    parameters = iter(codes.split(";"))
    for parameter in parameters:
        if parameter in ("38", "48"):
            kind = next(parameters)
            kept += [parameter, kind, *(next(parameters) for _ in range(1 if kind == "5" else 3))]
        elif parameter not in REST:
            kept.append(parameter)
    return ";".join(kept)


def _write_line(written: list[str], y: int, old: Sequence[Cell], new: Sequence[Cell], style: str) -> str:
    """Write the changed runs of a line. Returns the style that the terminal has then."""
    end = _end_of_text(new)
    erases = len(new) - end >= ERASED and any(old[x] != BLANK for x in range(end, len(new)))
    first = True
    for start, stop in _runs(old, new, end if erases else len(new)):
        written.append(f"\x1b[{y + 1};{start + 1}H" if first else f"\x1b[{start + 1}G")
        first = False
        for text, codes in new[start:stop]:
            if codes != style and not (text == " " and codes == _on_blank(style)):
                written.append(_change_of_style(style, codes))
                style = codes
            written.append(text)
    if erases:
        reset = "\x1b[m" if style else ""
        written.append(f"{reset}\x1b[{y + 1};{end + 1}H\x1b[K")
        style = ""
    return style


def _change_of_style(old: str, new: str) -> str:
    """Return the control sequence that turns one style into another."""
    if old and new.startswith(f"{old};"):
        return f"\x1b[{new.removeprefix(f'{old};')}m"
    return f"\x1b[{'0;' if old and new else ''}{new}m"


def _end_of_text(line: Sequence[Cell]) -> int:
    """Return the column after the last one that is not blank."""
    return next((x + 1 for x in range(len(line) - 1, -1, -1) if line[x] != BLANK), 0)


def _runs(old: Sequence[Cell], new: Sequence[Cell], end: int) -> list[tuple[int, int]]:
    """Return the runs of changed cells, as first column and the column after the last one. Short gaps are bridged."""
    runs: list[tuple[int, int]] = []
    for x in range(end):
        if old[x] == new[x]:
            continue
        start = x if new[x][0] else x - 1  # a wide character is written from its first cell
        stop = x + 1
        if stop < len(new) and not new[stop][0] and new[stop] != UNKNOWN:
            stop += 1
        if runs and start - runs[-1][1] <= BRIDGE and UNKNOWN not in new[runs[-1][1] : start]:
            runs[-1] = (runs[-1][0], max(stop, runs[-1][1]))
        else:
            runs.append((start, stop))
    return runs
