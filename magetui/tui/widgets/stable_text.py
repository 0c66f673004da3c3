"""A text that changes several times a second, and is laid out again only if its height may have changed."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class StableText(Static):
    """Text of a running run or backup. Without text, it takes no room."""

    def __init__(self, text: str = "", *, id: str) -> None:
        super().__init__(text, id=id, markup=False)
        self._shown = Content(text)
        self.display = bool(text)

    def show(self, content: Content) -> None:
        if content.is_same(self._shown):
            return
        before, self._shown = self._shown, content
        self.display = bool(content)
        self.update(content, layout=_heights(before, self) != _heights(content, self))


def _heights(content: Content, text: StableText) -> list[int]:
    """Return how many rows each line of `content` takes."""
    width = max(1, text.content_size.width)
    return [max(1, -(-line.cell_length // width)) for line in content.split("\n", allow_blank=True)]
