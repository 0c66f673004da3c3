"""Load the engine after the first paint and before its first use.

Every thread that uses the engine calls `load_engine` first, or `load_reading` if it only reads the state. So does every
screen over the main screen, in the thread that draws (`engine.importing` says why).
"""

from __future__ import annotations

from magetui.engine.importing import load

READING = (
    "sqlalchemy",
    "magetui.engine.diagnosis.diagnosis",
    "magetui.engine.schema.snapshot",
    "magetui.engine.workspace",
)
ENGINE = (
    *READING,
    "magetui.engine.backup",
    "magetui.engine.plan",
    "magetui.engine.runs.actions",
    "magetui.engine.runs.start",
    "magetui.engine.schema.introspect",
    "magetui.engine.sessions.signals",
)


def load_reading() -> None:
    """Import what reads the state, and no more: the operator waits for the state."""
    load(*READING)


def load_engine() -> None:
    """Import the engine. Every call after the first one costs nothing."""
    load(*ENGINE)
