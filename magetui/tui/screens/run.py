"""The run screen: a run's journal as it grows, who is in the way, and how it ended.

It follows the journal and nothing else, so a run of this program, one that goes on since the line dropped, and one of
last month are shown by the same code. Leaving the screen leaves the run alone.
"""

from __future__ import annotations

from collections.abc import Sequence
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

from magetui.tui.loading import load_engine
from magetui.tui.rows import fitted
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
        Binding("D", "detach", "Detach"),
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
        yield Kept(id="title")
        yield Kept("starting …", id="run-head")
        yield Kept(id="run-bar")
        yield Kept(id="run-statement")
        with VerticalScroll(id="run-body"):
            yield Kept(id="run-sessions")
            yield Kept(id="run-text")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        self._follow()
        self._timer = self.set_interval(PULSE_SECONDS, self._show)

    @work(thread=True, group="follow", exit_on_error=False)
    def _follow(self) -> None:
        load_engine()
        from magetui.engine import runs
        from magetui.engine.errors import MagetuiError

        worker = get_current_worker()
        for record in runs.follow(self.magetui.environment, self._run, lambda: worker.is_cancelled):
            if record.outcome == "lost":
                with suppress(MagetuiError):  # its conclusion says that the marker could not be read
                    record = runs.tell_lost(self.magetui.open_workspace(), record)  # noqa: PLW2901 - told more of
            self.post_message(self.Grown(record))

    def on_run_screen_grown(self, message: Grown) -> None:
        self.record = message.record
        self._live = self._live or message.record.alive or not isinstance(self._run, int)
        if message.record.alive:
            self.magetui.going.add(message.record.run)
        self._show()
        if not message.record.alive and self._timer is not None:
            self._timer.stop()
            self._timer = None
            self.refresh_bindings()
            if self._live:
                self.magetui.run_ended(message.record)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        if action in ("cancel", "detach"):
            return self.record is None or self.record.alive
        return True

    def action_detach(self) -> None:
        self.action_close()

    def action_cancel(self) -> None:
        if self.record is not None and self.record.alive:
            self._asked = True
            self._show()
            self._cancel(self.record.run)

    @work(thread=True, group="cancel", exit_on_error=False)
    def _cancel(self, run: int) -> None:
        """In a thread, since a child that has only just begun is waited for."""
        load_engine()
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
        clock = words.duration(elapsed // 1000 * 1000 if record.alive and elapsed else elapsed)
        self.query_one("#title", Kept).tell(
            Content.assemble(
                (f" Run {record.run}", STRONG),
                f" · {words.plain(record.verb)} to {words.plain(record.target)}",
                (f"   step {min(done + record.alive, len(record.steps))} of {len(record.steps)}", QUIET),
                (f" · {clock}", QUIET),
            )
        )
        width, height = max(20, self.size.width - 4), self.size.height
        parts = {
            "#run-head": head_lines(record, asked=self._asked),
            "#run-bar": bar_lines(record.wait, moment),
            "#run-statement": statement_lines(record, moment),
            "#run-sessions": way_lines(record.wait, width=width, height=height),
            "#run-text": body_lines(record, moment, width=width, height=height),
        }
        for name, lines in parts.items():
            self.query_one(name, Kept).tell(Content("\n").join(lines))


class Kept(Static):
    """Text that is drawn anew only when it has become another: a line that waits is not to cost bytes over SSH."""

    def __init__(self, text: str = "", *, id: str) -> None:
        super().__init__(text, id=id, markup=False)
        self._told = Content(text)
        self.display = bool(text)

    def tell(self, content: Content) -> None:
        if content.is_same(self._told):
            return
        lines = self._told.plain.count("\n"), self._told.cell_length > self.size.width
        self._told = content
        self.display = bool(content)
        self.update(content, layout=lines != (content.plain.count("\n"), content.cell_length > self.size.width))


def head_lines(record: RunRecord, *, asked: bool) -> list[Content]:
    """What is always in view: how it ended, that it is being cancelled, or what it waits for."""
    from magetui import words

    lines: list[Content] = []
    if not record.alive:
        style = GOOD if record.outcome == "done" else CRITICAL
        lines += [
            Content.styled(words.OUTCOMES[record.outcome].upper(), style),
            Content(words.run_conclusion(record)),
        ]
    elif asked or record.cancel_requested:
        lines += [Content.styled("CANCELLING: the statement is asked to stop, and what it did is rolled back", WARNING)]
    if record.wait is not None:
        wait = record.wait
        mode = words.mode(wait.waits_for.mode) if wait.waits_for else ""
        what = words.plain((wait.waits_for.relation if wait.waits_for else None) or "a lock")
        lines.append(Content.assemble(("WAITING", WARNING), f"  for {f'{mode} on ' if mode else ''}{what}"))
        if wait.note:
            lines.append(Content(words.plain(wait.note)))
    return lines


def bar_lines(wait: Wait | None, moment: datetime) -> list[Content]:
    """The time waited against its limit: the one line that changes all the time."""
    from magetui import words

    if wait is None:
        return []
    waited = since_ms(wait.since, moment) or 0
    if not wait.timeout_ms:
        return [Content(f"{words.duration(waited // 1000 * 1000)}, without a limit")]
    share = min(1.0, waited / wait.timeout_ms)
    bar = "█" * round(share * BAR_WIDTH) + "░" * (BAR_WIDTH - round(share * BAR_WIDTH))
    return [Content(f"{bar}  {min(waited, wait.timeout_ms) / 1000:.1f} of {wait.timeout_ms / 1000:g} s")]


def statement_lines(record: RunRecord, moment: datetime) -> list[Content]:
    """The statement that runs, or ran last."""
    from magetui import words

    if record.statement is None or record.outcome == "done":
        return []
    took = record.statement.elapsed_ms
    if took is None and record.alive:
        took = (since_ms(record.statement.started, moment) or 0) // 1000 * 1000
    sql = words.one_line(record.statement.sql, 600)
    return [Content.assemble(("statement  ", QUIET), (f"{words.duration(took)}   " if took else "", QUIET), sql)]


def way_lines(wait: Wait | None, *, width: int, height: int) -> list[Content]:
    """Who is in the way now, and who waits behind us."""
    if wait is None:
        return []
    lines: list[Content] = []
    if wait.blockers:
        lines += [*session_lines("in the way", wait.blockers, width, most_sessions(height)), Content("")]
    elif not wait.note:
        lines += [Content.styled("who is in the way cannot be seen", QUIET), Content("")]
    if wait.waiting_behind:
        behind = session_lines("waiting behind us", wait.waiting_behind, width, most_sessions(height))
        lines += [*behind, Content("")]
    return lines


def most_sessions(height: int) -> int:
    """How many sessions there is room for on a screen."""
    return max(1, (height - 12) // 2)


def body_lines(record: RunRecord, moment: datetime, *, width: int, height: int) -> list[Content]:
    """What there may be more of than there is room for: steps, who was in the way, output."""
    from magetui import words

    groups = [step_lines(record, moment, room=max(4, height - 14))]
    if not record.alive and record.blockers:
        groups.append(session_lines("who was in the way", record.blockers, width, most_sessions(height)))
    if record.output:
        lines = [Content(f"  {words.plain(line)}") for line in record.output[-OUTPUT_LINES:]]
        groups.append([Content.styled("what the scripts printed", QUIET), *lines])
    return [line for number, group in enumerate(groups) for line in ([Content("")] if number else []) + group]


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
            took = (since_ms(step.started, moment) or 0) // 1000 * 1000 or None
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


def session_lines(heading: str, sessions: Sequence[Session], width: int, most: int) -> list[Content]:
    """Sessions in two lines each: who, and what it runs; those that there is no room for are counted."""
    from magetui import words

    lines = [Content.styled(heading, QUIET)]
    for session in sessions[:most]:
        lines.append(Content(fitted(f"  └ {words.session_line(session)}", width).rstrip()))
        if session.query:
            lines.append(Content.styled(f"    {words.one_line(session.query, width - 4)}", QUIET))
    if len(sessions) > most:
        lines.append(Content(f"  and {len(sessions) - most} more: l shows them"))
    return lines


def since_ms(stamp: str | None, moment: datetime) -> int | None:
    """Milliseconds from an ISO 8601 UTC stamp to `moment`."""
    if stamp is None:
        return None
    return int((moment - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds() * 1000)
