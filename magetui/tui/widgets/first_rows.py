"""The first rows of a table as a list: as many columns as fit, from a first one on, with each value on one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property

from rich.cells import cell_len
from textual.content import Content

from magetui.model.schema import FIRST_ROWS, SHOWN_CHARACTERS, Binary, FirstRows, Hidden, Value
from magetui.text import formats
from magetui.tui.theme import QUIET, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, fitted
from magetui.tui.widgets.table_parts import GAP, Part

READ_ROWS, ROW = "read rows", "row "
HINT = f"space or enter: read the first {FIRST_ROWS} rows (read-only)"
NUMBER = re.compile(r"-?\d[\d.,]*(e[-+]?\d+)?")
LINE_BREAKS = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})


def unread_part(problem: str | None, *, is_reading: bool) -> Part:
    """Return the part before the rows are read, or if they could not be read."""
    hint = "reading the rows …" if is_reading else HINT
    sentence = "" if problem is None or is_reading else f"The rows can't be read: {problem}."

    def rows(width: int) -> list[Row]:
        lines = hanging("", sentence, width, WARNING) if sentence else []
        content = Content("\n").join([*lines, Content.styled(hint, QUIET)])
        return [Row(READ_ROWS, content, content.plain, sentence or hint)]

    return Part("Rows", rows)


class Grid:
    """The texts of the rows that were read, and the widths of their columns."""

    def __init__(self, found: FirstRows, read_at: str) -> None:
        self._found = found
        self._read_at = read_at
        self._names = tuple(map(formats.plain, found.columns))
        self._texts = [tuple(map(value_text, row)) for row in found.rows]

    @property
    def count(self) -> int:
        return len(self._texts)

    @property
    def columns(self) -> int:
        return len(self._names)

    def part(self, first: int) -> Part:
        """Return the part, from the column number `first` on."""
        shown = f"first {len(self._texts)}" if self._found.has_more else formats.rows(len(self._texts))
        hidden = f" · from column {first + 1} of {self.columns}" if first else ""
        return Part(
            f"Rows · {shown} · read {self._read_at}{hidden}",
            lambda width: self._rows(first, width),
            lambda width: (" " * GAP).join(text for _, text in self._cells(self._names, first, width)),
        )

    def lines(self, number: int) -> list[Content]:
        """Return the row `number` with a line for each column."""
        width = max(map(cell_len, self._names), default=0) + GAP
        row = zip(self._names, self._found.rows[number], self._texts[number], strict=True)
        return [Content.assemble((fitted(name, width), QUIET), (text, _style(value))) for name, value, text in row]

    @cached_property
    def _widths(self) -> list[int]:
        most = SHOWN_CHARACTERS + 1
        lines = [self._names, *self._texts]
        return [min(most, max(map(cell_len, column))) for column in zip(*lines, strict=True)]

    @cached_property
    def _numeric(self) -> list[bool]:
        """Whether each column has numbers alone, which are aligned on the right."""
        columns = [[value for value in column if value is not None] for column in zip(*self._found.rows, strict=True)]
        found = [
            bool(column) and all(isinstance(value, str) and NUMBER.fullmatch(value) for value in column)
            for column in columns
        ]
        return found or [False] * self.columns

    def _visible(self, first: int, width: int) -> range:
        """Return the numbers of the columns that fit, at least one."""
        used = last = 0
        for last in range(first, self.columns):
            used += self._widths[last] + GAP
            if used - GAP > width and last > first:
                return range(first, last)
        return range(first, last + 1)

    def _cells(self, texts: Sequence[str], first: int, width: int) -> Iterator[tuple[int, str]]:
        """Yield the number and the text of each visible column."""
        for number in self._visible(first, width):
            room = min(self._widths[number], width)
            text = fitted(texts[number], room)
            yield number, text.rstrip().rjust(room) if self._numeric[number] else text

    def _rows(self, first: int, width: int) -> list[Row]:
        made = []
        for number, (row, texts) in enumerate(zip(self._found.rows, self._texts, strict=True)):
            cells = [Content.styled(text, _style(row[column])) for column, text in self._cells(texts, first, width)]
            content = Content(" " * GAP).join(cells)
            made.append(Row(f"{ROW}{number}", content, " ".join(texts), "\t".join(texts)))
        return made or [Row("no rows", Content.styled("no rows", QUIET), "no rows")]


def value_text(value: Value) -> str:
    """Return a value on one line, with control characters as text."""
    match value:
        case None:
            return "null"
        case Hidden():
            return "(hidden)"
        case Binary():
            more = "…" if value.bytes * 2 > len(value.digits) else ""
            return f"\\x{value.digits}{more} {formats.size(value.bytes)}"
    text = formats.plain(value[:SHOWN_CHARACTERS].translate(LINE_BREAKS))
    return f"{text}…" if len(value) > SHOWN_CHARACTERS else text


def _style(value: Value) -> str:
    """Return the style of a value: what is no text of the row is quiet."""
    return "" if isinstance(value, str) else QUIET
