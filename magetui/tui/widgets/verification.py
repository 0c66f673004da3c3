"""What a verification says, as a part of a screen: it rehearses, asks where live data is, builds, and tells.

The plan screen of a stamp and the verify screen have one of these each. Its work ends with it: a screen that is left
stops the replay, and what was built goes with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from textual import on, work
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, get_current_worker

from magetui.tui.loading import load_engine
from magetui.tui.shell import shell_of
from magetui.tui.theme import CRITICAL, QUIET, STRONG, WARNING

if TYPE_CHECKING:
    from magetui.engine.verify import ReplayPlan
    from magetui.text.verification import Verdict
    from magetui.tui.shell import Shell

STYLES = {"missing": WARNING, "too much": WARNING, "different": WARNING}
Stage = Literal["idle", "reading", "asked", "building", "told"]


class VerdictView(Static):
    """See the module. `verify` begins, or says yes where it was asked; posts `VerdictView.Changed` at each stage."""

    class Rehearsed(Message):
        """What would be built is known, or why nothing can be (`problem`)."""

        def __init__(self, question: int, rehearsal: ReplayPlan | None, said: tuple[str, ...], problem: str) -> None:
            self.question = question
            self.rehearsal = rehearsal
            self.said = said
            self.problem = problem
            super().__init__()

    class Judged(Message):
        """The verdict is there, or why there is none (`problem`)."""

        def __init__(self, question: int, verdict: Verdict | None, problem: str) -> None:
            self.question = question
            self.verdict = verdict
            self.problem = problem
            super().__init__()

    class Changed(Message):
        """It is at another stage."""

        def __init__(self, view: VerdictView) -> None:
            self.view = view
            super().__init__()

    def __init__(self, question: str, id: str) -> None:
        super().__init__(id=id, markup=False)
        self.stage: Stage = "idle"
        self._asks = question
        self._question = 0  # of the latest one asked; answers to earlier ones are not listened to
        self._rehearsal: ReplayPlan | None = None

    def verify(self, revision: str | None) -> None:
        """Begin; where consent was asked for, this is it; while it is at work, it goes on."""
        if self.stage == "asked" and self._rehearsal is not None:
            self._build(self._rehearsal)
        elif self.stage in ("idle", "told"):
            self._question += 1
            self._show("reading", Content.styled("looking at the scripts and the current revision …", QUIET))
            self._rehearse(self._question, revision)

    def forget(self) -> None:
        """What it said is of another revision."""
        self._question += 1
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
        self._magetui.tell_unforeseen(event)

    # -- asking

    @work(thread=True, exclusive=True, group="verify", exit_on_error=False)
    def _rehearse(self, question: int, revision: str | None) -> None:
        load_engine()
        from magetui.engine import verify as replay
        from magetui.engine.errors import MagetuiError
        from magetui.text.verification import announced

        workspace = self._magetui.open_workspace()
        try:
            rehearsal = replay.plan_replay(workspace, revision)
            said = announced(workspace.chain, rehearsal, workspace.clean)
        except (MagetuiError, OSError) as error:
            self.post_message(self.Rehearsed(question, None, (), str(error)))
            return
        self.post_message(self.Rehearsed(question, rehearsal, said, ""))

    def on_verdict_view_rehearsed(self, message: Rehearsed) -> None:
        if message.question != self._question:
            return
        if message.rehearsal is None:
            self._show("told", _problem(message.problem))
            return
        self._rehearsal = message.rehearsal
        if not message.rehearsal.needs_consent:
            self._build(message.rehearsal)
            return
        lines = [*map(Content, message.said), Content.styled(self._asks, WARNING)]
        self._show("asked", Content("\n").join(lines))

    def _build(self, rehearsal: ReplayPlan) -> None:
        count = len(rehearsal.steps)
        revisions = "1 revision" if count == 1 else f"{count} revisions"
        self._show("building", Content.styled(f"replaying {revisions} from nothing, and comparing …", QUIET))
        self._judge(self._question, rehearsal)

    @work(thread=True, exclusive=True, group="verify", exit_on_error=False)
    def _judge(self, question: int, rehearsal: ReplayPlan) -> None:
        from magetui.engine import verify as replay
        from magetui.engine.errors import MagetuiError
        from magetui.text.verification import judge

        worker = get_current_worker()
        workspace = self._magetui.open_workspace()
        try:
            found = replay.verify(workspace, rehearsal, lambda: worker.is_cancelled)
            verdict = judge(workspace.chain, found, workspace.clean)
        except (MagetuiError, OSError) as error:
            self.post_message(self.Judged(question, None, str(error)))
            return
        self.post_message(self.Judged(question, verdict, ""))

    def on_verdict_view_judged(self, message: Judged) -> None:
        if message.question == self._question:
            self._rehearsal = None
            told = _problem(message.problem) if message.verdict is None else _told(message.verdict)
            self._show("told", told)


def _problem(problem: str) -> Content:
    from magetui.text import formats

    return Content.assemble(("Nothing was verified. ", CRITICAL), formats.plain(problem))


def _told(verdict: Verdict) -> Content:
    first, *others = verdict.sentences
    lines = [Content.styled(first, STRONG if verdict.equal else CRITICAL)]
    for state, text in verdict.details:
        lines.append(Content.assemble((f"  {state:<9} ", STYLES.get(state, "")), text))
    return Content("\n").join([*lines, *map(Content, others)])
