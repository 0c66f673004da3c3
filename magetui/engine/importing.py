"""Importing what is large and imported late, one thread at a time.

SQLAlchemy's and Alembic's modules import each other. Two threads that enter such a ring at different modules may get
one that is only half made: Python breaks what would be a deadlock of its import locks that way. Threads that go through
`load` first find everything made.
"""

from __future__ import annotations

import threading
from importlib import import_module

ALEMBIC = ("alembic.script", "alembic.runtime.migration")
_turn = threading.Lock()


def load(*modules: str) -> None:
    """Import `modules`, by their full names; after the first time it costs nothing."""
    with _turn:
        for name in modules:
            import_module(name)
