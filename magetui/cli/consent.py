"""Consent on a terminal: the default is no; what destroys data, or changes production, wants a name typed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from magetui.engine.errors import RefusedError


def consent(values: Mapping[str, Any], question: str, name: str | None = None, why: str = "") -> None:
    """Ask on the terminal; with `name` it wants that typed, and says `why`. Raises `RefusedError` for all but a yes."""
    if values.get("yes"):
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError("There is no terminal to ask for consent on. Nothing was changed. Say --yes to go on.")
    wanted = "y or N" if name is None else f"{why}; type the database's name, {name}"
    sys.stderr.write(f"{question} [{wanted}] ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    if answer.lower() in ("y", "yes") if name is None else answer == name:
        return
    raise RefusedError("Not confirmed. Nothing was changed.")
