"""The run screen: a run's journal as it grows, who is in the way, and how it ended.

It follows the journal and nothing else, so a run of this program, one that goes on since the line dropped, and one of
last month are shown by the same code. Leaving the screen leaves the run alone.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Footer, Static
from textual.worker import get_current_worker

from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import CRITICAL, GOOD, QUIET, STRONG, WARNING

if TYPE_CHECKING:
    from magetui.backends.base import Session
    from magetui.engine.runs import RunRecord, StartedRun, Wait

PULSE_SECONDS = 0.25
BAR_WIDTH = 20
MARKS = {"pending": "○", "running": "▶", "done": "●", "stopped": "✗", "undone": "○"}
OUTPUT_LINES = 12


class RunScreen(OverScreen):
    """One run, live or past."""

    NAME = "Run"
    ABOUT = (
        "A run as its journal tells it: steps and statements with their times and, while it waits, for what, how long "
        "against the lock timeout, and the sessions in the way. x asks it to stop: the statement is cancelled and "
        "rolled back. D or escape leaves this screen; the run goes on, and u shows it again."
    )
    BINDINGS = [
        Binding("x", "cancel", "Cancel the run"),
        Binding("l", "app.locks", "Locks"),
        Binding("D", "close", "Detach"),
        Binding("j,down", "scroll('down')", "Down", show=False),
        Binding("k,up", "scroll('up')", "Up", show=False),
    ]

    class Grown(Message):
        """The journal has grown, or the run has ended."""

        def __init__(self, record: RunRecord) -> None:
            self.record = record
            super().__init__()

    def __init__(self, run: StartedRun | int) -> None:
        super().__init__()
        self._run = run
        self.record: RunRecord | None = None
        self._timer: Timer | None = None
        self._asked = False
        self._live = False  # whether it was seen to go on: a past run's end is no news

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with VerticalScroll(id="run-body"):
            yield Static("starting …", id="run-text", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._follow()
        self._timer = self.set_interval(PULSE_SECONDS, self._show)

    @work(thread=True, group="follow", exit_on_error=False)
    def _follow(self) -> None:
        from magetui.engine import runs
        from magetui.engine.errors import MagetuiError

        worker = get_current_worker()
        for record in runs.follow(self.magetui.environment, self._run):
            if worker.is_cancelled:
                return
            if record.outcome == "lost":
                with suppress(MagetuiError):  # its conclusion says that the marker could not be read
                    record = runs.tell_lost(self.magetui.open_workspace(), record)  # noqa: PLW2901 - told more of
            self.post_message(self.Grown(record))

    def on_run_screen_grown(self, message: Grown) -> None:
        self.record = message.record
        self._live = self._live or message.record.alive or not isinstance(self._run, int)
        self._show()
        if not message.record.alive and self._timer is not None:
            self._timer.stop()
            self._timer = None
            self.refresh_bindings()
            if self._live:
                self.magetui.run_ended(message.record)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action == "cancel":
            return self.record is None or self.record.alive
        return True

    def action_cancel(self) -> None:
        if self.record is not None and self.record.alive:
            self._asked = True
            self._show()
            self._cancel(self.record.run)

    @work(thread=True, group="cancel", exit_on_error=False)
    def _cancel(self, run: int) -> None:
        """In a thread, since a child that has only just begun is waited for."""
        from magetui.engine import runs

        runs.cancel(self.magetui.environment, run)

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one("#run-body", VerticalScroll), f"scroll_{where}")(animate=False)

    def _show(self) -> None:
        record = self.record
        if record is None:
            return
        from magetui import words

        moment = datetime.now(timezone.utc)
        elapsed = record.elapsed_ms if record.elapsed_ms is not None else since_ms(record.started, moment)
        done = sum(step.state == "done" for step in record.steps)
        self.entitle(
            (f" Run {record.run}", STRONG),
            f" · {words.plain(record.verb)} to {words.plain(record.target)}",
            (f"   step {min(done + record.alive, len(record.steps))} of {len(record.steps)}", QUIET),
            (f" · {words.duration(elapsed)}", QUIET),
        )
        text = Content("\n").join(run_lines(record, moment, asked=self._asked, height=self.size.height))
        self.query_one("#run-text", Static).update(text)


def run_lines(record: RunRecord, moment: datetime, *, asked: bool, height: int) -> list[Content]:
    """The screen's lines: conclusion or wait first, then steps, statement and output."""
    from magetui import words

    lines: list[Content] = []
    if not record.alive:
        style = GOOD if record.outcome == "done" else CRITICAL
        lines += [
            Content.styled(words.OUTCOMES[record.outcome].upper(), style),
            Content(words.run_conclusion(record)),
            Content(""),
        ]
    elif asked or record.cancel_requested:
        lines += [
            Content.styled("CANCELLING: the statement is asked to stop, and what it did is rolled back", WARNING),
            Content(""),
        ]
    if record.wait is not None:
        lines += [*wait_lines(record.wait, moment), Content("")]
    lines += step_lines(record, moment, room=max(4, height - 14))
    if record.statement is not None and record.outcome != "done":
        took = record.statement.elapsed_ms
        if took is None:
            took = since_ms(record.statement.started, moment) if record.alive else None
        lines += [
            Content(""),
            Content.assemble(
                ("statement  ", QUIET),
                words.one_line(record.statement.sql, 600),
                (f"   {words.duration(took)}", QUIET),
            ),
        ]
    if not record.alive and record.blockers:
        lines += [
            Content(""),
            Content.styled("who was in the way", QUIET),
            *(session_content(s) for s in record.blockers),
        ]
    if record.output:
        lines += [Content(""), Content.styled("what the scripts printed", QUIET)]
        lines += [Content(f"  {words.plain(line)}") for line in record.output[-OUTPUT_LINES:]]
    return lines


