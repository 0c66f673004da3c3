"""A screen that shows one text in full."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from magetui.tui.screens.base import ScrolledScreen
from magetui.tui.theme import STRONG


class TextScreen(ScrolledScreen):
    NAME = "Text"
    ABOUT = "One text in full, for which the other screen has no room."

    def __init__(self, heading: str, text: Content) -> None:
        super().__init__()
        self._heading = heading
        self._text = text

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._text, markup=False)

    def on_mount(self) -> None:
        self.entitle((f" {self._heading}", STRONG))
