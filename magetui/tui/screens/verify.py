"""The verify screen: compare the live schema with the schema that a replay of the chain builds."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll

from magetui.text.consent import QUESTION
from magetui.tui.screens.base import ScrolledScreen
from magetui.tui.theme import STRONG
from magetui.tui.widgets.question import CHOICE
from magetui.tui.widgets.verification import VerdictView


class VerifyScreen(ScrolledScreen):
    NAME = "Verify"
    ABOUT = (
        "Compare the live schema with the schema that the current revision makes. The chain is replayed from the "
        "start: in memory for SQLite; for PostgreSQL in a scratch schema, in one transaction that is never committed. "
        "Without a current revision, the revision that the schema matches is used. y consents to the replay. Closing "
        "the screen stops the replay. This screen stamps nothing; on the plan of a stamp, v verifies its revision."
    )
    BINDINGS = [
        Binding("y", "consent", "Yes", tooltip="replay the chain"),
        Binding("n,enter", "refuse", "No", tooltip="close without a replay"),
        Binding("r", "again", "Again", tooltip="read everything again"),
    ]

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield VerdictView(f"{QUESTION} {CHOICE}", id="verdict")

    def on_mount(self) -> None:
        self.entitle((" Verify", STRONG), f"   {self.magetui.database_label}")
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

    def action_again(self) -> None:
        self._view.forget()
        self._view.verify(None)
