"""The directories that the program uses: its state directory, and the directory that its package is imported from.

They are separate so that nothing else has to be imported to find them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def state_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory of the runs' records: `$XDG_STATE_HOME/magetui`, by default `~/.local/state/magetui`."""
    base = environment.get("XDG_STATE_HOME")
    state = Path(base) if base else Path(environment.get("HOME", "~"), ".local", "state")
    return state.expanduser() / "magetui"


def package_root() -> str:
    """Return the directory to put on `sys.path` so that another interpreter can import this program."""
    return str(Path(__file__).resolve().parents[2])
