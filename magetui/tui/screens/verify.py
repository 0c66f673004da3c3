"""The verify screen: the live schema against the one that its current revision's revision makes, built from nothing."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.widgets import Footer, Static

from magetui.text.consent import QUESTION
from magetui.tui.screens.details import ScrolledScreen
from magetui.tui.theme import STRONG
from magetui.tui.widgets.question import CHOICE
from magetui.tui.widgets.verification import VerdictView


class VerifyScreen(ScrolledScreen):
    """Asks where it would write, then tells every difference."""

    NAME = "Verify"
    ABOUT = (
        "Whether the live schema is what the revision at the current revision makes, to the letter: the chain is replayed from "
        "nothing, in memory for SQLite, in a scratch schema for PostgreSQL, in one transaction that is never "
        "committed. Without a current revision, the revision that the schema looks like is taken. y builds it where you are "
        "asked; leaving the screen stops it. Nothing is stamped here; on the plan of a stamp, v verifies its revision."
    )
    BINDINGS = [
        Binding("y", "consent", "Yes", tooltip="build it"),
        Binding("n,enter", "refuse", "No", tooltip="build nothing"),
        Binding("r", "again", "Again", tooltip="look at everything again"),
    ]

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with VerticalScroll():
            yield VerdictView(f"{QUESTION} {CHOICE}", id="verdict")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.entitle((" Verify", STRONG), f"   {self.magetui.place}")
        self.action_again()

    @property
    def _view(self) -> VerdictView:
        return self.query_one(VerdictView)

    @on(VerdictView.Changed)
    def _changed(self) -> None:
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action in ("consent", "refuse"):
            return self._view.stage == "asked" if self.is_mounted else False
        return True

    def action_consent(self) -> None:
        self._view.verify(None)

    def action_refuse(self) -> None:
        self.action_close()

    def action_again(self) -> None:
        self._view.forget()
        self._view.verify(None)
