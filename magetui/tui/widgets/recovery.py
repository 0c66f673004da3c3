"""The guided recovery: the steps of Mage's documentation for `mage db`, which are done here, and which is next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from textual.content import Content
from textual.widgets import Static

from magetui.tui.theme import GOOD, QUIET, STRONG, WARNING

Step = Literal["backup", "diagnose", "history", "schema", "change", "again"]

# The step, the actions whose keys do it, and its name.
STEPS: tuple[tuple[Step, tuple[str, ...], str], ...] = (
    ("backup", ("backup",), "back up"),
    ("diagnose", ("diagnose",), "diagnose"),
    ("history", ("revisions",), "history"),
    ("schema", ("schema",), "schema"),
    ("change", ("migrate", "rollback", "stamp"), "change"),
    ("again", ("diagnose",), "diagnose again"),
)


class RecoveryStrip(Static):
    """One line. It is shown while something is wrong, and after a change."""

    def __init__(self, key_of: Callable[[str], str]) -> None:
        super().__init__(id="recovery", markup=False)
        self._key_of = key_of
        self._done: set[Step] = set()
        self.display = False

    def forget(self) -> None:
        """Forget the steps, because they were done on another database."""
        self._done.clear()
        self.display = False

    def mark(self, step: Step) -> None:
        """Note that a step is done. A new change needs another diagnosis after it."""
        self._done.add(step)
        if step == "change":
            self._done.discard("again")
        self.update(self._line(), layout=False)

    def diagnosed(self, *, well: bool) -> None:
        """Note a diagnosis, and show the strip unless nothing is wrong and nothing was changed."""
        self.mark("again" if "change" in self._done else "diagnose")
        self.display = not well or "change" in self._done

    def _line(self) -> Content:
        following = next((step for step, _actions, _name in STEPS if step not in self._done), None)
        parts: list[tuple[str, str]] = [(" recovery", QUIET)]
        for step, actions, name in STEPS:
            keys = " ".join(map(self._key_of, actions))
            if step in self._done:
                parts += [("  ✓ ", GOOD), (name, QUIET)]
            else:
                mark, style = ("▸ ", WARNING) if step == following else ("· ", QUIET)
                parts += [("  ", ""), (mark, style), (keys, STRONG), (f" {name}", "")]
        return Content.assemble(*parts)
