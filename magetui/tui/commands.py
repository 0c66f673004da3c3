"""The command palette: every verb that has a key on the screen, and three commands of the screen itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from magetui.tui.screens.main import MainScreen
from magetui.tui.verb_keys import action_of
from magetui.verbs import VERBS

if TYPE_CHECKING:
    from magetui.tui.shell import Shell

EXTRAS = (
    ("Connect to another database", "connect", "by its name or its URL"),
    ("Change the theme", "change_theme", "choose the colours; the setting 'theme' keeps the choice"),
    ("Help", "help", "show the help of this screen and its keys"),
    ("Quit", "quit", "close magetui; a run continues"),
)


class VerbCommands(Provider):
    """Offer the verbs and the extra commands. Over another screen, offer only help and quit."""

    def _commands(self) -> list[tuple[str, str, Callable[[], object]]]:
        key_of = cast("Shell", self.app).key_of
        verbs = [
            (f"{verb.label}  ({key_of(verb.name)})", action_of(verb), verb.summary)
            for verb in VERBS
            if verb.key is not None
        ]
        extras = [(f"{title}  ({key_of(action)})", f"app.{action}", about) for title, action, about in EXTRAS]
        commands = [*verbs, *extras] if isinstance(self.screen, MainScreen) else extras[1:]
        return [(title, about, partial(self.app.run_action, action)) for title, action, about in commands]

    async def discover(self) -> Hits:
        for title, about, command in self._commands():
            yield DiscoveryHit(title, command, help=about)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, about, command in self._commands():
            score = max(matcher.match(title), matcher.match(about))
            if score > 0:
                yield Hit(score, matcher.highlight(title), command, help=about)
