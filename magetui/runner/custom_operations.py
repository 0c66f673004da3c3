"""Operations that are not Alembic's: an extension package or the project registers them, often from `env.py`.

The recorder does not run `env.py`. It imports the extensions that `env.py` imports, so that their operations exist. An
operation that is missing, or that cannot be followed, becomes `Unclear`: it may change whatever its arguments name.
"""

from __future__ import annotations

import ast
import importlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from alembic import op
from alembic.operations import Operations

from magetui.model import operations as recorded

ALEMBICS_OWN = frozenset(dir(Operations))  # before any extension is imported
DEEPEST = 4  # levels of containers and objects in which words are looked for
TAKES_TABLES = ("drop", "rename", "delete", "replace")


def import_extensions(env_py: Path) -> None:
    """Import the modules of other packages that `env.py` imports and whose names contain 'alembic'.

    An extension that cannot be imported is left out: the operations that it has are then missing.
    """
    try:
        tree = ast.parse(env_py.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for name in dict.fromkeys(_imported(tree)):
        package = name.partition(".")[0]
        if "alembic" in name and package != "alembic":
            with suppress(Exception):  # whatever a module does when it is imported
                importlib.import_module(name)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def custom_names() -> Iterable[str]:
    """Return the names of the operations that are registered and not Alembic's."""
    return [name for name in dir(Operations) if name not in ALEMBICS_OWN]


@contextmanager
def missing_operations(call: Callable[[str], Callable[..., None]]) -> Iterator[None]:
    """Let `op.<name>` be `call(name)` for each operation that is not registered (PEP 562)."""

    def missing(name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)
        return call(name)

    names = vars(op)
    names["__getattr__"] = missing
    try:
        yield
    finally:
        del names["__getattr__"]


class Written(io.StringIO):
    """The output of Alembic's offline mode: what an extension writes to it is recorded, a statement a call."""

    def __init__(self, executed: Callable[[str], None]) -> None:
        super().__init__()
        self._executed = executed

    def write(self, text: str) -> int:
        if text.strip():
            self._executed(text)
        return len(text)


def unclear(name: str, *values: Any) -> recorded.UnclearCall:
    """Return the operation `name` as a change of whatever its arguments name."""
    words = frozenset(word for text in _texts(values, DEEPEST) for word in re.findall(r"\w+", text))
    return recorded.UnclearCall(words, any(verb in name.lower() for verb in TAKES_TABLES), name)


def _texts(value: Any, depth: int) -> Iterator[str]:
    """Yield the strings in a value: in containers, and in the attributes of objects."""
    if isinstance(value, str):
        yield value
    elif depth == 0 or value is None or isinstance(value, (int, float, bytes, type)):
        return
    elif isinstance(value, Mapping):
        yield from _texts([*value, *value.values()], depth)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _texts(item, depth - 1)
    else:
        attributes = vars(value) if hasattr(value, "__dict__") else {}
        yield from _texts([text for name, text in attributes.items() if not name.startswith("_")], depth - 1)
