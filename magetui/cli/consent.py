"""Consent on a terminal. The default is no."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from magetui.engine.errors import RefusedError
from magetui.text.consent import Consent


def require_consent(values: Mapping[str, Any], consent: Consent) -> None:
    """Ask for the consent on the terminal, unless `--yes` gave it. Raises `RefusedError` for every other answer."""
    if values.get("yes"):
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError("There is no terminal to ask for consent. Nothing was changed. To consent, add --yes.")
    sys.stderr.write(f"{consent.prompt} [y/N] " if consent.name is None else f"{consent.prompt}\n> ")
    sys.stderr.flush()
    if not consent.is_given(sys.stdin.readline().strip()):
        raise RefusedError("Not confirmed. Nothing was changed.")
