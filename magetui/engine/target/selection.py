"""What the operator pointed at. It imports nothing, so that a front end can be drawn before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field

PROJECT = ("project_path", "config", "name", "mage_path", "python")  # of a selection, what names the scripts


@dataclass(frozen=True, slots=True)
class Selection:
    """Flags that choose a target and a project; everything else is found."""

    url: str | None = field(default=None, repr=False)
    project_path: str | None = None
    config: str | None = None
    name: str | None = None
    mage_path: str | None = None
    python: str | None = None
    read_only: bool = False
    scratch_url: str | None = field(default=None, repr=False)
    # What these came from, as it is told.
    url_source: str = "--url"
    python_source: str = "--python"
    scratch_source: str = "--scratch-url"
    url_folder: str | None = None  # that a relative SQLite path is taken from
    target: str | None = None  # the name that the configuration has for it
    password: str | None = field(default=None, repr=False)  # for a URL that lacks it
    password_command: tuple[str, ...] | None = field(default=None, repr=False)  # what gives it instead
