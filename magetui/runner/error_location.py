"""Where in a project's scripts an error came from."""

from __future__ import annotations

import traceback
from pathlib import Path


def place_of(error: BaseException, version_locations: tuple[str, ...]) -> str | None:
    """The innermost frame of a traceback that stands in a migration script: 'file.py, line 12'."""
    folders = {Path(location).resolve() for location in version_locations}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).resolve().parent in folders:
            return f"{frame.filename}, line {frame.lineno}"
    return None
