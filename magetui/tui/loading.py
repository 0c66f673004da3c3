"""Loading the engine: after the first screen is drawn, and before anything uses it.

Whoever uses the engine in a thread of its own calls `load_engine` first, and so does a screen over the main one, in the
thread that draws (`engine.importing` says why).
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
    """Import the engine; after the first time it costs nothing."""
    load(*ENGINE)
