"""The project: where the migration scripts come from, an installed Mage or an `alembic.ini`."""

from __future__ import annotations

import configparser
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from magetui.engine.errors import ProjectError
from magetui.engine.mage import Mage, find_mage
from magetui.runner.request import Scripts

MAGE_MUTEX_KEY = 1  # what Mage itself passes to pg_advisory_lock when it starts
MAGE_VARIABLES = (
    "MAGE_DATABASE_CONNECTION_URL",
    "AWS_DB_SECRETS_NAME",
    "AZURE_SECRET_DB_CONN_URL",
    "DB_USER",
)


@dataclass(frozen=True, slots=True)
class Project:
    """Migration scripts and how to run them; `url` is what an alembic.ini says literally."""

    kind: Literal["mage", "alembic"]
    version: str | None  # of Mage
    location: Path  # mage_ai's folder, or the alembic.ini
    folder: Path  # where its scripts expect to be run
    scripts: Scripts
    found: str
    url: str | None = None

    @property
    def version_locations(self) -> tuple[Path, ...]:
        return tuple(Path(place) for place in self.scripts.version_locations)

    @property
    def mutex_key(self) -> int:
        """Mage's own key for Mage's chain; for others one of 63 bits made from the version table's name."""
        if self.kind == "mage":
            return MAGE_MUTEX_KEY
        name = f"magetui:{self.scripts.version_table_schema or ''}.{self.scripts.version_table}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1

    @property
    def name(self) -> str:
        return f"mage-ai {self.version or ''}".rstrip() if self.kind == "mage" else self.folder.name


def find_project(
    environment: Mapping[str, str],
    project_path: Path,
    config: str | None = None,
    mage_path: str | None = None,
    python: str | None = None,
) -> Project:
    """The project that flags name; else an alembic.ini in the folder, unless Mage's variables are set; else Mage.

    Raises `ProjectError` where there is none.
    """
    if config is not None:
        return alembic_project(Path(config))
    if not project_path.is_dir():
        raise ProjectError(f"--project-path {project_path} is not a folder.")
    ini = project_path / "alembic.ini"
    mage_meant = mage_path is not None or any(environment.get(name) for name in MAGE_VARIABLES)
    if ini.is_file() and not mage_meant:
        return alembic_project(ini)
    mage = find_mage(environment, mage_path, python)
    if mage is not None:
        return mage_project(mage, project_path)
    if ini.is_file():
        return alembic_project(ini)
    raise ProjectError(
        f"There are no migration scripts to look at: no alembic.ini in {project_path.resolve()}, and no installed Mage "
        "was found. Name one: --config path/to/alembic.ini, --mage-path path/to/site-packages, or --python the "
        "interpreter that Mage runs under."
    )


def mage_project(mage: Mage, project_path: Path) -> Project:
    return Project(
        kind="mage",
        version=mage.version,
        location=mage.package,
        folder=project_path.resolve(),
        scripts=Scripts(
            kind="mage",
            script_location=str(mage.migrations),
            version_locations=(str(mage.migrations / "versions"),),
            sys_path=(str(mage.package.parent),),
        ),
        found=mage.found,
    )


def alembic_project(ini: Path) -> Project:
    """A project by its alembic.ini, read as Alembic reads it but running nothing.

    Raises `ProjectError` where the file cannot be read or names no scripts.
    """
    ini = ini.resolve()
    parser = configparser.ConfigParser({"here": str(ini.parent).replace("%", "%%")})
    try:
        with ini.open(encoding="utf-8") as file:
            parser.read_file(file)
        section = dict(parser.items("alembic")) if parser.has_section("alembic") else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"The configuration {ini} cannot be read: {error}.") from error
    except configparser.Error as error:
        # Without the error's own text: it quotes the line, which may hold the URL's password.
        raise ProjectError(
            f"The configuration {ini} cannot be understood ({type(error).__name__}). "
            "A % in a value, such as in a URL, must be doubled."
        ) from error
    location = section.get("script_location")
    if not location:
        raise ProjectError(f"{ini} has no script_location in its [alembic] section.")
    folder = _script_folder(location, ini)
    if not folder.is_dir():
        raise ProjectError(f"{ini} says script_location = {location}, and there is no such folder: {folder}.")
    return Project(
        kind="alembic",
        version=None,
        location=ini,
        folder=ini.parent,
        scripts=Scripts(
            kind="alembic",
            script_location=str(folder),
            version_locations=tuple(str(place) for place in _version_folders(section, folder, ini)),
            config_file=str(ini),
        ),
        found=str(ini),
        url=section.get("sqlalchemy.url") or None,
    )


def _script_folder(location: str, ini: Path) -> Path:
    path = Path(location)
    return path if path.is_absolute() else ini.parent / path


def _version_folders(section: Mapping[str, str], folder: Path, ini: Path) -> list[Path]:
    listed = section.get("version_locations")
    if not listed:
        return [folder / "versions"]
    separator = {"os": os.pathsep, "space": None, "newline": "\n", ":": ":", ";": ";"}.get(
        section.get("path_separator", section.get("version_path_separator", "")), ""
    )
    parts = re.split(r"[,\s]+", listed) if separator == "" else listed.split(separator)
    return [_script_folder(part.strip(), ini) for part in parts if part.strip()]
