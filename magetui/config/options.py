"""The settings, each defined once: its kind, its default, and which file may set it.

A setting has one name: `lock_retries` in a file is `--lock-retries` on the command line and `MAGETUI_LOCK_RETRIES` in
the environment.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget

Kind = Literal["seconds", "count", "switch", "text", "path", "choice", "url"]

PREFIX = "MAGETUI_"
THEMES = (
    *("ansi-dark", "ansi-light", "textual-dark", "textual-light", "atom-one-dark", "atom-one-light", "dracula"),
    *("catppuccin-frappe", "catppuccin-latte", "catppuccin-macchiato", "catppuccin-mocha", "flexoki", "gruvbox"),
    *("monokai", "nord", "rose-pine", "rose-pine-dawn", "rose-pine-moon", "solarized-dark", "solarized-light"),
    "tokyo-night",
)  # Textual's; the first two use the terminal's own sixteen colours
COLOURS = ("red", "green", "yellow", "blue", "magenta", "cyan")


@dataclass(frozen=True, slots=True)
class Option:
    """A setting. If `own`, only the operator's own file may set it, not a file that comes with a project."""

    name: str
    kind: Kind
    default: Any = None
    own: bool = False
    choices: tuple[str, ...] = ()

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.name.upper()}"


# Only the operator's own file may name a program, the place of a program, or a key. Otherwise a file in a repository
# could run its own code when somebody opens magetui there.
OPTIONS: tuple[Option, ...] = (
    Option("project_path", "path", own=True),
    Option("config", "path"),
    Option("name", "text"),
    Option("mage_path", "path", own=True),
    Option("python", "path", own=True),
    Option("scratch_url", "url", own=True),
    Option("pg_dump", "path", own=True),
    Option("read_only", "switch", default=False),
    Option("trust", "switch", default=False, own=True),
    Option("despite_preflight", "switch", default=False, own=True),
    Option("lock_timeout_seconds", "seconds", default=10.0),
    Option("statement_timeout_seconds", "seconds", default=0.0),
    Option("lock_retries", "count", default=0),
    Option("on_disconnect", "choice", default="continue", choices=("continue", "cancel")),
    Option("notify_command", "text", own=True),
    Option("keep_runs", "count", default=500, own=True),
    Option("keep_days", "count", default=0, own=True),
    Option("keep_megabytes", "count", default=500, own=True),
    Option("no_color", "switch", default=False, own=True),
    Option("no_mouse", "switch", default=False, own=True),
    Option("ascii", "switch", default=False, own=True),
    Option("theme", "choice", default=THEMES[0], own=True, choices=THEMES),
)
BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}

TARGET_OPTIONS: tuple[Option, ...] = (
    Option("url", "url"),
    Option("password_command", "text", own=True),  # or a list of words
    Option("description", "text"),
    Option("production", "switch", default=False),
    Option("colour", "choice", choices=COLOURS),
    *(BY_NAME[name] for name in ("project_path", "config", "name", "mage_path", "python", "read_only")),
)


def parsed(option: Option, text: str) -> Any:
    """Return the value of a text, as in a variable. Raises `ValueError` that says what the value must be."""
    if option.kind == "switch":
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("", "0", "false", "no", "off"):
            return False
        raise ValueError("must be 1 or 0")
    if option.kind in ("seconds", "count"):
        return _number(option, text)
    if option.kind == "choice" and text not in option.choices:
        raise ValueError(f"must be {' or '.join(option.choices)}")
    return text


def checked(option: Option, value: object) -> Any:
    """Return a value of a file. Raises `ValueError` that says what the value must be; the value may be a secret."""
    if option.kind == "switch":
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if option.kind in ("seconds", "count"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            value = "none"
        return _number(option, str(value))
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text")
    if any(ord(character) < 32 for character in value):
        raise ValueError("must be a text on one line")
    return parsed(option, value)


def _number(option: Option, text: str) -> float:
    from argparse import ArgumentTypeError

    from magetui.verbs import count, seconds

    try:
        return seconds(text) if option.kind == "seconds" else count(text)
    except ArgumentTypeError as error:
        raise ValueError(str(error).removeprefix("this ")) from None


@dataclass(frozen=True, slots=True)
class FileSettings:
    """The settings of one file. `warnings` are sentences on ignored settings and on risks."""

    path: str
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    keys: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[NamedTarget, ...] = ()
    warnings: tuple[str, ...] = ()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return '; did you mean 'lock_retries'?', or '' if no known name is similar."""
    from difflib import get_close_matches

    matches = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""
