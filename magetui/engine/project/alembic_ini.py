"""A project's `alembic.ini` and `pyproject.toml`, read as Alembic reads them, but without running code.

A location such as 'package:migrations' is searched on the disk, while Alembic would import the package.
"""

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
from magetui.protocol.scripts import Scripts

MAIN_SECTION = "alembic"
TRUE = ("1", "yes", "true", "on")


@dataclass(frozen=True, slots=True)
class AlembicFiles:
    """The scripts, and the file that names them. `url` is the literal text of an alembic.ini."""

    location: Path
    scripts: Scripts
    url: str | None = field(repr=False)
    url_source: str
    databases: tuple[str, ...]  # the sections in `databases`, an option of Alembic's multidb template


def read_alembic_files(file: Path, name: str | None = None) -> AlembicFiles:
    """Read an alembic.ini or a pyproject.toml, together with the other file in the same folder.

    `name` is a section of the alembic.ini, either for Alembic itself or only for a database. Raises `ProjectError` if a
    file cannot be read, names no scripts, or has no such section.
    """
    try:
        return _read(file, name)
    except (OSError, ValueError, RecursionError) as error:  # a path that is too long, or holds a null character
        raise ProjectError(f"{file} cannot be used: {getattr(error, 'strerror', None) or error}.") from error


def _read(file: Path, name: str | None) -> AlembicFiles:
    folder = file.resolve().parent
    toml, ini = folder / "pyproject.toml", folder / "alembic.ini"
    if file.suffix == ".toml":
        toml = file.resolve()
    else:
        ini = file.resolve()
    sections = _ini_sections(ini) if ini.is_file() or file.suffix != ".toml" else {}
    options = _toml_options(toml) if toml.is_file() or file.suffix == ".toml" else {}
    section = _section(sections, name, ini)
    merged = {**options, **sections.get(section, {})}
    location = merged.get("script_location")
    where = toml if file.suffix == ".toml" else ini
    if not location:
        kind = "[tool.alembic] table" if where == toml else f"[{section}] section"
        raise ProjectError(f"{where} has no script_location in its {kind}.")
    prepended = tuple(_list_option(merged, "prepend_sys_path", r"[,\s:]+"))
    script_folder = _script_folder(str(location), folder, prepended)
    if not script_folder.is_dir():
        raise ProjectError(f"{where} says script_location = {location}, but there is no such folder: {script_folder}.")
    databases = tuple(_list_option(merged, "databases", r"[,\s]+"))
    uses_ini = bool(sections) or not options
    # If the alembic.ini does not name the scripts, the pyproject.toml beside it does.
    toml_names = bool(options) and (not uses_ini or "script_location" not in ini.read_text(errors="replace"))
    chosen = name or section
    return AlembicFiles(
        location=toml if toml_names or (options and file.suffix == ".toml") else ini,
        scripts=Scripts(
            kind="alembic",
            script_location=str(script_folder),
            version_locations=tuple(map(str, _version_folders(merged, script_folder, folder))),
            config_file=str(ini) if uses_ini else None,
            toml_file=str(toml) if options else None,
            section=section,
            prepended=tuple(str(_absolute(path, folder)) for path in prepended),
            several=len(databases) > 1,
        ),
        url=sections.get(chosen, {}).get("sqlalchemy.url") or None,
        url_source=f"sqlalchemy.url in {ini}" + ("" if chosen == MAIN_SECTION else f", section {chosen}"),
        databases=databases,
    )


def _ini_sections(ini: Path) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser({"here": str(ini.parent).replace("%", "%%")})
    try:
        with ini.open(encoding="utf-8") as file:
            parser.read_file(file)
        # Only these sections are interpolated: the logging sections have percent signs of their own.
        return {
            name: dict(parser.items(name))
            for name in parser.sections()
            if name == MAIN_SECTION
            or parser.has_option(name, "script_location")
            or parser.has_option(name, "sqlalchemy.url")
        }
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"The configuration {ini} cannot be read: {error}.") from error
    except configparser.Error as error:
        # The error's own text is left out: it quotes the line, which may hold the URL's password.
        raise ProjectError(
            f"The configuration {ini} cannot be understood ({type(error).__name__}). "
            "A % in a value, such as in a URL, must be doubled."
        ) from error


def _toml_options(toml: Path) -> dict[str, Any]:
    """Return the table [tool.alembic] with `%(here)s` replaced in its texts, or an empty one if it is missing."""
    try:
        document = read_toml(toml)
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"The configuration {toml} cannot be read: {error}.") from error
    except ValueError as error:
        raise ProjectError(f"The configuration {toml} cannot be understood: {error}.") from error
    tool = document.get("tool", {})
    options = tool.get("alembic", {}) if isinstance(tool, dict) else {}
    try:
        return {key: _interpolated(value, toml.parent) for key, value in options.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ProjectError(
            f"[tool.alembic] in {toml} cannot be understood: {error}. A % in a value must be doubled."
        ) from error


def _interpolated(value: Any, here: Path) -> Any:
    if isinstance(value, str):
        return value % {"here": here.as_posix()}
    return [_interpolated(item, here) for item in value] if isinstance(value, list) else value


def _section(sections: Mapping[str, Mapping[str, str]], name: str | None, ini: Path) -> str:
    """Return the section that Alembic uses: the named section, unless that is only for a database."""
    if name is None:
        return MAIN_SECTION
    if name not in sections:
        others = ", ".join(sections) or "none"
        raise ProjectError(f"--name {name}: {ini} has no such section with scripts or a URL. It has: {others}.")
    return name if "script_location" in sections[name] else MAIN_SECTION


def _script_folder(location: str, folder: Path, prepended: Iterable[str]) -> Path:
    """Return the scripts' folder, which the location may also give as 'package.part:migrations'."""
    package, colon, inside = location.partition(":")
    if not colon or Path(location).is_absolute():
        return _absolute(location, folder)
    part = Path(*package.split("."), *inside.split(":"))
    parents = [*(_absolute(path, folder) for path in prepended), folder, folder / "src"]
    return next((parent / part for parent in parents if (parent / part).is_dir()), folder / part)


def _version_folders(options: Mapping[str, Any], script_folder: Path, folder: Path) -> Iterable[Path]:
    locations = _list_option(options, "version_locations", r"[,\s]+")
    recursive = str(options.get("recursive_version_locations", "")).lower() in TRUE
    for versions in [_script_folder(path, folder, ()) for path in locations] or [script_folder / "versions"]:
        yield versions
        if recursive:
            yield from sorted(path for path in versions.rglob("*") if path.is_dir() and path.name != "__pycache__")


def _list_option(options: Mapping[str, Any], key: str, default_separator: str) -> list[str]:
    """Return an option's items: a list in TOML, else a text that is split at path_separator or the default pattern."""
    value = options.get(key) or []
    if isinstance(value, list):
        return [str(item) for item in value]
    named = options.get("path_separator")
    if not named and key == "version_locations":
        named = options.get("version_path_separator")
    separator = {"os": os.pathsep, "newline": "\n", ":": ":", ";": ";"}.get(str(named or ""))
    if key == "databases" or (separator is None and named != "space"):
        parts = re.split(default_separator, value)
    else:
        parts = value.split(separator)
    return [part.strip() for part in parts if part.strip()]


def _absolute(path: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder / path))
