"""Late imports of large libraries, one thread at a time.

The modules of SQLAlchemy and Alembic import each other in circles. If two threads enter such a circle at different
modules, one of them gets a partly initialised module, unless both import through `load`.
"""

from __future__ import annotations

import threading
from importlib import import_module

ALEMBIC = ("alembic.script", "alembic.runtime.migration")
_turn = threading.Lock()


def load(*modules: str) -> None:
    """Import `modules`, given by their full names. The second call costs nothing."""
    with _turn:
        for name in modules:
            import_module(name)
