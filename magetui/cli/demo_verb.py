"""A practice incident without a terminal: where it is, and what to type."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from magetui.cli.output import print_lines
from magetui.config.settings import Settings
from magetui.engine.demo.demo import LOOSE_SECONDS, Demo, Scenario, build_demo

WRAP = 100
TRY: dict[Scenario, tuple[str, ...]] = {
    "behind": ("diagnose", "plan migrate", "migrate", "rollback --revision -1"),
    "unknown-revision": ("diagnose", "schema", "stamp head --replace-unknown-revision 3fe8d1b64a05"),
    "half-applied": ("diagnose", "migrate", "evidence", "plan undo", "finish"),
    "locked": ("locks", "rollback --revision -1", "runs 1"),
}


def tell_practice(settings: Settings, values: Mapping[str, Any]) -> int:
    """Build the incident, leave it for the verbs to be tried on, and say what to type."""
    demo = build_demo(values["scenario"], tied=False)
    print_lines([json.dumps(_document(demo), indent=1)] if settings.json else _lines(demo))
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
