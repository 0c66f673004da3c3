"""Loading the engine, one thread at a time.

Two threads that import modules which import each other, as Alembic's and SQLAlchemy's do, may get one that is only
half made: Python breaks what would be a deadlock of its import locks that way. So whoever uses the engine in a thread
of its own calls `load_engine` first.
"""

from __future__ import annotations

import threading
from importlib import import_module

ENGINE = ("workspace", "diagnosis", "schema", "plan", "locks", "runs", "backup")
_turn = threading.Lock()


def load_engine() -> None:
    """Import the engine; after the first time it costs nothing."""
    with _turn:
        for name in ENGINE:
            import_module(f"magetui.engine.{name}")
