"""TOML, by the standard library's reader where Python has one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any


def read_toml(path: Path) -> dict[str, Any]:
    """The document in the file. Raises `OSError`, and `ValueError` where it is none."""
    tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return document
