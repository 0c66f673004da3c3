"""The settings: flags, environment variables and configuration files, made into one frozen `Settings`.

The source nearest to the command wins: a flag, then the named target, then a `MAGETUI_` variable, then the project's
file, then the operator's own file, then the default. There is one exception: no file can take back a protection, so
`read_only = true` in either file holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from magetui.config.options import OPTIONS, PREFIX, FileSettings, Option, nearest, parsed
from magetui.engine.directories import settings_directory
from magetui.engine.errors import UsageError
from magetui.engine.target.selection import PROJECT, Selection

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget
    from magetui.engine.runs.retention import Retention

OWN_FILE, PROJECT_FILE = "config.toml", "magetui.toml"
DEFAULT = "default"
LIMITS = ("lock_timeout_seconds", "statement_timeout_seconds", "lock_retries", "on_disconnect")
RETENTION = ("keep_runs", "keep_days", "keep_megabytes")
OTHERS = ("pg_dump", "notify_command", "despite_preflight", "ascii", "theme")
TARGET_VARIABLE = f"{PREFIX}TARGET"


@dataclass(frozen=True, slots=True)
class LookedFor:
    """A configuration file that magetui looks for."""

    whose: Literal["yours", "project"]
    path: Path
    found: bool


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a setting and its source: a flag, a variable, a file, or `DEFAULT`."""

    value: Any = field(repr=False)
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings: the database and project (`selection`), the output, and the limits of runs."""

    selection: Selection
    json: bool = False
    colour: bool = False
    mouse: bool = True
    ascii: bool = False  # the full-screen program draws with ASCII characters
    theme: str = "ansi-dark"  # of the full-screen program
    despite_preflight: bool = False  # --yes also runs what the preflight says will fail
    lock_timeout_seconds: float = 10.0
    statement_timeout_seconds: float = 0.0
    lock_retries: int = 0
    on_disconnect: Literal["continue", "cancel"] = "continue"
    keep_runs: int = 500  # records of runs, as for the next two; 0 is no limit
    keep_days: int = 0
    keep_megabytes: int = 500
    pg_dump: str | None = None
    notify_command: str | None = None  # run at the end of a run, with its record on stdin
    keys: Mapping[str, str] = field(default_factory=dict)  # only of actions whose key was changed
    targets: tuple[NamedTarget, ...] = ()
    base: Selection | None = None  # the `selection` without a named target
    origins: Mapping[str, Value] = field(default_factory=dict, repr=False)
    files: tuple[LookedFor, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def notified(self) -> tuple[str, ...]:
        """Return the words of the command that is run at the end of a run. Raises `UsageError` for an open quote."""
        if self.notify_command is None:
            return ()
        import shlex

        try:
            return tuple(shlex.split(self.notify_command))
        except ValueError as error:
            raise UsageError(f"notify_command cannot be split into words: {error}.") from None

    @property
    def retention(self) -> Retention:
        """Return how many records of runs are kept."""
        from magetui.engine.runs.retention import Retention

        return Retention(self.keep_runs, self.keep_days, self.keep_megabytes)


def settings_of(values: Mapping[str, Any], environment: Mapping[str, str], *, terminal: bool) -> Settings:
    """Return the settings of parsed flags. Colours need a terminal, and no wish for no colours (no-color.org).

    Raises `UsageError` for a wrong value in a file or a variable, and for a target that does not exist.
    """
    own_file = _looked_for("yours", settings_directory(environment) / OWN_FILE)
    own = _read(own_file, own_file.path)
    given = {option.name: _given(option, values, environment) for option in OPTIONS}
    folder = given["project_path"] or _of_file("project_path", own)
    project_file = _looked_for("project", Path(folder.value if folder is not None else "") / PROJECT_FILE)
    project = _read(project_file, own_file.path)
    own_names = {target.name for target in own.targets}
    targets = (*own.targets, *(target for target in project.targets if target.name not in own_names))
    ignored = (target.name for target in project.targets if target.name in own_names)
    origins = {
        option.name: given[option.name]
        or _of_file(option.name, project)
        or _of_file(option.name, own)
        or Value(option.default, DEFAULT)
        for option in OPTIONS
    }
    read_only = _of_file("read_only", own)
    if read_only is not None and read_only.value and given["read_only"] is None:
        origins["read_only"] = read_only
    base = _base(values, origins)
    target = _target(values, environment, targets)
    return Settings(
        base if target is None else _with_target(target, base, origins),
        json=bool(values.get("json")),
        colour=bool(terminal and not (origins["no_color"].value or environment.get("TERM") == "dumb")),
        mouse=not origins["no_mouse"].value,
        keys=own.keys,
        targets=targets,
        base=base,
        origins=origins,
        files=(own_file, project_file),
        warnings=(
            *own.warnings,
            *project.warnings,
            *(f"{project.path}: the target '{name}' is ignored: your own file has this name." for name in ignored),
        ),
        **{name: origins[name].value for name in (*LIMITS, *RETENTION, *OTHERS)},
    )


def _looked_for(whose: Literal["yours", "project"], path: Path) -> LookedFor:
    try:
        return LookedFor(whose, path.absolute(), path.is_file())
    except PermissionError:  # the home of another user, as under sudo
        return LookedFor(whose, path.absolute(), found=False)


def _read(file: LookedFor, own_path: Path) -> FileSettings:
    if not file.found:
        return FileSettings(str(file.path))
    from magetui.config.files import FileReader

    return FileReader(file.path, file.whose == "yours", own_path).read()


def _given(option: Option, values: Mapping[str, Any], environment: Mapping[str, str]) -> Value | None:
    """Return the value of a flag, or else of a variable."""
    value = values.get(option.name)
    if value is not None and value is not False:  # 0 is a value; False is a switch that was not given
        return Value(value, option.flag)
    text = environment.get(option.variable)
    if option.name == "no_color" and text is None and environment.get("NO_COLOR"):
        return Value(True, "NO_COLOR")
    if text is None or (text == "" and option.kind != "switch"):
        return None
    try:
        return Value(parsed(option, text), option.variable)
    except ValueError as error:
        raise UsageError(f"{option.variable} in the environment {error}.") from None


def _of_file(name: str, file: FileSettings) -> Value | None:
    return Value(file.values[name], file.path) if name in file.values else None


def _base(values: Mapping[str, Any], origins: Mapping[str, Value]) -> Selection:
    return Selection(
        url=values.get("url"),
        read_only=bool(origins["read_only"].value),
        trust=bool(origins["trust"].value),
        python_source=origins["python"].source,
        scratch_url=origins["scratch_url"].value,
        scratch_source=origins["scratch_url"].source,
        **{name: origins[name].value for name in PROJECT},
    )


def _target(
    values: Mapping[str, Any], environment: Mapping[str, str], targets: tuple[NamedTarget, ...]
) -> NamedTarget | None:
    """Return the named target, or None if no target is named."""
    name, source = values.get("target"), "--target"
    if name is not None and values.get("url") is not None:
        raise UsageError("--url and --target each name a database: use one of the two.")
    if name is None and values.get("url") is None:
        name, source = environment.get(TARGET_VARIABLE) or None, TARGET_VARIABLE
    if name is None:
        return None
    for target in targets:
        if target.name == name:
            return target
    named = [target.name for target in targets]
    known = f"Targets: {', '.join(named)}." if named else "No file names a target: 'magetui config' shows the files."
    raise UsageError(f"{source}: there is no target '{name}'{nearest(name, named) or '.'} {known}")


def _with_target(target: NamedTarget, base: Selection, origins: dict[str, Value]) -> Selection:
    """Return the selection of the target. Flags about the project win; `origins` learns what the target sets."""
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
