"""`magetui demo` on a terminal: build a practice incident, open it, and delete it afterwards."""

from __future__ import annotations

import os
from dataclasses import replace

from magetui.config.settings import Settings
from magetui.engine.demo.demo import build_demo
from magetui.engine.target.selection import Selection
from magetui.tui.launch import open_app


def open_demo(settings: Settings, scenario: str) -> int:
    """Build the incident, open the program on it, and delete it. Return the exit status."""
    with build_demo(scenario) as demo:
        selection = Selection(config=str(demo.config), read_only=settings.selection.read_only)
        return open_app(
            replace(settings, selection=selection, base=None), demo.environment(os.environ), briefing=demo.story
        )
