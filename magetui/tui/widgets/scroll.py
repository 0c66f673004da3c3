"""The keys that scroll a text, for every screen and pane that has a text and `action_scroll`."""

from __future__ import annotations

from textual.binding import Binding, BindingType

LINE_KEYS: list[BindingType] = [
    Binding("j,down", "scroll('down')", "Down", show=False),
    Binding("k,up", "scroll('up')", "Up", show=False),
]
END_KEYS: list[BindingType] = [
    Binding("g,home", "scroll('home')", "First", show=False),
    Binding("G,end", "scroll('end')", "Last", show=False),
]
PAGE_KEYS: list[BindingType] = [
    Binding("ctrl+d,pagedown", "scroll('page_down')", "Page down", show=False),
    Binding("ctrl+u,pageup", "scroll('page_up')", "Page up", show=False),
]