def step_lines(record: RunRecord, moment: datetime, room: int) -> list[Content]:
    """The steps around the one that runs; those far from it are counted."""
    from magetui import words

    place = next((i for i, s in enumerate(record.steps) if s.state in ("running", "stopped")), None)
    if place is None:
        place = sum(step.state == "done" for step in record.steps)
    first = max(0, min(place - room // 2, len(record.steps) - room))
    lines = [Content.styled(f"  {first} steps before", QUIET)] if first else []
    for step in record.steps[first : first + room]:
        took = step.elapsed_ms
        if step.state == "running":
            took = since_ms(step.started, moment)
        style = {"running": STRONG, "done": GOOD, "stopped": CRITICAL}.get(step.state, QUIET)
        state = {"running": "running ", "stopped": "stopped ", "undone": "rolled back ", "pending": ""}.get(
            step.state, ""
        )
        lines.append(
            Content.assemble(
                (f"{MARKS[step.state]} ", style),
                (words.plain(step.revision), STRONG if step.state == "running" else ""),
                f"  {words.plain(step.message)}  ",
                (f"{state}{words.duration(took)}", QUIET),
            )
        )
    after = len(record.steps) - first - room
    return [*lines, Content.styled(f"  {after} steps after", QUIET)] if after > 0 else lines


def wait_lines(wait: Wait, moment: datetime) -> list[Content]:
    """What is waited for, the time against its limit, and who is in the way."""
    from magetui import words

    waited = since_ms(wait.since, moment) or 0
    mode = words.mode(wait.waits_for.mode) if wait.waits_for else ""
    what = words.plain((wait.waits_for.relation if wait.waits_for else None) or "a lock")
    if wait.timeout_ms:
        share = min(1.0, waited / wait.timeout_ms)
        bar = "█" * round(share * BAR_WIDTH) + "░" * (BAR_WIDTH - round(share * BAR_WIDTH))
        limit = f"   {bar}  {min(waited, wait.timeout_ms) / 1000:.1f} of {wait.timeout_ms / 1000:g} s"
    else:
        limit = f"   {words.duration(waited)}, without a limit"
    lines = [Content.assemble(("WAITING", WARNING), f"  for {f'{mode} on ' if mode else ''}{what}", limit)]
    if wait.note:
        lines.append(Content(f"  {words.plain(wait.note)}"))
    if wait.blockers:
        lines.append(Content.styled("  in the way", QUIET))
        lines.extend(session_content(session) for session in wait.blockers)
    elif not wait.note:
        lines.append(Content.styled("  who is in the way cannot be seen", QUIET))
    if wait.waiting_behind:
        lines.append(Content.styled("  waiting behind us", QUIET))
        lines.extend(session_content(session) for session in wait.waiting_behind)
    return lines


def session_content(session: Session) -> Content:
    """A session in two lines: who, and what it runs."""
    from magetui import words

    query = f"\n           {words.one_line(session.query, 200)}" if session.query else ""
    return Content.assemble("  └ ", words.session_line(session), (query, QUIET))


def since_ms(stamp: str | None, moment: datetime) -> int | None:
    """Milliseconds from an ISO 8601 UTC stamp to `moment`."""
    if stamp is None:
        return None
    return int((moment - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds() * 1000)
