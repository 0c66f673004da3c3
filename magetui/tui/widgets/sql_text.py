"""SQL for the screen: keywords, strings and comments look different, and long lines have a hanging indent."""

from __future__ import annotations

import re

from rich.cells import cell_len
from textual.content import Content

from magetui.text import formats
from magetui.tui.theme import QUIET, SQL, SQL_STRING

HANG = 4  # columns by which the rest of a long line is indented further
TOKENS = re.compile(r"(?P<string>'(?:[^']|'')*'?)|(?P<comment>--.*|/\*.*?(?:\*/|$))|(?P<word>\"[^\"]*\"?|\b\w+\b)")
WORDS = """
    add all alter and any array as asc begin between by cascade case cast check collate column commit comment
    concurrently constraint create cross current_timestamp database default deferrable deferred delete desc distinct
    do domain drop else end enum exclude exists extension false first for foreign from full function grant group having
    identity if immediate in index initially inner insert into is join key left like limit lock materialized mode not
    null of offset on only or order outer owner partition primary procedure public references rename replace restrict
    return returning returns revoke right rollback row rows schema select sequence set show table temporary then to
    trigger true truncate type union unique update using validate value values view when where with
"""
KEYWORDS = frozenset(WORDS.split())


def highlighted(line: str) -> Content:
    """Return one line of SQL with its keywords, strings and comments in their styles."""
    parts: list[tuple[str, str]] = []
    end = 0
    for match in TOKENS.finditer(line):
        style = {"string": SQL_STRING, "comment": QUIET}.get(match.lastgroup or "", "")
        if match.lastgroup == "word" and match.group().lower() in KEYWORDS:
            style = SQL
        parts += [(line[end : match.start()], ""), (match.group(), style)]
        end = match.end()
    return Content.assemble(*parts, (line[end:], ""))


def sql_lines(sql: str, width: int) -> list[Content]:
    """Return SQL in lines of at most `width` columns, without its empty lines."""
    lines: list[Content] = []
    for line in sql.splitlines():
        if not line.strip():
            continue
        text = highlighted(formats.plain(line.rstrip()))
        indent = len(text.plain) - len(text.plain.lstrip())
        lines += _wrapped(text, width, " " * min(indent + HANG, width // 2))
    return lines


def _wrapped(text: Content, width: int, indent: str) -> list[Content]:
    """Wrap at a space if there is one, and otherwise anywhere: SQL that is cut would not be the SQL that runs."""
    plain, lines, before = text.plain, [], ""
    start, inside = 0, len(plain) - len(plain.lstrip())
    while start < len(plain):
        room = max(1, width - len(before))
        end = len(plain)
        if cell_len(plain[start : start + room + 1]) > room or end - start > room:
            fits = next(n for n in range(room, 0, -1) if n == 1 or cell_len(plain[start : start + n]) <= room)
            space = plain.rfind(" ", max(start, inside) + 1, start + fits)
            end = space + 1 if space > 0 else start + fits
        lines.append(Content.assemble(before, text[start:end]).rstrip())
        start, before = end, indent
    return lines
