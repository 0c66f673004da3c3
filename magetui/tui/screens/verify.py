"""The verify screen: compare the live schema with the schema that a replay of the chain builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on
from textual.binding import Binding
from textual.containers import VerticalScroll

from magetui.text import formats
from magetui.tui.screens.base import ScrolledScreen
from magetui.tui.theme import STRONG
from magetui.tui.verb_keys import WAYS_OUT
from magetui.tui.widgets.verification import VerdictView

if TYPE_CHECKING:
    from textual.app import ComposeResult


class VerifyScreen(ScrolledScreen):
    NAME = "Verify"
    TELLS_VERDICT = True
    ABOUT = (
        "Compare the live schema with the schema that a revision makes: the current one, or the one that was at the "
        "cursor of the evidence screen if the schema matches it. The chain is replayed from the start: in memory for "
        "SQLite; for PostgreSQL in a scratch schema, in one transaction that is never committed. Without a current "
        "revision, the revision that the schema matches is used. Enter on the button consents to the replay. Closing "
        "the screen stops the replay. The differences are listed by table, expected and live: - missing, + extra, "
        "! different. This screen stamps nothing; on the plan of a stamp, v verifies its revision."
    )
    BINDINGS = [
        Binding("e", "evidence", "Evidence", tooltip="show which revision the schema matches"),
        Binding("u", "verb('runs')", "Runs", tooltip="list the recorded runs"),
        *WAYS_OUT,
        Binding("r", "again", "Read again", tooltip="read everything again"),
    ]

    def __init__(self, revision: str | None = None) -> None:
        super().__init__()
        self._revision = revision

    def compose_body(self) -> ComposeResult:
        with VerticalScroll():
            yield VerdictView(id="verdict")

    def on_mount(self) -> None:
        self._entitle()
        self.action_again()

    @property
    def _view(self) -> VerdictView:
        return self.query_one(VerdictView)

    def _entitle(self) -> None:
        about = formats.plain(self._view.about or self._revision or "")
        counts = f"  {self._view.counts}" if self._view.counts else ""
        self.entitle((" Verify", STRONG), f"  {about}" if about else "", counts, f"   {self.magetui.database_label}")

    @on(VerdictView.Changed)
    def _changed(self) -> None:
        self._entitle()
        self.refresh_bindings()

    def action_again(self) -> None:
        self._view.forget()
        self._view.verify(self._revision)

    def action_evidence(self) -> None:
        self.magetui.show_main()
        self.magetui.action_evidence()
