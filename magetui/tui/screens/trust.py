"""The question whether a project's own code may run, before any of it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from magetui.text import formats
from magetui.text.consent import Consent
from magetui.text.trust import QUESTION, trust_lines
from magetui.tui.screens.base import OverScreen
from magetui.tui.screens.session import SCROLL_KEYS
from magetui.tui.theme import STRONG
from magetui.tui.widgets.consent import ConsentForm

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.engine.project.trust import ProjectCode


class TrustScreen(OverScreen):
    """Ask whether the project is trusted. Only a yes calls `trusted`."""

    NAME = "Trust"
    ABOUT = (
        "The files that decide which of the project's code would run. Enter on the button trusts them as they are, and "
        "magetui remembers it. Escape leaves the project untrusted: magetui then reads the database and the text of "
        "the scripts, and runs nothing of the project."
    )
    BINDINGS = [*SCROLL_KEYS]

    def __init__(self, code: ProjectCode, trusted: Callable[[], None]) -> None:
        super().__init__()
        self._code = code
        self._trusted = trusted

    def compose_body(self) -> ComposeResult:
        lines = [formats.plain(line) for line in trust_lines(self._code)]
        with VerticalScroll():
            yield Static(Content("\n\n".join(lines)), markup=False)
        yield ConsentForm("Trust it", id="consent")

    def on_mount(self) -> None:
        self.entitle((" Trust", STRONG), f"   {formats.plain(self._code.folder)}")
        self.query_one(ConsentForm).ask(Consent(QUESTION))

    @on(ConsentForm.Given)
    def _given(self) -> None:
        self.dismiss(None)
        self._trusted()
