"""The verify screen: compare the live schema with the schema that a replay of the chain builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import VerticalScroll

from magetui.tui.screens.base import ScrolledScreen
from magetui.tui.theme import STRONG
from magetui.tui.widgets.verification import VerdictView

if TYPE_CHECKING:
    from textual.app import ComposeResult


class VerifyScreen(ScrolledScreen):
    NAME = "Verify"
    ABOUT = (
        "Compare the live schema with the schema that the current revision makes. The chain is replayed from the "
        "start: in memory for SQLite; for PostgreSQL in a scratch schema, in one transaction that is never committed. "
        "Without a current revision, the revision that the schema matches is used. Enter on the button consents to the "
        "replay. Closing the screen stops the replay. This screen stamps nothing; on the plan of a stamp, v verifies "
        "its revision."
    )
    BINDINGS = [
        Binding("r", "again", "Read again", tooltip="read everything again"),
    ]

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield VerdictView(id="verdict")

    def on_mount(self) -> None:
        self.entitle((" Verify", STRONG), f"   {self.magetui.database_label}")
        self.action_again()

    @property
    def _view(self) -> VerdictView:
        return self.query_one(VerdictView)

    @on(VerdictView.Changed)
    def _changed(self) -> None:
        self.refresh_bindings()

    def action_again(self) -> None:
        self._view.forget()
        self._view.verify(None)
