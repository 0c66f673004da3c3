"""A verification as a part of a screen: it prepares, asks for consent on a live server, replays, and shows the result.

The plan screen of a stamp and the verify screen each have one. Its workers end with the widget: leaving the screen
stops the replay and deletes the scratch schema.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

from textual import on, work
from textual.containers import Vertical
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import Static
from textual.worker import Worker, get_current_worker

from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.text.consent import Consent
from magetui.tui.engine_loader import load_engine
from magetui.tui.shell import shell_of
from magetui.tui.theme import CRITICAL, QUIET, STRONG
from magetui.tui.widgets.comparison import columns_of, comparison_heading, comparison_lines
from magetui.tui.widgets.consent import ConsentForm

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from magetui.engine.verify import ReplayPlan
    from magetui.text.verification import Verdict

Stage = Literal["idle", "preparing", "asked", "replaying", "shown"]


class VerdictView(Vertical):
    """The verification. `verify` starts it; each new stage posts `VerdictView.Changed`."""

    class Changed(Message):
        """The verification has reached another stage."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.stage: Stage = "idle"
        self._request = 0  # the number of the latest request; answers to earlier requests are ignored
        self._rehearsal: ReplayPlan | None = None
        self._verdict: Verdict | None = None  # the one that is shown
        self._judged_at = datetime.now()
        self.about = ""  # the revisions that are verified, once they are known

    @property
    def counts(self) -> str:
        """Return '3 differences: 2 missing, 1 extra', 'no differences', or '' before there is a result."""
        from magetui.text.comparison import count_states

        if self._verdict is None:
            return ""
        compared = self._verdict.compared
        return f"{formats.number(len(compared), 'difference')}: {count_states(compared)}" if compared else "equal"

    def compose(self) -> ComposeResult:
        yield Static(id="verdict-text", markup=False)
        yield ConsentForm("Verify", id="replay-consent")

    def on_mount(self) -> None:
        self.display = False

    def verify(self, revision: str | None) -> None:
        """Start. Do nothing while a verification is under way."""
        if self.stage in ("idle", "shown"):
            self._request += 1
            self._show("preparing", Content.styled("reading the scripts and the current revision …", QUIET))
            self._rehearse(self._request, revision)

    def forget(self) -> None:
        """Stop, and remove the result, because it is about another revision."""
        self._request += 1
        self.workers.cancel_group(self, "verify")
        self._rehearsal = None
        self.about = ""
        self._show("idle", Content(""))

    def _show(self, stage: Stage, content: Content, verdict: Verdict | None = None) -> None:
        self.stage, self._verdict = stage, verdict
        self.display = stage != "idle"
        self.query_one("#verdict-text", Static).update(content)
        if stage == "asked":
            self.ask()
        else:
            self.query_one(ConsentForm).say("")
        self.post_message(self.Changed())

    def ask(self) -> None:
        """Ask for the consent to the replay, and take the focus."""
        self.query_one(ConsentForm).ask(Consent())

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        shell_of(self).show_unexpected_error(event)

    # -- asking

    @work(thread=True, exclusive=True, group="verify", exit_on_error=False)
    def _rehearse(self, request: int, revision: str | None) -> None:
        load_engine()
        from magetui.engine import verify as replay
        from magetui.text.verification import announced

        workspace = shell_of(self).open_workspace()
        try:
            rehearsal = replay.plan_replay(workspace, revision)
            lines = announced(workspace.chain, rehearsal, workspace.clean)
        except (MagetuiError, OSError) as error:
            self.call_later(self._failed, request, str(error))
            return
        self.call_later(self._rehearsed, request, rehearsal, lines)

    def _failed(self, request: int, problem: str) -> None:
        if request == self._request:
            self._rehearsal = None
            problem = formats.plain(shell_of(self).advise(problem))
            content = Content.assemble(("Nothing was verified. ", CRITICAL), problem)
            self._show("shown", content)

    def _rehearsed(self, request: int, rehearsal: ReplayPlan, sentences: tuple[str, ...]) -> None:
        if request != self._request:
            return
        self._rehearsal = rehearsal
        self.about = " and ".join(rehearsal.revisions) or "base"
        if not rehearsal.needs_consent:
            self._replay(rehearsal)
            return
        self._show("asked", Content("\n").join(map(Content, sentences)))

    @on(ConsentForm.Given)
    def _consented(self, event: ConsentForm.Given) -> None:
        event.stop()
        if self._rehearsal is not None:
            self._replay(self._rehearsal)

    # -- replaying

    def _replay(self, rehearsal: ReplayPlan) -> None:
        revisions = formats.number(len(rehearsal.steps), "revision")
        text = f"replaying {revisions} on an empty schema, and comparing …"
        self._show("replaying", Content.styled(text, QUIET))
        self._judge(self._request, rehearsal)

    @work(thread=True, exclusive=True, group="verify", exit_on_error=False)
    def _judge(self, request: int, rehearsal: ReplayPlan) -> None:
        from magetui.engine import verify as replay
        from magetui.text.verification import judge

        worker = get_current_worker()
        workspace = shell_of(self).open_workspace()
        try:
            verification = replay.verify(workspace, rehearsal, lambda: worker.is_cancelled)
            verdict = judge(workspace.chain, verification, workspace.clean)
        except (MagetuiError, OSError) as error:
            self.call_later(self._failed, request, str(error))
            return
        self.call_later(self._judged, request, verdict)

    def _judged(self, request: int, verdict: Verdict) -> None:
        if request == self._request:
            self._rehearsal = None
            self._judged_at = datetime.now()
            shell_of(self).note_verification(self.about, equal=verdict.equal)
            self._show("shown", self._verdict_lines(verdict), verdict)

    @on(Resize)
    def _fit_verdict(self) -> None:
        if self._verdict is not None:
            self.query_one("#verdict-text", Static).update(self._verdict_lines(self._verdict))

    def _verdict_lines(self, verdict: Verdict) -> Content:
        first, *others = map(shell_of(self).advise, verdict.sentences)
        width = max(30, self.size.width - 2)
        lines = [Content.styled(first, STRONG if verdict.equal else CRITICAL)]
        if verdict.compared:
            columns = columns_of(verdict.compared, width)
            lines += [comparison_heading("", columns, width), *comparison_lines(verdict.compared, columns), Content("")]
        at = Content.styled(f"Compared at {self._judged_at:%H:%M:%S}.", QUIET)
        return Content("\n").join([*lines, *map(Content, others), at])
