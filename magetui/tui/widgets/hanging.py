"""Text with a hanging indent: a sentence that carries a warning is wrapped at the screen's width, and never cut."""

from __future__ import annotations

from textual.content import Content

from magetui.text import formats
from magetui.tui.theme import QUIET


def hanging(before: str, text: str, width: int, style: str = "", label: str = QUIET) -> list[Content]:
    """Return `text` behind `before`, in lines of `width` columns. All lines but the first are indented below the text.

    `style` is the style of the text, `label` that of `before`.
    """
    from magetui.text.terminal import wrapped

    room = max(10, width - len(before))
    first, *more = (line for part in text.splitlines() or [""] for line in wrapped(formats.plain(part), room))
    indent = " " * len(before)
    return [
        Content.assemble((before, label), (first, style)),
        *(Content.assemble(indent, (line, style)) for line in more),
    ]
