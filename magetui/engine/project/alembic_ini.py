"""What a project's `alembic.ini` and `pyproject.toml` say, read as Alembic reads them but running nothing."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from magetui.engine.errors import ProjectError
from magetui.engine.project.toml import read_toml

MAIN_SECTION = "alembic"
TRUE = ("1", "yes", "true", "on")


@dataclass(frozen=True, slots=True)
class AlembicFiles:
    """Where the scripts are, by which files; `url` is what an alembic.ini says literally."""

    ini: Path | None
    toml: Path | None
    section: str
    script_folder: Path
    version_folders: tuple[Path, ...]
    prepended: tuple[str, ...] = ()
    url: str | None = field(default=None, repr=False)
    url_place: str = ""
    databases: tuple[str, ...] = ()  # the sections that `databases` names, as Alembic's multidb template has it


def read_alembic_files(file: Path, name: str | None = None) -> AlembicFiles:
    """What the file says, an alembic.ini or a pyproject.toml, and the other one beside it.

    `name` is a section of the alembic.ini: one for Alembic itself, or one that only names a database. Raises
    `ProjectError` where a file cannot be read, names no scripts, or has no such section.
    """
    folder = file.resolve().parent
    toml, ini = folder / "pyproject.toml", folder / "alembic.ini"
    if file.suffix == ".toml":
        toml = file.resolve()
    else:
        ini = file.resolve()
    sections = _ini_sections(ini) if ini.is_file() or file.suffix != ".toml" else {}
    options = _toml_options(toml) if toml.is_file() or file.suffix == ".toml" else {}
    section = _section(sections, name, ini)
    said = {**options, **sections.get(section, {})}
    location = said.get("script_location")
    where = toml if file.suffix == ".toml" else ini
    if not location:
        kind = "[tool.alembic] table" if where == toml else f"[{section}] section"
        raise ProjectError(f"{where} has no script_location in its {kind}.")
    prepended = tuple(_listed(said, "prepend_sys_path", r"[,\s:]+"))
    script_folder = _script_folder(str(location), folder, prepended)
    if not script_folder.is_dir():
        raise ProjectError(f"{where} says script_location = {location}, and there is no such folder: {script_folder}.")
    url, place = _url(sections, section, name, ini)
    return AlembicFiles(
        ini=ini if sections or not options else None,
        toml=toml if options else None,
        section=section,
        script_folder=script_folder,
        version_folders=tuple(_version_folders(said, script_folder, folder)),
        prepended=tuple(str(_absolute(one, folder)) for one in prepended),
        url=url,
        url_place=place,
        databases=tuple(_listed(said, "databases", r"[,\s]+")),
    )


def _ini_sections(ini: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser({"here": str(ini.parent).replace("%", "%%")})
    try:
        with ini.open(encoding="utf-8") as file:
            parser.read_file(file)
        # The sections for logging have percent signs of their own.
        wanted = [name for name in parser.sections() if _matters(parser[name])]
        return {name: dict(parser.items(name)) for name in wanted}
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"The configuration {ini} cannot be read: {error}.") from error
    except configparser.Error as error:
        # Without the error's own text: it quotes the line, which may hold the URL's password.
        raise ProjectError(
            f"The configuration {ini} cannot be understood ({type(error).__name__}). "
            "A % in a value, such as in a URL, must be doubled."
        ) from error


def _matters(section: Mapping[str, str]) -> bool:
    keys = section.keys()
    return "script_location" in keys or "sqlalchemy.url" in keys or getattr(section, "name", "") == MAIN_SECTION


def _toml_options(toml: Path) -> dict[str, Any]:
    """The table [tool.alembic], its texts with `%(here)s` filled in; empty where there is none."""
    try:
        said = read_toml(toml)
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"The configuration {toml} cannot be read: {error}.") from error
    except ValueError as error:
        raise ProjectError(f"The configuration {toml} cannot be understood: {error}.") from error
    tool = said.get("tool", {})
    options = tool.get("alembic", {}) if isinstance(tool, dict) else {}
    try:
        return {key: _filled(value, toml.parent) for key, value in options.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(
            f"[tool.alembic] in {toml} cannot be understood: {error}. A % in a value must be doubled."
        ) from error


def _filled(value: Any, here: Path) -> Any:
    if isinstance(value, str):
        return value % {"here": here.as_posix()}
    return [_filled(one, here) for one in value] if isinstance(value, list) else value


def _section(sections: Mapping[str, Mapping[str, str]], name: str | None, ini: Path) -> str:
    """The section that Alembic is to use: the one named, unless that names a database alone."""
    if name is None:
        return MAIN_SECTION
    if name not in sections:
        others = ", ".join(sections) or "none"
        raise ProjectError(f"--name {name}: {ini} has no such section with scripts or a URL. It has: {others}.")
    return name if "script_location" in sections[name] else MAIN_SECTION


def _url(
    sections: Mapping[str, Mapping[str, str]], section: str, name: str | None, ini: Path
) -> tuple[str | None, str]:
    chosen = name or section
    url = sections.get(chosen, {}).get("sqlalchemy.url") or None
    return url, f"sqlalchemy.url in {ini}" + ("" if chosen == MAIN_SECTION else f", section {chosen}")


def _script_folder(location: str, folder: Path, prepended: Iterable[str]) -> Path:
    """The folder, also of a location such as 'package.part:migrations'."""
    package, colon, inside = location.partition(":")
    if not colon or Path(location).is_absolute():
        return _absolute(location, folder)
    part = Path(*package.split("."), *inside.split(":"))
    places = [*(_absolute(one, folder) for one in prepended), folder, folder / "src"]
    return next((place / part for place in places if (place / part).is_dir()), folder / part)


def _version_folders(said: Mapping[str, Any], script_folder: Path, folder: Path) -> Iterable[Path]:
    listed = _listed(said, "version_locations", r"[,\s]+")
    deep = str(said.get("recursive_version_locations", "")).lower() in TRUE
    for place in [_script_folder(one, folder, ()) for one in listed] or [script_folder / "versions"]:
        yield place
        if deep:
            yield from sorted(one for one in place.rglob("*") if one.is_dir() and one.name != "__pycache__")


def _listed(said: Mapping[str, Any], key: str, usual: str) -> list[str]:
    """A list of TOML, or a text in parts: what parts them says path_separator, or else the pattern `usual`."""
    value = said.get(key) or []
    if isinstance(value, list):
        return [str(one) for one in value]
    named = said.get("path_separator") or (said.get("version_path_separator") if key == "version_locations" else None)
    separator = {"os": os.pathsep, "newline": "\n", ":": ":", ";": ";"}.get(str(named or ""))
    if key == "databases" or (separator is None and named != "space"):
        parts = re.split(usual, value)
    else:
        parts = value.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _absolute(path: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / path))
