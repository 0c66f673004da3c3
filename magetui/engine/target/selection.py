"""The operator's selection of a target and a project.

It is separate because it imports nothing: a front end can be drawn before any library is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PROJECT = ("project_path", "config", "name", "mage_path", "python")  # the fields that select the scripts


@dataclass(frozen=True, slots=True)
class Selection:
    """The flags that choose a target and a project. The program finds everything else."""

    url: str | None = field(default=None, repr=False)
    project_path: str | None = None
    config: str | None = None
    name: str | None = None
    mage_path: str | None = None
    python: str | None = None
    read_only: bool = False
    trust: bool = False  # run the project's own code without asking
    scratch_url: str | None = field(default=None, repr=False)
    # Where these values came from, as the screen shows it.
    url_source: str = "--url"
    python_source: str = "--python"
    scratch_source: str = "--scratch-url"
    url_folder: str | None = None  # the folder of a relative SQLite path
    target: str | None = None  # the target's name in the configuration
    password: str | None = field(default=None, repr=False)  # for a URL without a password
    schema: str | None = None  # the first of search_path, in place of the URL's
    password_command: tuple[str, ...] | None = field(default=None, repr=False)  # the command that prints the password
