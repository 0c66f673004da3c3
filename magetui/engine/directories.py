"""The directories that the program uses: for records, settings and its cache, and where its package is imported from.

They are separate so that nothing else has to be imported to find them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

NAME = "magetui"


def state_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory of the runs' records: `$XDG_STATE_HOME/magetui`, by default `~/.local/state/magetui`."""
    return _base(environment, "XDG_STATE_HOME", ".local/state") / NAME


def settings_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory of the operator's own settings: `~/.config/magetui`, or below `$XDG_CONFIG_HOME`."""
    return _base(environment, "XDG_CONFIG_HOME", ".config") / NAME


def cache_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory of what can be made again: `~/.cache/magetui`, or below `$XDG_CACHE_HOME`."""
    return _base(environment, "XDG_CACHE_HOME", ".cache") / NAME


def _base(environment: Mapping[str, str], variable: str, default: str) -> Path:
    """Return the variable's directory. A relative one is ignored, as the XDG Base Directory Specification says."""
    named = Path(environment.get(variable, ""))
    return named if named.is_absolute() else home_directory(environment) / default


def home_directory(environment: Mapping[str, str]) -> Path:
    """Return the home directory, or `/` if there is none: a container's user may have neither $HOME nor a name."""
    named = environment.get("HOME")
    try:
        return Path(named) if named else Path.home()
    except RuntimeError:
        return Path("/")


def package_root() -> str:
    """Return the directory to put on `sys.path` so that another interpreter can import this program."""
    return str(Path(__file__).resolve().parents[2])
