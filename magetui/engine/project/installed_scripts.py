"""A revision's script in the packages that are installed for the project's interpreter, found for a limited time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from magetui.engine.revisions.headers import Revision, read_script

LIMIT_SECONDS = 2.0
SCRIPTS_FOLDER = "versions"  # as Alembic names it


@dataclass(frozen=True, slots=True)
class InstalledScript:
    package: str
    file: Path

    @property
    def sentence(self) -> str:
        return f"The installed package {self.package} has it: {self.file}."


def find_installed(python: str, revision: str) -> InstalledScript | None:
    """Return the script that declares the revision; None if there is none, or if the search takes too long."""
    until = time.monotonic() + LIMIT_SECONDS
    for site in sorted(Path(python).parent.parent.glob("lib/python*/site-packages")):
        for file in _scripts(site, until):
            header = None
            with suppress(OSError):  # a dangling link, or a file of somebody else
                header = read_script(file) if revision.encode() in file.read_bytes() else None
            if isinstance(header, Revision) and header.revision == revision:
                return InstalledScript(file.relative_to(site).parts[0], file)
    return None


def _scripts(site: Path, until: float) -> Iterator[Path]:
    for folder, _folders, files in os.walk(site):
        if time.monotonic() > until:
            return
        if Path(folder).name == SCRIPTS_FOLDER:
            yield from (Path(folder, name) for name in files if name.endswith(".py"))
