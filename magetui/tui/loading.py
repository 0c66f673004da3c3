"""Loading the engine: after the first screen is drawn, and before anything uses it.

Whoever uses the engine in a thread of its own calls `load_engine` first, and so does a screen over the main one, in the
thread that draws (`engine.importing` says why).
"""

from __future__ import annotations

from magetui.engine.importing import load

ENGINE = tuple(
    f"magetui.engine.{name}" for name in ("workspace", "diagnosis", "schema", "plan", "locks", "runs", "backup")
)


def load_engine() -> None:
    """Import the engine; after the first time it costs nothing."""
    load(*ENGINE)
