"""The keys that scroll a text, for every screen and pane that has one."""

from __future__ import annotations

from textual.binding import Binding, BindingType
from textual.widget import Widget

LINE_KEYS: list[BindingType] = [
    Binding("j,down", "scroll('down')", "Down", show=False),
    Binding("k,up", "scroll('up')", "Up", show=False),
]
END_KEYS: list[BindingType] = [
    Binding("g,home", "scroll('home')", "Top", show=False),
    Binding("G,end", "scroll('end')", "End", show=False),
]
PAGE_KEYS: list[BindingType] = [
    Binding("ctrl+d,pagedown", "scroll('page_down')", "Page down", show=False),
    Binding("ctrl+u,pageup", "scroll('page_up')", "Page up", show=False),
]


def scroll(widget: Widget, direction: str) -> None:
    """Scroll a widget: down, up, home, end, page_down or page_up."""
    getattr(widget, f"scroll_{direction}")(animate=False)
