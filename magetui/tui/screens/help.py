"""The help screen: the focused pane or screen, the verbs, and every key that acts there, read from the bindings.

A verb's key is listed with the verb, and not a second time among the keys.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from textual import on
from textual.content import Content
from textual.events import Resize
from textual.widgets import Static

from magetui.tui.screens.base import OverScreen, TextScreen
from magetui.tui.shell import shell_of
from magetui.tui.theme import QUIET, STRONG
from magetui.tui.widgets.hanging import hanging
from magetui.verbs import VERBS

if TYPE_CHECKING:
    from textual.screen import Screen

    from magetui.tui.panes.base import Pane

VERB_IDS = frozenset(verb.name for verb in VERBS if verb.key is not None)
# Textual's own bindings that the help leaves out.
SIDEWAYS = {"scroll_left", "scroll_right", "page_left", "page_right"}
GAP = 2
ONE_COLUMN = 60  # with fewer columns than this, the keys are in one column
HIDDEN_ACTIONS = {*SIDEWAYS, "copy_text", "screen.copy_text", "help_quit", "app.focus_previous"}
# Textual's own words for its keys, in ours.
EFFECTS = {
    "Select": "open the row at the cursor",
    "Focus Next": "go to the next list or field",
    "Page Up": "Page up",
    "Page Down": "Page down",
    "Scroll Up": "Up",
    "Scroll Down": "Down",
}


class HelpScreen(TextScreen):
    """Help on the unfolded pane of the main screen, or on a screen over it."""

    NAME = "Help"

    def __init__(self, subject: Pane | OverScreen) -> None:
        super().__init__("Help", Content(""))
        self._subject = subject

    @on(Resize)
    def _draw(self) -> None:
        lines = help_lines(self._subject, max(30, self.size.width - 4))
        self.query_one("#text", Static).update(Content("\n").join(lines))


def help_lines(subject: Pane | OverScreen, width: int) -> list[Content]:
    """Return the description of a pane or screen, its keys in two columns, and the verbs of the main screen."""
    keys = [Content(""), Content.styled("Keys", STRONG), *in_columns(key_entries(subject.screen, width), width)]
    if isinstance(subject, OverScreen):  # no verb's key acts here, so the screen's own keys come first
        heading, where = subject.NAME, "on the main screen and on the command line"
        parts = [*keys, *verb_section(where, subject, width)]
    else:
        heading, where = f"{subject.NUMBER} {subject.NAME}", "here and on the command line"
        parts = [*verb_section(where, subject, width), *keys]
    return [Content.styled(heading, STRONG), *hanging("", subject.ABOUT, width), *parts]


def verb_section(where: str, subject: Pane | OverScreen, width: int) -> list[Content]:
    """Return a line for each verb: its key on the main screen, its command, its summary."""
    lines = [Content(""), Content.styled(f"Verbs, {where} as magetui VERB", STRONG)]
    for verb in VERBS:
        key = shell_of(subject).key_of(verb.name) if verb.key else ""
        lines += hanging(f"  {key:<3}{verb.name:<11}", verb.summary, width, QUIET, STRONG)
    return lines


def key_entries(screen: Screen[Any], width: int) -> list[list[Content]]:
    """Return the keys that act on a screen with its present focus. Keys with the same effect share an entry."""
    keys: dict[str, list[str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        effect = EFFECTS.get(binding.description, binding.tooltip or binding.description)
        is_verb = binding.id in VERB_IDS and not isinstance(screen, OverScreen)
        if active.enabled and effect and binding.action not in HIDDEN_ACTIONS and not is_verb:
            keys.setdefault(effect, []).append(screen.app.get_key_display(binding))
    room = width if width < ONE_COLUMN else (width - GAP) // 2
    return [hanging(f"  {' '.join(shown):<11} ", effect, room, label=STRONG) for effect, shown in keys.items()]


def in_columns(entries: list[list[Content]], width: int) -> list[Content]:
    """Return the entries in two columns of about the same height, read downwards; in one if there is no room."""
    if width < ONE_COLUMN:
        return [line for entry in entries for line in entry]
    half = sum(map(len, entries)) / 2
    left: list[Content] = []
    while entries and len(left) < half:
        left += entries[0]
        entries = entries[1:]
    right = [line for entry in entries for line in entry]
    room = (width - GAP) // 2
    rows = zip_longest(left, right, fillvalue=Content(""))
    return [Content.assemble(one, " " * (room - one.cell_length + GAP), other) for one, other in rows]
