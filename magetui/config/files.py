"""Reads and checks the configuration files, and ignores the settings that a file of a project may not set.

This module is imported only if a file exists. An error names the file and the key in one sentence. It never repeats a
value, because a value may be secret.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from magetui.config.keys import checked_keys
from magetui.config.options import BY_NAME, TARGET_OPTIONS, FileSettings, Option, checked, nearest
from magetui.config.targets import NamedTarget
from magetui.engine.errors import UsageError
from magetui.engine.project.toml import read_toml

TABLES = ("keys", "targets")
NAME = re.compile(r"[\w.-]{1,40}")
OTHERS_READ = 0o044


class FileReader:
    """Reads one file and collects its warnings. `own` is true for the operator's file, whose path is `own_path`."""

    def __init__(self, path: Path, own: bool, own_path: Path) -> None:
        self._path = path
        self._own = own
        self._own_path = own_path
        self._warnings: list[str] = []

    def read(self) -> FileSettings:
        """Return the settings. Raises `UsageError` if the file cannot be read or has a wrong value."""
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
        targets = tuple(self._target(name, table) for name, table in document.get("targets", {}).items())
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
            raise UsageError(f"{self._path} is nested too deeply.") from None

    def _keys(self, table: Mapping[str, object]) -> Mapping[str, str]:
        if table and not self._own:
            self._ignored("[keys]", "keys are your own choice")
            return {}
        try:
            return checked_keys(table)
        except ValueError as error:
            self._wrong(f"{error}.")

    def _target(self, name: str, table: object) -> NamedTarget:
        if not NAME.fullmatch(name):
            self._wrong("the name of a target has at most 40 letters, digits, '.', '_' and '-'.")
        if not isinstance(table, dict):
            self._wrong(f"'targets.{name}' must be a table, [targets.{name}].")
        options = {option.name: option for option in TARGET_OPTIONS}
        values: dict[str, Any] = {}
        for key, value in table.items():
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
            self._wrong(f"the target '{name}' names no database: give it a url, or the config of its project.")
        return NamedTarget(
            name, str(self._path), section=values.pop("name", None), folder=str(self._path.resolve().parent), **values
        )

    def _may(self, option: Option, where: str = "") -> bool:
        """Return whether this file may set the option. If not, warn that the setting is ignored."""
        if self._own or not option.own:
            return True
        self._ignored(f"'{option.name}'{where}", "it may run a program, or is your own choice")
        return False

    def _ignored(self, what: str, why: str) -> None:
        self._warnings.append(
            f"{self._path}: {what} is ignored, because this file comes with the project: {why}. "
            f"Only your own file may set it: {self._own_path}."
        )

    def _value(self, option: Option, name: str, value: object) -> Any:
        try:
            result = checked(option, value)
        except ValueError as error:
            self._wrong(f"'{name}' {error}.")
        if option.kind != "path":
            return result
        folder = self._path.resolve().parent
        path = folder / Path(result).expanduser()
        if not self._own and not path.resolve().is_relative_to(folder):
            self._wrong(f"'{name}' is outside the project's folder, which a file of the project may not name.")
        return str(path)

    def _command(self, name: str, value: object) -> tuple[str, ...]:
        """Return the words of a command. A text is split as a shell splits it, but no shell runs it."""
        try:
            words = shlex.split(value) if isinstance(value, str) else value
        except ValueError:
            words = None
        if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
            self._wrong(f"'{name}' must be a command: one text, or a list of its words.")
        return (str(Path(words[0]).expanduser()) if words[0].startswith("~") else words[0], *words[1:])

    def _warn_of_readers(self, urls: list[str | None]) -> None:
        """Warn if the file has a password and other users of this machine can read the file."""
        from magetui.protocol.redaction import HIDDEN, redact_url

        if any(url and HIDDEN in redact_url(url) for url in urls) and self._path.stat().st_mode & OTHERS_READ:
            self._warnings.append(
                f"{self._path} holds a password, and others on this machine can read it: chmod 600 {self._path}"
                + ("" if self._own else ", and make sure that the file is not committed")
            )

    def _unknown(self, name: str, known: Any, where: str = "") -> NoReturn:
        self._wrong(f"there is no setting '{name}'{where}{nearest(name, known) or '.'}")

    def _wrong(self, what: str) -> NoReturn:
        raise UsageError(f"{self._path}: {what}")
