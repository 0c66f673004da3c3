"""Consent on a terminal: the default is no, and what destroys data wants a name typed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from magetui.engine.errors import RefusedError


def consent(values: Mapping[str, Any], question: str, name: str | None = None) -> None:
    """Ask on the terminal; what destroys data wants `name` typed. Raises `RefusedError` for anything but a yes."""
    if values.get("yes"):
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError("There is no terminal to ask for consent on. Nothing was changed. Say --yes to go on.")
    wanted = "y or N" if name is None else f"this may destroy data; type the database's name, {name}"
    sys.stderr.write(f"{question} [{wanted}] ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    if answer.lower() in ("y", "yes") if name is None else answer == name:
        return
    raise RefusedError("Not confirmed. Nothing was changed.")
