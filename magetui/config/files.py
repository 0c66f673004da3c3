"""The configuration files: read, checked to the last key, and what a project's file may not say is left out.

Imported only where there is a file. A wrong file is told in one sentence that names the file and the key, and never
repeats a value, which may be a secret.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from magetui.config.keys import checked_keys
from magetui.config.nearest import nearest
from magetui.config.options import BY_NAME, TARGET_OPTIONS, Option, checked
from magetui.config.targets import NamedTarget
from magetui.engine.errors import UsageError
from magetui.engine.project.toml import read_toml

TABLES = ("keys", "targets")
NAME = re.compile(r"[\w.-]{1,40}")
OTHERS_READ = 0o044


@dataclass(frozen=True, slots=True)
class FileSettings:
    """What one file says; `warnings` are sentences on what of it was left out, or is unwise."""

    path: str
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    keys: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[NamedTarget, ...] = ()
    warnings: tuple[str, ...] = ()


def read_file(path: Path, *, own: bool, own_path: Path) -> FileSettings:
    """What a file says. `own`: it is the operator's, which stands at `own_path`, and no project's.

    Raises `UsageError` where it cannot be read or says what it cannot mean.
    """
    return _Reader(path, own, own_path).read()


class _Reader:
    """Reads one file, and gathers what is to be said of it."""

    def __init__(self, path: Path, own: bool, own_path: Path) -> None:
        self._path = path
        self._own = own
        self._own_path = own_path
        self._warnings: list[str] = []

    def read(self) -> FileSettings:
        document = self._document()
        values = {}
        for name, value in document.items():
            if name in TABLES:
                if not isinstance(value, dict):
                    self._wrong(f"'{name}' must be a table, [{name}{'.NAME' if name == 'targets' else ''}].")
                continue
            option = BY_NAME.get(name)
            if option is None:
                self._unknown(name, [*BY_NAME, *TABLES])
            elif self._may(option):
                values[name] = self._value(option, name, value)
        keys = self._keys(document.get("keys", {}))
        targets = tuple(self._target(name, said) for name, said in document.get("targets", {}).items())
        self._warn_of_readers([values.get("scratch_url"), *(target.url for target in targets)])
        return FileSettings(str(self._path), values, keys, targets, tuple(self._warnings))

    def _document(self) -> Mapping[str, Any]:
        try:
            return read_toml(self._path)
        except OSError as error:
            raise UsageError(f"{self._path} cannot be read: {error.strerror}.") from None
        except ValueError as error:
            why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            raise UsageError(f"{self._path} is not TOML: {why}.") from None
        except RecursionError:
            raise UsageError(f"{self._path} is not TOML that can be read: it is nested too deeply.") from None

    def _keys(self, said: Mapping[str, object]) -> Mapping[str, str]:
        if said and not self._own:
            self._left_out("[keys]", "keys are for you to choose")
            return {}
        try:
            return checked_keys(said)
        except ValueError as error:
            self._wrong(f"{error}.")

    def _target(self, name: str, said: object) -> NamedTarget:
        if not NAME.fullmatch(name):
            self._wrong("a target's name is made of letters, digits, '.', '_' and '-', at most 40.")
        if not isinstance(said, dict):
            self._wrong(f"'targets.{name}' must be a table, [targets.{name}].")
        options = {option.name: option for option in TARGET_OPTIONS}
        values: dict[str, Any] = {}
        for key, value in said.items():
            if key not in options:
                self._unknown(key, options, f" of the target '{name}'")
            elif self._may(options[key], f" of the target '{name}'"):
                where = f"targets.{name}.{key}"
                values[key] = (
                    self._command(where, value)
                    if key == "password_command"
                    else self._value(options[key], where, value)
                )
        if not any(values.get(key) for key in ("url", "project_path", "config", "mage_path", "name")):
            self._wrong(f"the target '{name}' says of no database: give it a url, or the config of its project.")
        return NamedTarget(
            name,
            str(self._path),
            section=values.pop("name", None),
            folder=str(self._path.resolve().parent),
            **values,
        )

    def _may(self, option: Option, where: str = "") -> bool:
        """Whether this file may say it; else it is left out, and that is said."""
        if self._own or not option.own:
            return True
        self._left_out(f"'{option.name}'{where}", "what it names may run a program, or is yours to choose")
        return False

    def _left_out(self, what: str, why: str) -> None:
        self._warnings.append(
            f"{self._path}: {what} is left out, since this file came with the project: {why}. "
            f"Only your own file may say it, {self._own_path}."
        )

    def _value(self, option: Option, name: str, value: object) -> Any:
        try:
            found = checked(option, value)
        except ValueError as error:
            self._wrong(f"'{name}' {error}.")
        if option.kind != "path":
            return found
        folder = self._path.resolve().parent
        path = folder / Path(found).expanduser()
        if not self._own and not path.resolve().is_relative_to(folder):
            self._wrong(f"'{name}' leads out of the project's folder; a project's file may not.")
        return str(path)

    def _command(self, name: str, value: object) -> tuple[str, ...]:
        """The words of a command. A text is split at its spaces, quotes heeded, and no shell sees it."""
        try:
            words = shlex.split(value) if isinstance(value, str) else value
        except ValueError:
            words = None
        if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
            self._wrong(f"'{name}' must be a command: one text, or a list of its words.")
        return (str(Path(words[0]).expanduser()) if words[0].startswith("~") else words[0], *words[1:])

    def _warn_of_readers(self, urls: list[str | None]) -> None:
        """A password in a file that others can read is no secret."""
        from magetui.protocol.redaction import HIDDEN, redact_url

        if any(url and HIDDEN in redact_url(url) for url in urls) and self._path.stat().st_mode & OTHERS_READ:
            self._warnings.append(
                f"{self._path} holds a password, and others on this machine can read it: chmod 600 {self._path}"
                + ("" if self._own else ", and see to it that it is not committed")
            )

    def _unknown(self, name: str, known: Any, where: str = "") -> NoReturn:
        self._wrong(f"there is no setting '{name}'{where}{nearest(name, known) or '.'}")

    def _wrong(self, what: str) -> NoReturn:
        raise UsageError(f"{self._path}: {what}")
