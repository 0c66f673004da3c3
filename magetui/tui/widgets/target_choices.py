"""The databases that the connect screen offers: the initial one, the named targets, the recent ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.config.targets import named_target
from magetui.text import formats
from magetui.tui.theme import PRODUCTION, QUIET, STRONG
from magetui.tui.widgets.rows import Row, fitted

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget
    from magetui.engine.target.selection import Selection

START = "start"
INITIAL, SCHEMAS, NAMED, RECENT = (
    "Initial database",
    "Other schemas of this database",
    "Named in the configuration",
    "Recent",
)
VERSIONED = "has a version table"
MARK = "■"
PRODUCTION_WIDTH = len("PRODUCTION") + 2


@dataclass(frozen=True, slots=True)
class Choice:
    """A database to connect to: what its row shows, and the selection that it stands for."""

    key: str
    heading: str
    selection: Selection
    name: str = ""
    label: str = ""
    about: str = ""
    production: bool = False
    colour: str | None = None
    file: str = ""  # the configuration file that names it; this may be a file of the project

    @property
    def description(self) -> str:
        """Every fact about the choice. Its row may have no room for all of them."""
        selection = self.selection
        project = selection.config or (selection.project_path if selection.project_path not in (None, ".") else None)
        facts = (
            self.label,
            self.about,
            "password printed by its password_command" if selection.password_command else "",
            f"project {project}" if project else "",
            f"named in {self.file}" if self.file else "",
        )
        return "; ".join(fact for fact in facts if fact)

    @property
    def search(self) -> str:
        return " ".join((self.name, "PRODUCTION" if self.production else "", self.label, self.about))


def choices_of(
    start: Selection, base: Selection, start_label: str, targets: Sequence[NamedTarget], environment: Mapping[str, str]
) -> list[Choice]:
    """Return every choice in the order of the screen. What a target does not set is taken from `base`.

    `start_label` is empty if the initial database is not known yet.
    """
    from magetui.engine.target.recents import recent_targets
    from magetui.protocol.redaction import redact_url

    if start.target is not None:  # it is one of the named targets
        start, start_label = base, ""
    about = f"from {start.url_source}" if start.url is not None else "from the environment or the project"
    choices = [Choice(START, INITIAL, start, "", start_label or "the database", about)]
    seen = {start_label}
    for target in targets:
        project = formats.plain(f"as {target.config or target.project_path} says")
        label = formats.place(redact_url(target.url)) if target.url else project
        selection = target.chosen(base)
        key, described = f"named {target.name}", formats.plain(target.description or "")
        production = _is_production(targets, selection)
        choices.append(
            Choice(key, NAMED, selection, target.name, label, described, production, target.colour, target.file)
        )
        seen.add(label)
    for number, recent in enumerate(recent_targets(environment)):
        label = formats.place(redact_url(recent.url))
        if label not in seen:
            used = formats.plain(f"{formats.local_time(recent.at)}, from {recent.source}")
            selection = recent.chosen(base)
            production = _is_production(targets, selection)
            choices.append(Choice(f"recent {number}", RECENT, selection, "", label, used, production))
    return choices


def schema_choices(selection: Selection, schemas: Sequence[str]) -> list[Choice]:
    """Return a choice for each other schema of the present database that has a version table."""
    source = f"{selection.url_source}, the schema from the connect screen"
    return [
        Choice(
            f"schema {name}",
            SCHEMAS,
            replace(selection, schema=name, url_source=source),
            "",
            f"schema {formats.plain(name)}",
            VERSIONED,
        )
        for name in schemas
    ]


def _is_production(targets: Sequence[NamedTarget], selection: Selection) -> bool:
    named = named_target(targets, selection, selection.url)
    return named is not None and named.production


def choice_rows(choices: Sequence[Choice], width: int, states: Mapping[str, tuple[str, str]]) -> list[Row]:
    """Return a row for each choice. The rows with a name have aligned columns.

    `states` are the states of the databases that were read, by the key of the choice, each with its style.
    """
    named = [choice for choice in choices if choice.name]
    name_width = max((len(choice.name) for choice in named), default=0) + 2
    mark_width = PRODUCTION_WIDTH if any(choice.production for choice in named) else 0
    label_width = max((len(choice.label) for choice in named), default=0) + 2
    state_width = max((len(state) for state, _style in states.values()), default=0) + 2 if states else 0
    rows = []
    for choice in choices:
        state, style = states.get(choice.key, ("", ""))
        shown = (fitted(state, state_width), style)
        if choice.name:
            content = Content.assemble(
                (f"{MARK} ", f"ansi_{choice.colour}") if choice.colour else "  ",
                (fitted(choice.name, name_width), STRONG),
                ("PRODUCTION", PRODUCTION) if choice.production else fitted("", mark_width and len("PRODUCTION")),
                "  " if mark_width else "",
                shown,
                fitted(choice.label, label_width),
                (choice.about, QUIET),
            )
        else:
            mark = ("PRODUCTION", PRODUCTION) if choice.production else ""
            content = Content.assemble(
                "  ", shown, choice.label, "  ", mark, "  " if mark else "", (choice.about, QUIET)
            )
        rows.append(Row(choice.key, content.truncate(width, ellipsis=True), choice.search))
    return rows
