"""Flags, environment and configuration files, made into one frozen `Settings`.

What is nearer to the command wins: a flag, then what the named target says, then a `MAGETUI_` variable, then the
project's file, then the operator's own, then the default. With one exception: what guards cannot be taken back by a
file, so `read_only = true` in either file holds.

Where there is no file, nothing that reads files is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from magetui.config.options import OPTIONS, PREFIX, Option, meant
from magetui.engine.errors import UsageError
from magetui.engine.target.selection import PROJECT, Selection

if TYPE_CHECKING:
    from magetui.config.files import FileSettings
    from magetui.config.targets import NamedTarget

OWN_FILE, PROJECT_FILE = "config.toml", "magetui.toml"
DEFAULT = "default"
LIMITS = ("lock_timeout_seconds", "statement_timeout_seconds", "lock_retries", "on_disconnect")
TARGET_VARIABLE = f"{PREFIX}TARGET"
NONE: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class LookedFor:
    """A place where a configuration file is looked for."""

    whose: Literal["yours", "project"]
    path: Path
    found: bool


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value, and what said so: a flag, a variable, a file, or nobody (`DEFAULT`)."""

    value: Any = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator said: what to look at (`selection`), how to answer, and what runs begin with."""

    selection: Selection
    json: bool = False
    colour: bool = False
    mouse: bool = True
    lock_timeout_seconds: float = 10.0
    statement_timeout_seconds: float = 0.0
    lock_retries: int = 0
    on_disconnect: Literal["continue", "cancel"] = "continue"
    pg_dump: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)  # of the actions that have another than the default
    targets: tuple[NamedTarget, ...] = ()
    base: Selection | None = None  # `selection` as it is without a target's name
    origins: Mapping[str, Value] = field(default_factory=dict, repr=False)
    files: tuple[LookedFor, ...] = ()
    warnings: tuple[str, ...] = ()


def settings_of(values: Mapping[str, Any], environment: Mapping[str, str], *, terminal: bool) -> Settings:
    """Settings from parsed flags; colours only on a terminal that did not ask for none (no-color.org).

    Raises `UsageError` for a file or variable that says what it cannot mean, and for a target that there is not.
    """
    own_place = _own_place(environment)
    own = _read(own_place, own_place.path)
    said = {option.name: _said(option, values, environment) for option in OPTIONS}
    place = said["project_path"] or _of_file("project_path", own)
    project_place = _looked_for("project", Path(place.value if place is not None else "") / PROJECT_FILE)
    project = _read(project_place, own_place.path)
    targets = _targets(own, project)
    origins = {
        option.name: said[option.name]
        or _of_file(option.name, project)
        or _of_file(option.name, own)
        or Value(option.default, DEFAULT)
        for option in OPTIONS
    }
    read_only = _of_file("read_only", own)
    if read_only is not None and read_only.value and said["read_only"] is None:
        origins["read_only"] = read_only
    base = _base(values, origins)
    target = _target(values, environment, targets)
    return Settings(
        base if target is None else _aimed(target, base, origins),
        json=bool(values.get("json")),
        colour=bool(terminal and not (origins["no_color"].value or environment.get("TERM") == "dumb")),
        mouse=not origins["no_mouse"].value,
        lock_timeout_seconds=origins["lock_timeout_seconds"].value,
        statement_timeout_seconds=origins["statement_timeout_seconds"].value,
        lock_retries=origins["lock_retries"].value,
        on_disconnect=origins["on_disconnect"].value,
        pg_dump=origins["pg_dump"].value,
        keys=own.keys if own is not None else NONE,
        targets=targets,
        base=base,
        origins=origins,
        files=(own_place, project_place),
        warnings=_warnings(own, project),
    )


def _own_place(environment: Mapping[str, str]) -> LookedFor:
    base = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "~"), ".config")
    return _looked_for("yours", Path(base).expanduser() / "magetui" / OWN_FILE)


def _looked_for(whose: Literal["yours", "project"], path: Path) -> LookedFor:
    try:
        return LookedFor(whose, path.absolute(), path.is_file())
    except PermissionError:  # somebody else's home, as under sudo: what is there is not for us
        return LookedFor(whose, path.absolute(), found=False)


def _read(place: LookedFor, own_path: Path) -> FileSettings | None:
    if not place.found:
        return None
    from magetui.config.files import read_file

    return read_file(place.path, own=place.whose == "yours", own_path=own_path)


def _said(option: Option, values: Mapping[str, Any], environment: Mapping[str, str]) -> Value | None:
    """What a flag says, or else a variable."""
    value = values.get(option.name)
    if value is not None and value is not False:  # 0 is said, and a switch that is not set is not
        return Value(value, option.flag)
    text = environment.get(option.variable)
    if option.name == "no_color" and text is None and environment.get("NO_COLOR"):
        return Value(True, "NO_COLOR")
    if text is None or (text == "" and option.kind != "switch"):
        return None
    try:
        return Value(meant(option, text), option.variable)
    except ValueError as error:
        raise UsageError(f"{option.variable} in the environment {error}.") from None


def _of_file(name: str, file: FileSettings | None) -> Value | None:
    return Value(file.values[name], file.path) if file is not None and name in file.values else None


def _targets(own: FileSettings | None, project: FileSettings | None) -> tuple[NamedTarget, ...]:
    """All named targets, the operator's own first: a project's file takes no name from that."""
    found = {target.name: target for file in (project, own) if file is not None for target in file.targets}
    first = [target.name for target in own.targets] if own is not None else []
    return tuple(found.pop(name) for name in [*first, *(name for name in list(found) if name not in first)])


def _warnings(own: FileSettings | None, project: FileSettings | None) -> tuple[str, ...]:
    said = [line for file in (own, project) if file is not None for line in file.warnings]
    if own is not None and project is not None:
        names = {target.name for target in own.targets}
        for target in project.targets:
            if target.name in names:
                said.append(f"{project.path}: the target '{target.name}' is left out, since yours of that name counts.")
    return tuple(said)


def _base(values: Mapping[str, Any], origins: Mapping[str, Value]) -> Selection:
    """What is looked at where no target is named."""
    return Selection(
        url=values.get("url"),
        read_only=bool(origins["read_only"].value),
        python_source=origins["python"].source,
        scratch_url=origins["scratch_url"].value,
        scratch_source=origins["scratch_url"].source,
        **{name: origins[name].value for name in PROJECT},
    )


def _target(
    values: Mapping[str, Any], environment: Mapping[str, str], targets: tuple[NamedTarget, ...]
) -> NamedTarget | None:
    """The target that was named, if one was."""
    name, source = values.get("target"), "--target"
    if name is not None and values.get("url") is not None:
        raise UsageError("--url and --target name a database each: say one of them.")
    if name is None and values.get("url") is None:
        name, source = environment.get(TARGET_VARIABLE) or None, TARGET_VARIABLE
    if name is None:
        return None
    for target in targets:
        if target.name == name:
            return target
    from magetui.config.nearest import nearest

    named = [target.name for target in targets]
    known = f"Named are: {', '.join(named)}." if named else "No file names any: 'magetui config' says where they go."
    raise UsageError(f"{source}: there is no target '{name}'{nearest(name, named) or '.'} {known}")


def _aimed(target: NamedTarget, base: Selection, origins: dict[str, Value]) -> Selection:
    """The target, and what a flag says of the project, which wins over it; `origins` learns what the target says."""
    chosen = target.chosen(base)
    flags: dict[str, Any] = {name: getattr(base, name) for name in PROJECT if origins[name].source.startswith("--")}
    for name in PROJECT:
        if name not in flags and getattr(chosen, name) != getattr(base, name):
            origins[name] = Value(getattr(chosen, name), target.source)
    if target.read_only and not base.read_only:
        origins["read_only"] = Value(True, target.source)
    if "python" in flags:
        flags["python_source"] = base.python_source
    return replace(chosen, **flags)
