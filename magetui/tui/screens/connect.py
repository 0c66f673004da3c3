"""The connect screen: another database, by its URL."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Footer, Input, Static

from magetui.tui.loading import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import QUIET, STRONG, WARNING


class ConnectScreen(OverScreen):
    """Takes a URL, hidden as it is typed, since it holds a password."""

    NAME = "Connect"
    ABOUT = "Connect to another database by its SQLAlchemy URL. What is typed is not shown and not kept."

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        yield Static("\n The database's URL, such as postgresql://user:password@host:5432/database", markup=False)
        yield Static(
            " It is not shown while you type, since it holds a password. Empty: as at the start.",
            markup=False,
        )
        field = Input(password=True, compact=True, id="url")
        field.cursor_blink = False
        yield field
        yield Static(id="problem", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self.entitle((" Connect", STRONG), ("   now ", QUIET), self.magetui.place)
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        load_engine()
        from magetui import words
        from magetui.engine.errors import ConnectError
        from magetui.engine.target import parse_target

        url = event.value.strip()
        place = None
        if url:
            try:
                place = words.place(parse_target(url, "what was typed").redacted)
            except ConnectError as error:  # what was typed stays, to be mended
                self.query_one("#problem", Static).update(Content.styled(f" {error.message}", WARNING))
                return
        self.magetui.connect_to(url or None, place)
        self.dismiss(None)
