"""The help screen: what had the focus, the verbs, and every key that acts there, read off the bindings themselves.

So nothing has to be kept up to date beside them. A verb's key is said with the verb and not once more among the keys;
on another screen than the main one, where no verb's key acts, the screen's own keys come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Footer, Static

from magetui.tui.keys import key_of
from magetui.tui.screens.base import OverScreen
from magetui.tui.screens.details import ScrolledScreen
from magetui.tui.theme import QUIET, STRONG
from magetui.verbs import VERBS

if TYPE_CHECKING:
    from magetui.tui.panes.base import Pane

VERB_IDS = frozenset(verb.name for verb in VERBS if verb.key is not None)
# Bindings of Textual's own that say nothing here.
UNSAID_ACTIONS = frozenset(
    {
        "scroll_left",
        "scroll_right",
        "page_left",
        "page_right",
        "copy_text",
        "screen.copy_text",
        "help_quit",
        "app.focus_previous",
    }
)


class HelpScreen(ScrolledScreen):
    """Help on the pane that has the room on the main screen, or on a screen over it."""

    NAME = "Help"

    def __init__(self, subject: Pane | OverScreen, chosen: Mapping[str, str]) -> None:
        """`chosen` are the keys that actions have instead of their own."""
        super().__init__()
        if isinstance(subject, OverScreen):
            self._lines = screen_lines(subject, chosen)
        else:
            self._lines = pane_lines(subject, chosen)

    def compose(self) -> ComposeResult:
        yield Static(" Help", id="title", markup=False)
        with VerticalScroll():
            yield Static(Content("\n").join(self._lines), markup=False)
        yield Footer(show_command_palette=False, compact=True)


def pane_lines(pane: Pane, chosen: Mapping[str, str]) -> list[Content]:
    """What a pane is, the verbs, and the keys that are none."""
    return [
        Content.styled(f"{pane.NUMBER} {pane.NAME}", STRONG),
        Content(pane.ABOUT),
        *section("Verbs, here and on the command line as magetui VERB", verb_lines(chosen)),
        *section("Keys", key_lines(pane.screen)),
    ]


def screen_lines(screen: OverScreen, chosen: Mapping[str, str]) -> list[Content]:
    """What a screen is, its keys, and the verbs of the main one."""
    return [
        Content.styled(screen.NAME, STRONG),
        Content(screen.ABOUT),
        *section("Keys", key_lines(screen)),
        *section("Verbs, on the main screen and on the command line as magetui VERB", verb_lines(chosen)),
    ]


def section(heading: str, lines: list[Content]) -> list[Content]:
    return [Content(""), Content.styled(heading, STRONG), *lines]


def verb_lines(chosen: Mapping[str, str]) -> list[Content]:
    """A line a verb: its key on the main screen, its command, what it does."""
    return [
        Content.assemble(
            (f"  {key_of(verb.name, chosen) if verb.key else '':<3}", STRONG),
            f"{verb.name:<10}",
            (verb.summary, QUIET),
        )
        for verb in VERBS
    ]


def key_lines(screen: Screen[Any]) -> list[Content]:
    """The keys that act on a screen as it is focused now; those that do the same thing share a line."""
    keys: dict[str, list[str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        said = binding.tooltip or binding.description
        is_verb = binding.id in VERB_IDS and not isinstance(screen, OverScreen)
        if active.enabled and said and binding.action not in UNSAID_ACTIONS and not is_verb:
            keys.setdefault(said, []).append(screen.app.get_key_display(binding))
    return [Content.assemble((f"  {' '.join(shown):<16}", STRONG), said) for said, shown in keys.items()]
