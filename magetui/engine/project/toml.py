"""Reading TOML files. Python 3.10 has no reader in its standard library, so it uses the package `tomli`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any


def read_toml(path: Path) -> dict[str, Any]:
    """Return the document in the file. Raises `OSError`, and `ValueError` if the file is not valid TOML."""
    tomllib: Any = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    return document
