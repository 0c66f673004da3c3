"""Load the engine after the first paint and before its first use.

Every thread that uses the engine calls `load_engine` first. So does every screen over the main screen, in the thread
that draws (`engine.importing` says why).
"""

from __future__ import annotations

from magetui.engine.importing import load

ENGINE = (
    "magetui.engine.backup",
    "magetui.engine.diagnosis.diagnosis",
    "magetui.engine.plan",
    "magetui.engine.runs.actions",
    "magetui.engine.runs.start",
    "magetui.engine.schema.introspect",
    "magetui.engine.sessions.signals",
    "magetui.engine.workspace",
)


def load_engine() -> None:
    """Import the engine. Every call after the first one costs nothing."""
    load(*ENGINE)
