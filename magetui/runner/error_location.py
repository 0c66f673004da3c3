"""The location of an error in a project's scripts."""

from __future__ import annotations

import traceback
from pathlib import Path


def error_location(error: BaseException, version_locations: tuple[str, ...]) -> str | None:
    """Return the innermost frame of the traceback that is in a migration script, as 'file.py, line 12'."""
    folders = {Path(location).resolve() for location in version_locations}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).resolve().parent in folders:
            return f"{frame.filename}, line {frame.lineno}"
    return None
