"""A verification as a part of a screen: it prepares, asks for consent on a live server, replays, and shows the result.

The plan screen of a stamp and the verify screen each have one. Its workers end with the widget: leaving the screen
stops the replay and deletes the scratch schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from textual import on, work
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, get_current_worker

from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.tui.engine_loader import load_engine
from magetui.tui.shell import shell_of
from magetui.tui.theme import CRITICAL, QUIET, STRONG, WARNING

if TYPE_CHECKING:
    from magetui.engine.verify import ReplayPlan
    from magetui.text.verification import Verdict
    from magetui.tui.shell import Shell

STYLES = {"missing": WARNING, "too much": WARNING, "different": WARNING}
Stage = Literal["idle", "preparing", "asked", "replaying", "shown"]


class VerdictView(Static):
    """The verification. `verify` starts it, or consents to it; each new stage posts `VerdictView.Changed`."""

    class Rehearsed(Message):
        """The replay was prepared, or it cannot be done (`problem`). `request` is the number of the request."""

        def __init__(self, request: int, rehearsal: ReplayPlan | None, lines: tuple[str, ...], problem: str) -> None:
            self.request = request
            self.rehearsal = rehearsal
            self.lines = lines
            self.problem = problem
            super().__init__()

    class Judged(Message):
        """The schemas were compared, or they could not be compared (`problem`)."""

        def __init__(self, request: int, verdict: Verdict | None, problem: str) -> None:
            self.request = request
            self.verdict = verdict
            self.problem = problem
            super().__init__()

    class Changed(Message):
        """The verification has reached another stage."""

        def __init__(self, view: VerdictView) -> None:
            self.view = view
            super().__init__()

    def __init__(self, question: str, id: str) -> None:
        super().__init__(id=id, markup=False)
        self.stage: Stage = "idle"
        self._question = question
        self._request = 0  # the number of the latest request; answers to earlier requests are ignored
        self._rehearsal: ReplayPlan | None = None

    def verify(self, revision: str | None) -> None:
        """Start, or consent if consent was asked for. Do nothing while a verification is under way."""
        if self.stage == "asked" and self._rehearsal is not None:
            self._replay(self._rehearsal)
        elif self.stage in ("idle", "shown"):
            self._request += 1
            self._show("preparing", Content.styled("reading the scripts and the current revision …", QUIET))
            self._rehearse(self._request, revision)

    def forget(self) -> None:
        """Stop, and remove the result, because it is about another revision."""
        self._request += 1
        self.workers.cancel_group(self, "verify")
        self._rehearsal = None
        self._show("idle", Content(""))

    def _show(self, stage: Stage, content: Content) -> None:
        self.stage = stage
        self.update(content)
        self.post_message(self.Changed(self))

    @property
    def _magetui(self) -> Shell:
        return shell_of(self)

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        self._magetui.show_unexpected_error(event)

    # -- asking

    @work(thread=True, exclusive=True, group="verify", exit_on_error=False)
    def _rehearse(self, request: int, revision: str | None) -> None:
        load_engine()
        from magetui.engine import verify as replay
        from magetui.text.verification import announced

        workspace = self._magetui.open_workspace()
        try:
            rehearsal = replay.plan_replay(workspace, revision)
            lines = announced(workspace.chain, rehearsal, workspace.clean)
        except (MagetuiError, OSError) as error:
            self.post_message(self.Rehearsed(request, None, (), str(error)))
            return
        self.post_message(self.Rehearsed(request, rehearsal, lines, ""))

    def on_verdict_view_rehearsed(self, message: Rehearsed) -> None:
        if message.request != self._request:
            return
        if message.rehearsal is None:
            self._show("shown", _problem_line(message.problem))
            return
        self._rehearsal = message.rehearsal
        if not message.rehearsal.needs_consent:
            self._replay(message.rehearsal)
            return
        lines = [*map(Content, message.lines), Content.styled(self._question, WARNING)]
        self._show("asked", Content("\n").join(lines))

    # -- replaying

    def _replay(self, rehearsal: ReplayPlan) -> None:
        count = len(rehearsal.steps)
        revisions = "1 revision" if count == 1 else f"{count} revisions"
        text = f"replaying {revisions} on an empty schema, and comparing …"
        self._show("replaying", Content.styled(text, QUIET))
        self._judge(self._request, rehearsal)

    @work(thread=True, exclusive=True, group="verify", exit_on_error=False)
    def _judge(self, request: int, rehearsal: ReplayPlan) -> None:
        from magetui.engine import verify as replay
        from magetui.text.verification import judge

        worker = get_current_worker()
        workspace = self._magetui.open_workspace()
        try:
            verification = replay.verify(workspace, rehearsal, lambda: worker.is_cancelled)
            verdict = judge(workspace.chain, verification, workspace.clean)
        except (MagetuiError, OSError) as error:
            self.post_message(self.Judged(request, None, str(error)))
            return
        self.post_message(self.Judged(request, verdict, ""))

    def on_verdict_view_judged(self, message: Judged) -> None:
        if message.request == self._request:
            self._rehearsal = None
            verdict = message.verdict
            self._show("shown", _problem_line(message.problem) if verdict is None else _verdict_lines(verdict))


def _problem_line(problem: str) -> Content:
    return Content.assemble(("Nothing was verified. ", CRITICAL), formats.plain(problem))


def _verdict_lines(verdict: Verdict) -> Content:
    first, *others = verdict.sentences
    lines = [Content.styled(first, STRONG if verdict.equal else CRITICAL)]
    for state, text in verdict.details:
        lines.append(Content.assemble((f"  {state:<9} ", STYLES.get(state, "")), text))
    return Content("\n").join([*lines, *map(Content, others)])
