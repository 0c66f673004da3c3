"""The explain screen: a pasted log, and below it what its error means, here and now.

Nothing of the log is stored. It is explained when the pasting has come to rest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import on, work
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static, TextArea
from textual.worker import get_current_worker

from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.tui.engine_loader import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging
from magetui.verbs import VERBS

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from magetui.engine.explain.explanation import Explanation

REST_SECONDS = 0.3  # without a change of the text
PASTE = "Paste a log of a failed migration: the lines of Alembic, of the traceback, and around them."
# The verbs that the screen has another key for: the plan of a migration has its preflight.
NEXT_ACTIONS = {"diagnose": "refresh", "history": "revisions", "preflight": "migrate", "config": "connect"}
LABELS = {verb.name: verb.label for verb in VERBS}


class ExplainScreen(OverScreen):
    NAME = "Explain"
    ABOUT = (
        "Paste a log, as 'kubectl logs' prints it, into the upper half. Below is what its error means, what the failed "
        "run left, what the live database says of it, and the key of the next step, which acts when this screen is "
        "closed. Nothing of the log is stored."
    )

    def __init__(self) -> None:
        super().__init__()
        self._rest: Timer | None = None

    def compose_body(self) -> ComposeResult:
        yield TextArea(id="log-text", soft_wrap=False, show_cursor=True)
        with VerticalScroll():
            yield Static(Content.styled(PASTE, QUIET), id="explanation", markup=False)
        yield Static(id="next-step", markup=False)

    def on_mount(self) -> None:
        self.entitle((" Explain a log", STRONG), f"   {self.magetui.database_label}")
        self.query_one(TextArea).focus()

    @on(TextArea.Changed)
    def _changed(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(REST_SECONDS, self._explain)

    def _explain(self) -> None:
        text = self.query_one(TextArea).text
        if text.strip():
            self._read(text)
        else:
            self.workers.cancel_group(self, "explain")
            self._show(Content.styled(PASTE, QUIET))

    @work(thread=True, exclusive=True, group="explain", exit_on_error=False)
    def _read(self, text: str) -> None:
        load_engine()
        from magetui.engine.explain.explanation import compare, explain
        from magetui.engine.explain.reading import read_log
        from magetui.engine.schema.snapshot import open_reading
        from magetui.text.explanation import UNKNOWN

        worker = get_current_worker()
        error = read_log(text, self.magetui.cleaned)
        if error is None:
            self.call_later(self._show, Content.styled(UNKNOWN, WARNING))
            return
        explanation, problem = explain(error), ""
        self.call_later(self._explained, explanation, "comparing with the database …")
        try:
            with open_reading(self.magetui.open_workspace()) as reading:
                explanation = replace(explanation, live=compare(explanation, reading))
        except MagetuiError as failure:
            problem = f"This was not compared with the database. {failure.message}"
        if not worker.is_cancelled:  # there may be another text by now
            self.call_later(self._explained, explanation, problem)

    def _explained(self, explanation: Explanation, note: str) -> None:
        from magetui.text.explanation import sentences

        width = max(20, self.size.width - 4)
        first, *others = (formats.plain(self.magetui.advise(line)) for line in sentences(explanation))
        lines = [Content.styled(first, STRONG)]
        lines += [part for text in others for part in hanging("", text, width)]
        lines += hanging("", formats.plain(self.magetui.advise(note)), width, style=QUIET) if note else []
        name = NEXT_ACTIONS.get(explanation.next, explanation.next)
        label = LABELS.get(name, name.capitalize())
        step = f"next  esc, then {self.magetui.key_of(name)} ({label})"
        self._show(Content("\n").join(lines), Content.styled(step, STRONG))

    def _show(self, content: Content, step: Content = Content()) -> None:  # noqa: B008 - it is immutable
        if self.is_attached:
            self.query_one("#explanation", Static).update(content)
            self.query_one("#next-step", Static).update(step)
