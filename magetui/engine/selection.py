"""What the operator pointed at. It imports nothing, so that a front end can be drawn before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Selection:
    """Flags that choose a target and a project; everything else is found."""

    url: str | None = field(default=None, repr=False)
    project_path: str | None = None
    config: str | None = None
    name: str | None = None
    mage_path: str | None = None
    python: str | None = None
    read_only: bool = False
    scratch_url: str | None = field(default=None, repr=False)
