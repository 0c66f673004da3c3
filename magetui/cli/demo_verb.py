"""The verb `demo` without a terminal: it builds a practice incident and prints where it is and what to type."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from magetui.cli.output import answer
from magetui.engine.demo.demo import LOOSE_SECONDS, Demo, Scenario, build_demo
from magetui.text import documents

if TYPE_CHECKING:
    from magetui.config.settings import Settings

WRAP = 100
TRY: dict[Scenario, tuple[str, ...]] = {
    "behind": ("diagnose", "plan migrate", "migrate", "rollback --revision -1"),
    "unknown-revision": ("diagnose", "schema", "stamp head --replace-unknown-revision 3fe8d1b64a05"),
    "half-applied": ("diagnose", "migrate", "evidence", "plan undo", "finish"),
    "locked": ("locks", "rollback --revision -1", "runs 1"),
}


def show_practice(settings: Settings, values: Mapping[str, Any]) -> int:
    """Build the incident and print the commands to try. The incident stays until its folder is deleted."""
    demo = build_demo(values["scenario"], tied=False)
    answer(settings, lambda: documents.demo_document(demo, _commands(demo)), lambda _text: _lines(demo))
    return 0


def _commands(demo: Demo) -> list[str]:
    return [f"magetui --config {demo.config} {verb}" for verb in TRY[demo.scenario]]


def _lines(demo: Demo) -> Iterable[str]:
    yield f"practice incident  {demo.scenario}"
    yield f"folder             {demo.folder}"
    yield ""
    yield from textwrap.wrap(demo.story, WRAP)
    if demo.holder is not None:
        yield (
            f"Process {demo.holder_pid} holds the lock. It ends after {LOOSE_SECONDS // 60} minutes, or when the "
            f"folder is deleted. To end it earlier: kill {demo.holder_pid}"
        )
    yield ""
    yield f"export XDG_STATE_HOME={demo.state_home}    # keeps practice runs apart from real runs"
    yield from _commands(demo)
    yield ""
    yield "Delete the folder when you are done."
