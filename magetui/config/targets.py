"""Named targets of the configuration, and which named target a database is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from magetui.engine.errors import ConnectError

if TYPE_CHECKING:
    from magetui.engine.target.selection import Selection

PRODUCTION = "PRODUCTION"


@dataclass(frozen=True, slots=True)
class NamedTarget:
    """One `[targets.NAME]` of a file; paths are absolute."""

    name: str
    file: str
    url: str | None = field(default=None, repr=False)
    password_command: tuple[str, ...] | None = field(default=None, repr=False)
    description: str | None = None
    production: bool = False
    colour: str | None = None
    project_path: str | None = None
    config: str | None = None
    section: str | None = None  # the section of alembic.ini
    mage_path: str | None = None
    python: str | None = None
    read_only: bool = False
    folder: str = "."  # relative SQLite paths start here

    @property
    def source(self) -> str:
        """Return where the URL of the target came from, for the operator."""
        return f"target {self.name} of {self.file}"

    @property
    def called(self) -> str:
        """Return the name to show, with the mark of production."""
        return f"{self.name}  {PRODUCTION}" if self.production else self.name

    def chosen(self, base: Selection) -> Selection:
        """Return `base` with the settings of this target. A setting that the target does not have stays."""
        names_project = any((self.project_path, self.config, self.mage_path, self.section))
        return replace(
            base,
            url=self.url,
            url_source=self.source,
            url_folder=self.folder,
            target=self.name,
            password=None,
            password_command=self.password_command,
            project_path=self.project_path or base.project_path,
            config=self.config if names_project else base.config,
            name=self.section if names_project else base.name,
            mage_path=self.mage_path if names_project else base.mage_path,
            python=self.python or base.python,
            python_source=self.source if self.python else base.python_source,
            read_only=self.read_only or base.read_only,
        )


def named_target(targets: Sequence[NamedTarget], selection: Selection, url: str | None) -> NamedTarget | None:
    """Return the target chosen by name, or a target whose URL leads to the same database as `url`, redacted or not.

    So a production database is recognized if the variables of Mage lead to it, or a target without the mark does.
    """
    if not targets:
        return None
    from pathlib import Path

    from magetui.engine.target.target import address, parse_target

    def leads_to(text: str, folder: str) -> tuple[object, ...] | None:
        try:
            return address(parse_target(text, "", Path(folder)).url)
        except ConnectError:
            return None  # an operator who chooses this target gets the error

    wanted = leads_to(url, ".") if url else None
    same = [
        target
        for target in targets
        if wanted is not None and target.url and leads_to(target.url, target.folder) == wanted
    ]
    production = next((target for target in same if target.production), None)
    chosen = next((target for target in targets if target.name == selection.target), None)
    if chosen is None:
        return production or (same[0] if same else None)
    return replace(chosen, production=chosen.production or production is not None)
