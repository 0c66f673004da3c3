"""Flags and environment, made into one frozen `Settings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from magetui.engine.selection import Selection


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator said: what to look at (`selection`), and how to answer."""

    selection: Selection
    json: bool = False
    colour: bool = False
    mouse: bool = True


def settings_of(values: Mapping[str, Any], environment: Mapping[str, str], *, terminal: bool) -> Settings:
    """Settings from parsed flags; colours only on a terminal that did not ask for none (no-color.org)."""
    selection = Selection(
        url=values.get("url"),
        project_path=values.get("project_path"),
        config=values.get("config"),
        name=values.get("name"),
        mage_path=values.get("mage_path"),
        python=values.get("python"),
        read_only=bool(values.get("read_only")),
        scratch_url=values.get("scratch_url"),
    )
    plain = values.get("no_color") or environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
    return Settings(
        selection,
        json=bool(values.get("json")),
        colour=bool(terminal and not plain),
        mouse=not values.get("no_mouse"),
    )
