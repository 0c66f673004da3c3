"""The help screen: the focused pane or screen, the verbs, and every key that acts there, read from the bindings.

A verb's key is listed with the verb, and not a second time among the keys.
"""

from __future__ import annotations

from typing import Any

from textual.content import Content
from textual.screen import Screen

from magetui.tui.panes.base import Pane
from magetui.tui.screens.base import OverScreen, TextScreen
from magetui.tui.shell import Shell, shell_of
from magetui.tui.theme import QUIET, STRONG
from magetui.verbs import VERBS

VERB_IDS = frozenset(verb.name for verb in VERBS if verb.key is not None)
# Textual's own bindings that the help leaves out.
SIDEWAYS = {"scroll_left", "scroll_right", "page_left", "page_right"}
HIDDEN_ACTIONS = {*SIDEWAYS, "copy_text", "screen.copy_text", "help_quit", "app.focus_previous"}


class HelpScreen(TextScreen):
    """Help on the unfolded pane of the main screen, or on a screen over it."""

    NAME = "Help"

    def __init__(self, subject: Pane | OverScreen) -> None:
        super().__init__("Help", Content("\n").join(help_lines(subject)))


def help_lines(subject: Pane | OverScreen) -> list[Content]:
    """Return the description of a pane or screen, its keys, and the verbs of the main screen."""
    verbs, keys = verb_lines(shell_of(subject)), section("Keys", key_lines(subject.screen))
    if isinstance(subject, OverScreen):  # no verb's key acts here, so the screen's own keys come first
        heading, where = subject.NAME, "on the main screen and on the command line"
        parts = [*keys, *section(f"Verbs, {where} as magetui VERB", verbs)]
    else:
        heading, where = f"{subject.NUMBER} {subject.NAME}", "here and on the command line"
        parts = [*section(f"Verbs, {where} as magetui VERB", verbs), *keys]
    return [Content.styled(heading, STRONG), Content(subject.ABOUT), *parts]


def section(heading: str, lines: list[Content]) -> list[Content]:
    return [Content(""), Content.styled(heading, STRONG), *lines]


def verb_lines(shell: Shell) -> list[Content]:
    """Return a line for each verb: its key on the main screen, its command, its summary."""
    return [
        Content.assemble(
            (f"  {shell.key_of(verb.name) if verb.key else '':<3}", STRONG), f"{verb.name:<10}", (verb.summary, QUIET)
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
