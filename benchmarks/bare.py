"""The smallest Textual program, the reference for our start-up time. `benchmarks.screen` runs it."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Footer, Static


class BareApp(App[None]):
    """One line of text and a footer."""

    def compose(self) -> ComposeResult:
        yield Static("a bare app is ready")
        yield Footer()


if __name__ == "__main__":
    BareApp().run()
