"""The command palette: every verb that has a key on the screen, three commands of the screen itself, and everything
that has a screen of its own: tables, revisions, runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.screen import Screen

from magetui.config.keys import ACTIONS
from magetui.text import formats
from magetui.tui.panes.log import LogPane
from magetui.tui.panes.schema import SchemaPane
from magetui.tui.screens.main import MainScreen
from magetui.tui.verb_keys import action_of
from magetui.verbs import VERBS

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.revisions.headers import Revision
    from magetui.model.schema import Table
    from magetui.tui.shell import Shell

LEAST_SCORE, BELOW_COMMANDS = 0.1, 0.1
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
        extras = [
            (f"{title}  ({key_of(action)})" if action in ACTIONS else title, f"app.{action}", about)
            for title, action, about in EXTRAS
        ]
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


class FoundObjects(Provider):
    """Find the tables, revisions and runs that the main screen lists, and open their screens."""

    def _objects(self) -> Iterator[tuple[str, str, Callable[[], Screen[None]]]]:
        """Yield the title of each object, what it is, and a function that makes its screen."""
        main, chain = self.screen, cast("Shell", self.app).chain
        if not isinstance(main, MainScreen):
            return
        for table in main.query_one(SchemaPane).tables:
            facts = ", ".join(part for part in (formats.rows(table.rows), formats.size(table.bytes)) if part)
            yield f"Table {formats.plain(table.name)}", facts, partial(_table_screen, table)
        if chain is not None:
            for revision in chain.revisions:
                title = f"Revision {formats.plain(revision.revision)}"
                yield title, formats.plain(revision.message), partial(_revision_screen, revision, chain)
        for number, text in main.query_one(LogPane).runs:
            yield f"Run {number}", text, partial(_run_screen, number)

    async def search(self, query: str) -> Hits:
        """Find the objects that have each word of the query. Commands come first: their names are few and known."""
        matcher, words = self.matcher(query), query.lower().split()
        for title, about, make in self._objects():
            text = f"{title} {about}".lower()
            if all(word in text for word in words):
                score = max(matcher.match(title), matcher.match(about), LEAST_SCORE)
                yield Hit(score * BELOW_COMMANDS, matcher.highlight(title), partial(self._open, make), help=about)

    def _open(self, make: Callable[[], Screen[None]]) -> None:
        self.app.push_screen(make())


# The screens are imported when one is opened: the palette must not delay the first paint.


def _table_screen(table: Table) -> Screen[None]:
    from magetui.tui.screens.table import TableScreen

    return TableScreen(table)


def _revision_screen(revision: Revision, chain: Chain) -> Screen[None]:
    from magetui.tui.screens.revision import RevisionScreen

    return RevisionScreen(revision, chain)


def _run_screen(number: int) -> Screen[None]:
    from magetui.tui.screens.run import RunScreen

    return RunScreen(number)
