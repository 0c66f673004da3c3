"""What the connect screen offers: the database of the start, named targets, recent ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.config.targets import named_target
from magetui.tui.theme import PRODUCTION, QUIET, STRONG
from magetui.tui.widgets.rows import Row, fitted

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget
    from magetui.engine.target.selection import Selection

START = "start"
MARK = "■"
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
    file: str = ""  # that names it: it may be one that came with the project

    @property
    def told(self) -> str:
        """All there is to say of it; its row may have no room for that."""
        chosen = self.selection
        project = chosen.config or (chosen.project_path if chosen.project_path not in (None, ".") else None)
        said = (
            self.place,
            self.about,
            "its password is what its password_command prints" if chosen.password_command else "",
            f"project {project}" if project else "",
            f"named in {self.file}" if self.file else "",
        )
        return "; ".join(part for part in said if part)

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

    `start_place` is empty where it is not known which database that is.
    """
    from magetui.engine.target.recents import recent_targets
    from magetui.protocol.redaction import redact_url
    from magetui.text import formats

    if start.target is not None:  # which is among the named ones
        start, start_place = base, ""
    about = f"from {start.url_source}" if start.url is not None else "from the environment or the project"
    found = [Choice(START, "at the start", start, "", start_place or "the database", about)]
    seen = {start_place}
    for target in targets:
        project = formats.plain(f"as {target.config or target.project_path} says")
        place = formats.place(redact_url(target.url)) if target.url else project
        selection = target.chosen(base)
        key, described = f"named {target.name}", formats.plain(target.description or "")
        production = _is_production(targets, selection)
        found.append(
            Choice(key, "named", selection, target.name, place, described, production, target.colour, target.file)
        )
        seen.add(place)
    for number, recent in enumerate(recent_targets(environment)):
        place = formats.place(redact_url(recent.url))
        if place not in seen:
            said = formats.plain(f"{formats.local_time(recent.at)}, from {recent.source}")
            selection = recent.chosen(base)
            production = _is_production(targets, selection)
            found.append(Choice(f"recent {number}", "recent", selection, "", place, said, production))
    return found


def _is_production(targets: Sequence[NamedTarget], selection: Selection) -> bool:
    named = named_target(targets, selection, selection.url)
    return named is not None and named.production


def choice_rows(choices: Sequence[Choice], width: int) -> list[Row]:
    """A row a choice; those with a name have columns that are as wide as what is in them needs."""
    named = [choice for choice in choices if choice.name]
    name_width = max((len(choice.name) for choice in named), default=0) + 2
    mark_width = PRODUCTION_WIDTH if any(choice.production for choice in named) else 0
    place_width = max((len(choice.place) for choice in named), default=0) + 2
    rows = []
    for choice in choices:
        if choice.name:
            content = Content.assemble(
                (f"{MARK} ", f"ansi_{choice.colour}") if choice.colour else "  ",
                (fitted(choice.name, name_width), STRONG),
                ("PRODUCTION", PRODUCTION) if choice.production else fitted("", mark_width and len("PRODUCTION")),
                "  " if mark_width else "",
                fitted(choice.place, place_width),
                (choice.about, QUIET),
            )
        else:
            mark = ("PRODUCTION", PRODUCTION) if choice.production else ""
            content = Content.assemble("  ", choice.place, "  ", mark, "  " if mark else "", (choice.about, QUIET))
        rows.append(Row(choice.key, content.truncate(width, ellipsis=True), choice.search))
    return rows
