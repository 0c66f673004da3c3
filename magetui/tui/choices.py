"""What the connect screen offers: the database of the start, named targets, recent ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.tui.rows import Row, fitted
from magetui.tui.theme import PRODUCTION, QUIET, STRONG

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget
    from magetui.engine.selection import Selection

START = "start"
MARK, NAME, PLACE = "■", 20, 34
PRODUCTION_WIDTH = len("PRODUCTION") + 2


@dataclass(frozen=True, slots=True)
class Choice:
    """A database to connect to: how it is shown, and what choosing it means."""

    key: str
    heading: str
    selection: Selection
    name: str = ""
    place: str = ""
    about: str = ""
    production: bool = False
    colour: str | None = None

    @property
    def search(self) -> str:
        return " ".join((self.name, "PRODUCTION" if self.production else "", self.place, self.about))


def choices_of(
    start: Selection,
    base: Selection,
    start_place: str,
    targets: Sequence[NamedTarget],
    environment: Mapping[str, str],
) -> list[Choice]:
    """All there are, in the order they are shown; what they leave unsaid is as in `base`.

    `start_place` is empty where the database of the start is not known.
    """
    from magetui import words
    from magetui.engine.recents import recent_targets
    from magetui.runner.redaction import redact_url
    from magetui.tui.panes.log import local_time

    if start.target is None:
        source = start.url_source if start.url is not None else "the environment or the project"
    else:
        source = f"target {start.target}"
    found = [Choice(START, "at the start", start, "as at the start", start_place, f"from {source}")]
    seen = {start_place}
    for target in targets:
        url = words.place(redact_url(target.url)) if target.url else f"as {target.config or target.project_path} says"
        selection = target.chosen(base)
        about = target.description or ""
        found.append(
            Choice(
                f"named {target.name}", "named", selection, target.name, url, about, target.production, target.colour
            )
        )
        seen.add(url)
    for number, recent in enumerate(recent_targets(environment)):
        place = words.place(redact_url(recent.url))
        if place not in seen:
            about = f"{local_time(recent.at)}, from {recent.source}"
            found.append(Choice(f"recent {number}", "recent", recent.chosen(base), "", place, words.plain(about)))
    return found


def choice_rows(choices: Sequence[Choice], width: int) -> list[Row]:
    """A row a choice, in columns that are as wide as what is in them needs, as far as there is room."""
    name_width = min(NAME, max(len(choice.name) for choice in choices) + 2)
    mark_width = PRODUCTION_WIDTH if any(choice.production for choice in choices) else 0
    longest = max(len(choice.place) for choice in choices) + 2
    place_width = min(longest, max(PLACE, width - 2 - name_width - mark_width - 40))
    rows = []
    for choice in choices:
        content = Content.assemble(
            (f"{MARK} ", f"ansi_{choice.colour}") if choice.colour else "  ",
            (fitted(choice.name, name_width), STRONG),
            (("PRODUCTION", PRODUCTION) if choice.production else fitted("", 10)) if mark_width else "",
            "  " if mark_width else "",
            fitted(choice.place, place_width),
            (fitted(choice.about, max(0, width - 2 - name_width - mark_width - place_width)), QUIET),
        )
        rows.append(Row(choice.key, content, choice.search))
    return rows
