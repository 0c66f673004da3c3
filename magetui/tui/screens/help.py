"""The help screen: the focused pane or screen, the verbs, and every key that acts there, read from the bindings.

Nothing needs to be kept up to date beside the bindings. A verb's key is listed with the verb, and not a second time
among the keys. On a screen over the main one, no verb's key acts, so the screen's own keys come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content
from textual.screen import Screen

from magetui.tui.keys import key_of
from magetui.tui.screens.base import OverScreen
from magetui.tui.screens.text import TextScreen
from magetui.tui.theme import QUIET, STRONG
from magetui.verbs import VERBS

if TYPE_CHECKING:
    from magetui.tui.panes.base import Pane

VERB_IDS = frozenset(verb.name for verb in VERBS if verb.key is not None)
# Textual's own bindings that the help leaves out.
HIDDEN_ACTIONS = frozenset(
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


class HelpScreen(TextScreen):
    """Help on the unfolded pane of the main screen, or on a screen over it."""

    NAME = "Help"

    def __init__(self, subject: Pane | OverScreen, chosen: Mapping[str, str]) -> None:
        """`chosen` are the keys that the operator has assigned to actions."""
        lines = screen_lines(subject, chosen) if isinstance(subject, OverScreen) else pane_lines(subject, chosen)
        super().__init__("Help", Content("\n").join(lines))


def pane_lines(pane: Pane, chosen: Mapping[str, str]) -> list[Content]:
    """Return the help on a pane: its description, the verbs, and the other keys."""
    return [
        Content.styled(f"{pane.NUMBER} {pane.NAME}", STRONG),
        Content(pane.ABOUT),
        *section("Verbs, here and on the command line as magetui VERB", verb_lines(chosen)),
        *section("Keys", key_lines(pane.screen)),
    ]


def screen_lines(screen: OverScreen, chosen: Mapping[str, str]) -> list[Content]:
    """Return the help on a screen: its description, its keys, and the verbs of the main screen."""
    return [
        Content.styled(screen.NAME, STRONG),
        Content(screen.ABOUT),
        *section("Keys", key_lines(screen)),
        *section("Verbs, on the main screen and on the command line as magetui VERB", verb_lines(chosen)),
    ]


def section(heading: str, lines: list[Content]) -> list[Content]:
    return [Content(""), Content.styled(heading, STRONG), *lines]


def verb_lines(chosen: Mapping[str, str]) -> list[Content]:
    """Return a line for each verb: its key on the main screen, its command, its summary."""
    return [
        Content.assemble(
            (f"  {key_of(verb.name, chosen) if verb.key else '':<3}", STRONG),
            f"{verb.name:<10}",
            (verb.summary, QUIET),
        )
        for verb in VERBS
    ]


def key_lines(screen: Screen[Any]) -> list[Content]:
    """Return the keys that act on a screen with its present focus. Keys with the same effect share a line."""
    keys: dict[str, list[str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        effect = binding.tooltip or binding.description
        is_verb = binding.id in VERB_IDS and not isinstance(screen, OverScreen)
        if active.enabled and effect and binding.action not in HIDDEN_ACTIONS and not is_verb:
            keys.setdefault(effect, []).append(screen.app.get_key_display(binding))
    return [Content.assemble((f"  {' '.join(shown):<16}", STRONG), effect) for effect, shown in keys.items()]
