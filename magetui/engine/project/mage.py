"""The installed Mage AI, found without importing it.

Mage pins its dependencies so strictly that this program has an environment of its own. It searches for Mage as the
shell would: here, in `$VIRTUAL_ENV`, behind the `mage` launcher on PATH, or at the path of a flag.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from magetui.engine.errors import ProjectError
from magetui.engine.project.interpreter import ask

MIGRATIONS = Path("orchestration", "db", "migrations")
# Asked under the named interpreter: which folder would `import mage_ai` load?
QUESTION = "import importlib.util as u; s = u.find_spec('mage_ai'); print(s.submodule_search_locations[0] if s else '')"


@dataclass(frozen=True, slots=True)
class Mage:
    """An installed Mage: its package folder, its version, and how it was found."""

    package: Path  # …/site-packages/mage_ai
    version: str | None
    found: str

    @property
    def migrations(self) -> Path:
        return self.package / MIGRATIONS


def find_mage(environment: Mapping[str, str], mage_path: str | None, python: str | None) -> Mage | None:
    """Return the Mage of a flag, else here, in `$VIRTUAL_ENV` or behind `mage` on PATH. Raises `ProjectError`."""
    if mage_path is not None:
        path = Path(mage_path)
        for folder in (path.resolve(), path.resolve() / "mage_ai"):
            if mage := _installed(folder, f"--mage-path {path}"):
                return mage
        raise ProjectError(
            f"--mage-path {path} has no Mage: there is no {MIGRATIONS / 'versions'} in it or in its mage_ai."
        )
    if python is not None:
        package = _mage_package(python)
        return None if package is None else _installed(package, f"--python {python}")
    spec = importlib.util.find_spec("mage_ai")
    if spec is not None and spec.submodule_search_locations:
        return _installed(Path(next(iter(spec.submodule_search_locations))), "this environment")
    candidates = []
    if virtual := environment.get("VIRTUAL_ENV"):
        candidates.append((str(Path(virtual, "bin", "python")), "$VIRTUAL_ENV"))
    launcher = shutil.which("mage", path=environment.get("PATH"))
    if launcher and (interpreter := _interpreter_of(Path(launcher))):
        candidates.append((interpreter, f"the launcher {launcher}"))
    for interpreter, found in candidates:
        if os.access(interpreter, os.X_OK) and (package := _mage_package(interpreter)):
            return _installed(package, found)
    return None


def _installed(package: Path, found: str) -> Mage | None:
    if not (package / MIGRATIONS / "versions").is_dir():
        return None
    return Mage(package=package, version=_version_of(package), found=found)


def _version_of(package: Path) -> str | None:
    for metadata in sorted(package.parent.glob("mage_ai-*.dist-info")):
        return metadata.name.removeprefix("mage_ai-").removesuffix(".dist-info")
    constants = package / "server" / "constants.py"
    if constants.is_file():
        match = re.search(r"^VERSION\s*=\s*['\"]([^'\"]+)", constants.read_text(errors="replace"), re.MULTILINE)
        return match[1] if match else None
    return None


def _interpreter_of(launcher: Path) -> str | None:
    """Return the interpreter in a launcher's first line: `#!/path/python`, or the shell command for long paths."""
    with launcher.open("rb") as file:
        head = file.read(1024).decode(errors="replace")
    if through_env := re.match(r"#!\s*/usr/bin/env\s+(\S*python\S*)", head):
        return shutil.which(through_env[1])
    match = re.match(r"#!\s*(\S*python\S*)", head) or re.match(r"#!/bin/sh\n'''exec' \"?([^\"\s]+)\"?", head)
    return match[1] if match else None


def _mage_package(python: str) -> Path | None:
    try:
        folder = ask(python, QUESTION)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProjectError(f"The interpreter {python} could not be asked for Mage: {error}.") from error
    return Path(folder) if folder else None
