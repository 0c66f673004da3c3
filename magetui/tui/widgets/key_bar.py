"""The last line of every screen: the keys that work now, in order of use, as many as the terminal has room for.

Textual's footer mounts a widget for each key and cuts the last ones. This is one text: it starts quicker, costs few
bytes when the keys change, and always keeps the key of the help.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from rich.cells import cell_len
from textual.content import Content
from textual.events import Resize
from textual.screen import Screen
from textual.style import Style
from textual.widgets import Static

from magetui.tui.theme import STRONG

GAP = 2
LAST = ("command_palette", "help", "quit")  # these stay at the end of the line, whatever its width


class KeyBar(Static):
    """`first` returns the ids of the bindings to show first, those of the next step, even if they are seldom shown;
    `useless` those not to show."""

    def __init__(
        self, first: Callable[[], Sequence[str]] = tuple, useless: Callable[[], Collection[str]] = tuple
    ) -> None:
        super().__init__(id="keys", markup=False)
        self._first = first
        self._useless = useless
        self._drawn = Content("")

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self.draw()

    def on_resize(self, _event: Resize) -> None:
        self.draw()

    def _changed(self, screen: Screen[object]) -> None:
        if self.is_attached and screen is self.screen:
            self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Draw the line again, if it has changed and the screen is still there."""
        if not self.is_attached:
            return
        content = self._line(self.size.width or self.app.size.width)
        if not content.is_same(self._drawn):
            self._drawn = content
            self.update(content, layout=False)

    def _line(self, width: int) -> Content:
        """Return the keys that fit, the last ones included."""
        keys, last = self._keys()
        room = width - sum(cell_len(key.plain) + GAP for key in last)
        shown: list[Content] = []
        for key in keys:
            room -= cell_len(key.plain) + GAP
            if room < -GAP:
                break
            shown.append(key)
        return Content(" " * GAP).join([*shown, *last])

    def _keys(self) -> tuple[list[Content], list[Content]]:
        """Return the keys of the screen and its widgets, and those of the app, each with its label."""
        first, useless = list(self._first()), self._useless()
        keys: dict[str, tuple[int, Content]] = {}
        last: dict[str, Content] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not (binding.show or binding.id in first) or not active.enabled or binding.id in useless:
                continue
            text = Content.assemble((self.app.get_key_display(binding), STRONG), f" {binding.description}")
            # A click is the key, so that it does what the key does, and no sooner.
            text = text.stylize(Style.from_meta({"@click": f"app.simulate_key({binding.key!r})"}))
            if binding.action.rpartition(".")[2] in LAST:
                last.setdefault(binding.action, text)
            else:
                rank = first.index(binding.id) if binding.id in first else len(first)
                keys[binding.action] = min(keys.get(binding.action, (rank, text)), (rank, text), key=lambda key: key[0])
        return [text for _rank, text in sorted(keys.values(), key=lambda key: key[0])], list(last.values())
