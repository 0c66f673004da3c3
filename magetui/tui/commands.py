"""The command palette: every verb of the registry that has a key on the screen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from magetui.tui.keys import action_of
from magetui.tui.screens.main import MainScreen
from magetui.tui.shell import Shell
from magetui.verbs import VERBS

EXTRAS = (
    ("Connect to another database", "connect", "by its name, or its URL"),
    ("Help", "help", "what has the focus, and every key"),
    ("Quit", "quit", "leave; a run goes on by itself"),
)


class VerbCommands(Provider):
    """Verbs and the few things beside them; over another screen, only what belongs everywhere."""

    def _all(self) -> list[tuple[str, str, Callable[[], object]]]:
        key_of = cast("Shell", self.app).key_of
        verbs = [
            (f"{verb.title}  ({key_of(verb.name)})", action_of(verb), verb.summary)
            for verb in VERBS
            if verb.key is not None
        ]
        extras = [(f"{title}  ({key_of(action)})", f"app.{action}", about) for title, action, about in EXTRAS]
        everything = [*verbs, *extras] if isinstance(self.screen, MainScreen) else extras[1:]
        return [(title, about, partial(self.app.run_action, action)) for title, action, about in everything]

    async def discover(self) -> Hits:
        for title, about, command in self._all():
            yield DiscoveryHit(title, command, help=about)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, about, command in self._all():
            score = max(matcher.match(title), matcher.match(about))
            if score > 0:
                yield Hit(score, matcher.highlight(title), command, help=about)
