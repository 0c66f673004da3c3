"""Trust in a project's own code, which runs only after the operator has trusted the project.

Somebody who looks at a database in the folder of a stranger does not expect that the stranger's code runs. So nothing
of a project runs before it was trusted: no interpreter in its folder, no env.py, no script. Trust is remembered by the
folder, and by the owner and the content of the files that say which code runs. If one of them changes, the operator is
asked again. The scripts themselves change with every deploy: whoever trusts the project trusts them too.

Mage's chain needs no such trust: its code is in the environment that the operator has chosen for Mage.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.directories import state_directory
from magetui.engine.project.interpreter import environments
from magetui.protocol.private_files import read_document, write_document

if TYPE_CHECKING:
    from magetui.engine.project.project import Project

FILE = "trusted.json"
FORMAT = 1
MOST = 500  # projects
HOW_TO_TRUST = "answer yes when magetui asks in a terminal, or add --trust"


@dataclass(frozen=True, slots=True)
class CodeFile:
    """A file that says which code runs. `digest` is of its content and its owner."""

    path: str
    digest: str
    stranger: str | None  # another user who can change it: 'it belongs to bob'


@dataclass(frozen=True, slots=True)
class ProjectCode:
    """The code of a project that is not trusted. `changed` are the files that have changed since it was trusted."""

    folder: str
    files: tuple[CodeFile, ...]
    changed: tuple[str, ...] = ()

    @property
    def strangers(self) -> tuple[str, ...]:
        """Return a sentence's end for each file that another user can change: '/x/env.py: it belongs to bob'."""
        return tuple(f"{file.path}: {file.stranger}" for file in self.files if file.stranger is not None)


def untrusted_code(project: Project, environment: Mapping[str, str]) -> ProjectCode | None:
    """Return the code of the project if it was not trusted as it is now, else None."""
    if project.kind == "mage":
        return None
    files = tuple(_code_files(project, environment))
    known = _trusted(environment).get(str(project.folder))
    found = {file.path: file.digest for file in files}
    if known == found:
        return None
    changed = () if known is None else tuple(path for path in {**found, **known} if known.get(path) != found.get(path))
    return ProjectCode(str(project.folder), files, changed)


def trust(code: ProjectCode, environment: Mapping[str, str]) -> None:
    """Remember that the project's code is trusted as it is now. Raises `OSError` if that cannot be written."""
    from magetui.protocol.journal import now

    others = {folder: files for folder, files in _trusted(environment).items() if folder != code.folder}
    trusted = {**others, code.folder: {file.path: file.digest for file in code.files}}
    projects = [{"folder": folder, "files": files} for folder, files in trusted.items()][-MOST:]
    document = {"format": FORMAT, "written": now(), "projects": projects}
    write_document(state_directory(environment) / FILE, document)


def _trusted(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the files and digests of each trusted project. What cannot be read, or is not ours, trusts nothing."""
    try:
        document = read_document(state_directory(environment) / FILE)
        if document["format"] != FORMAT:
            return {}
        return {str(project["folder"]): dict(project["files"]) for project in document["projects"]}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _code_files(project: Project, environment: Mapping[str, str]) -> Iterator[CodeFile]:
    folder = project.folder.resolve()
    yield _code_file(project.location, folder)
    yield _code_file(Path(project.scripts.script_location) / "env.py", folder)
    for location in dict.fromkeys((str(project.folder), *project.scripts.version_locations)):
        yield _code_file(Path(location), folder)
    for home, _why in environments(environment, project.folder):
        named = (home / "pyvenv.cfg", home / "bin" / "python")
        yield from (_code_file(path, folder) for path in named if path.exists())


def _code_file(path: Path, folder: Path) -> CodeFile:
    """Return what is known about a file. Of a link, as an interpreter often is, the file that it leads to counts.

    The system's interpreter is large, and not the project's: a file outside of the folder is known by its size and the
    time of its last change.
    """
    try:
        real = path.resolve()
        found = real.stat()
        content = f"{found.st_size} {found.st_mtime_ns}"
        if stat.S_ISDIR(found.st_mode):
            content = ""
        elif real.is_relative_to(folder):
            content = hashlib.sha256(real.read_bytes()).hexdigest()
    except (OSError, RuntimeError) as error:
        return CodeFile(str(path), f"unreadable: {type(error).__name__}", None)
    digest = hashlib.sha256(f"{real}\n{found.st_uid}\n{content}".encode(errors="surrogateescape")).hexdigest()
    return CodeFile(str(path), digest, _stranger(found))


def _stranger(found: os.stat_result) -> str | None:
    if found.st_uid not in (0, os.geteuid()):
        name = str(found.st_uid)
        with suppress(KeyError):  # a container's users often have no name
            name = pwd.getpwuid(found.st_uid).pw_name
        return f"it belongs to {name}"
    return "every user can write there" if found.st_mode & stat.S_IWOTH else None
