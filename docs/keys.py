"""Writes `docs/keys.md`, the table of all keys, from the bindings of the screens, panes and lists.

uv run python -m docs.keys
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode

import magetui.tui.panes
import magetui.tui.screens
import magetui.tui.widgets
from magetui.tui.app import MagetuiApp

HERE = Path(__file__).resolve().parent
PACKAGES = (magetui.tui.screens, magetui.tui.panes, magetui.tui.widgets)
NAMES = {"colon": ":", "question_mark": "?", "slash": "/", "space": "space"}
HEAD = """# Keys

Every key has one meaning, on whatever screen it works. The last line of a screen names those that work now, and `?`
explains them. The keys of the verbs can be changed in `[keys]` of the configuration. This table is written by
`uv run python -m docs.keys`.

| key | meaning | where |
| --- | --- | --- |
"""


@dataclass
class Meaning:
    """The labels of a key, and the classes that bind it."""

    labels: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)


def classes() -> Iterator[type[DOMNode]]:
    """Yield the app, and every class of a screen, pane or widget."""
    yield MagetuiApp
    for package in PACKAGES:
        for module in pkgutil.iter_modules(package.__path__):
            name = f"{package.__name__}.{module.name}"
            for found in vars(importlib.import_module(name)).values():
                if isinstance(found, type) and issubclass(found, DOMNode) and found.__module__ == name:
                    yield found


def meanings() -> dict[str, Meaning]:
    """Return what each key means."""
    found: dict[str, Meaning] = {}
    for owner in classes():
        for binding in Binding.make_bindings(owner.__dict__.get("BINDINGS", ())):
            if not binding.description:  # it only says why another one does nothing now
                continue
            meaning = found.setdefault(NAMES.get(binding.key, binding.key), Meaning())
            meaning.labels.add(binding.description)
            meaning.places.add(owner.__name__)
    return found


def table() -> str:
    """Return the document."""
    rows = []
    for key, meaning in sorted(meanings().items(), key=lambda item: (len(item[0]) > 1, item[0].lower(), item[0])):
        places = sorted(place.removesuffix("Screen").removesuffix("Pane") for place in meaning.places)
        where = ", ".join(places).replace("MagetuiApp", "everywhere")
        rows.append(f"| `{key}` | {' / '.join(sorted(meaning.labels))} | {where} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    (HERE / "keys.md").write_text(table(), encoding="utf-8")
