"""The command palette: every verb of the registry that has an action on the screen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from magetui.verbs import VERBS

if TYPE_CHECKING:
    from magetui.tui.app import MagetuiApp

EXTRAS = (
    ("Connect to another database", "connect", "type a database's URL"),
    ("Read everything anew", "refresh", "diagnose again, and read the scripts and the tables"),
    ("Help", "help", "what has the focus, and every key"),
    ("Quit", "quit", "leave; a run goes on by itself"),
)


class VerbCommands(Provider):
    """Verbs and the few things beside them."""

    def _all(self) -> list[tuple[str, str, Callable[[], object]]]:
        app = cast("MagetuiApp", self.app)
        commands: list[tuple[str, str, Callable[[], object]]] = [
            (
                f"{verb.title}  ({verb.key})",
                verb.summary,
                partial(app.run_action, f"app.{app.action_of(verb)}"),
            )
            for verb in VERBS
            if verb.key is not None
        ]
        return commands + [(title, about, partial(app.run_action, f"app.{action}")) for title, action, about in EXTRAS]

    async def discover(self) -> Hits:
        for title, about, command in self._all():
            yield DiscoveryHit(title, command, help=about)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for title, about, command in self._all():
            score = max(matcher.match(title), matcher.match(about))
            if score > 0:
                yield Hit(score, matcher.highlight(title), command, help=about)
