"""`magetui demo`: opens a practice incident on a terminal, or says how to try it where there is none."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterable
from dataclasses import replace

from magetui.config import Settings
from magetui.engine.demo import LOOSE_SECONDS, Demo, Scenario, build_demo
from magetui.engine.selection import Selection

WRAP = 100
TRY: dict[Scenario, tuple[str, ...]] = {
    "behind": ("diagnose", "plan migrate", "migrate", "rollback --revision -1"),
    "unknown-revision": ("diagnose", "schema", "stamp head --replace-unknown-revision 3fe8d1b64a05"),
    "half-applied": ("diagnose", "migrate", "runs 1"),
    "locked": ("locks", "rollback --revision -1", "runs 1"),
}


def open_demo(settings: Settings, scenario: str) -> int:
    """Build the incident, open the program on it and clear it away; returns the exit status.

    Without a terminal the incident is left for the verbs to be tried on, and what to type is printed.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return _tell(settings, build_demo(scenario, tied=False))
    from magetui.tui.app import open_app

    with build_demo(scenario) as demo:
        selection = Selection(config=str(demo.config), read_only=settings.selection.read_only)
        return open_app(
            replace(settings, selection=selection), demo.environment(os.environ), briefing=demo.story
        )


def _tell(settings: Settings, demo: Demo) -> int:
    lines = [json.dumps(_document(demo), indent=1)] if settings.json else _lines(demo)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _commands(demo: Demo) -> list[str]:
    return [f"magetui --config {demo.config} {verb}" for verb in TRY[demo.scenario]]


def _document(demo: Demo) -> dict[str, object]:
    return {
        "scenario": demo.scenario,
        "folder": str(demo.folder),
        "config": str(demo.config),
        "database": str(demo.database),
        "state_home": str(demo.state_home),
        "holder": demo.holder_pid,
        "story": demo.story,
        "commands": _commands(demo),
    }


def _lines(demo: Demo) -> Iterable[str]:
    yield f"practice incident  {demo.scenario}"
    yield f"folder             {demo.folder}"
    yield ""
    yield from textwrap.wrap(demo.story, WRAP)
    if demo.holder is not None:
        yield f"The lock is held by process {demo.holder_pid}, for {LOOSE_SECONDS // 60} minutes from now."
    yield ""
    yield f"export XDG_STATE_HOME={demo.state_home}    # keeps practice runs apart from real ones"
    yield from _commands(demo)
    yield ""
    yield "Delete the folder when you are done."
