"""The run screen: the journal of a run as it grows, the blockers, and how the run ended.

The screen follows the journal and nothing else. So the same code shows a run of this program, a run that continues
after a disconnect, and a run of last month. Closing the screen does not touch the run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.worker import get_current_worker

from magetui.engine.errors import MagetuiError
from magetui.tui.engine_loader import load_engine
from magetui.tui.messages import ActionFailed
from magetui.tui.screens.base import OverScreen
from magetui.tui.verb_keys import REPAIRS, VERB_KEYS
from magetui.tui.widgets import run_lines
from magetui.tui.widgets.key_bar import KeyBar
from magetui.tui.widgets.scroll import LINE_KEYS
from magetui.tui.widgets.session_columns import Own
from magetui.tui.widgets.sessions import SessionRows
from magetui.tui.widgets.stable_text import StableText

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from magetui.engine.runs.follow import EarlierStep
    from magetui.engine.runs.record import RunRecord, Wait
    from magetui.engine.runs.start import StartedRun

PRIVATE = 0o600  # only the owner can read the report
PULSE_SECONDS = 0.25
NEXT_IDS = {"l": "locks", "e": "evidence", "p": "plan"}  # of the bindings of the next steps, by key
AGE_SECONDS = 10  # between two updates of the ages of waiting sessions


class RunScreen(OverScreen):
    NAME = "Run"
    ABOUT = (
        "A run with the times of its steps and statements. While the run waits, you see the lock, the time against the "
        "lock timeout, and the blockers as a tree, in the order in which the server serves them. In the tree, j and k "
        "move, C cancels the query of a session, K ends a session, and enter shows all facts of a session; C and K ask "
        "first. x cancels the run: the statement is "
        "cancelled and its changes are rolled back. If the run continues, x again says at what, and once more ends it. "
        "Escape closes this screen; the run continues, and u shows it again. After a run that did not end as "
        "planned, the line 'next' names the keys that help. w writes the report of the run to a file, and y copies "
        "the report."
    )
    WHILE_TINY = OverScreen.WHILE_TINY | {"cancel", "leave"}
    TOO_SMALL = "Too small to show the run: make it 50 by 12 or larger. "
    BINDINGS = [
        Binding("escape", "leave('live')", "Leave", tooltip="close this screen; the run continues"),
        Binding("escape", "leave('ended')", "Close", id="close"),
        Binding("x", "cancel", "Cancel run"),
        Binding("l", "next('l')", "Locks", tooltip="see the sessions, their locks and waits", id="locks"),
        Binding("l", "app.locks", "Locks", show=False),
        Binding("e", "next('e')", "Evidence", tooltip="see which revision the schema matches now", id="evidence"),
        Binding("p", "next('p')", "Plan again", tooltip="plan the same again; nothing changes yet", id="plan"),
        Binding("y", "copy", "Copy", show=False, tooltip="copy the run's report (OSC 52)", id="copy"),
        Binding("w", "write", "Write", show=False, tooltip="write the run's report to a file", id="write"),
        *LINE_KEYS,
        *(
            key for key in VERB_KEYS if key.id in REPAIRS - {"evidence"}
        ),  # the conclusion of a run that failed names them
    ]
    SCROLLED = "#run-body"

    def __init__(self, run: StartedRun | int) -> None:
        super().__init__()
        self._run = run
        self.record: RunRecord | None = None
        self._timer: Timer | None = None
        self._earlier: Mapping[tuple[str, str], EarlierStep] | None = None
        self._asked = False
        self._presses = 0  # of the key that cancels
        self._step_in_view = 0  # the step to which the screen scrolled
        self._live = False  # whether the run was seen running: the end of a past run is no news
        self._wait: tuple[Wait, float] | None = None  # the present wait, and when it came (time.monotonic())
        self._shown: tuple[Wait | None, int] = (None, 0)  # the wait of the tree, and the seconds added to its ages

    def compose(self) -> ComposeResult:
        yield StableText(id="title")
        yield StableText("starting …", id="run-head")
        for part in ("run-bar", "run-statement", "run-progress", "run-tree-title"):
            yield StableText(id=part)
        yield SessionRows(id="run-sessions")
        yield StableText(id="run-leaving")
        with VerticalScroll(id="run-body"):
            yield StableText(id="run-text")
        yield KeyBar(lambda: self.named_keys)

    def on_mount(self) -> None:
        self.query_one(SessionRows).display = False
        self._follow()
        self._timer = self.set_interval(PULSE_SECONDS, self._show)

    @work(thread=True, group="follow", exit_on_error=False)
    def _follow(self) -> None:
        load_engine()
        from magetui.engine.runs import follow

        worker = get_current_worker()
        for record in follow.follow_run(self.magetui.environment, self._run, lambda: worker.is_cancelled):
            if record.outcome == "lost":
                with suppress(MagetuiError):  # the conclusion says that the current revision could not be read
                    workspace = self.magetui.open_workspace()
                    record = follow.inspect_lost_run(workspace, record, just_ended=self._live)  # noqa: PLW2901 - a more complete record
            self.call_later(self._grown, record)

    def _grown(self, record: RunRecord) -> None:
        self.record = record
        self._live = self._live or record.alive or not isinstance(self._run, int)
        if record.alive:
            self.magetui.live_runs.add(record.run)
            if record.steps and self._earlier is None:
                self._earlier = {}
                self._read_earlier(
                    record.database, [(step.revision, step.direction) for step in record.steps], record.run
                )
        self._show()
        if not record.alive:
            self._show_too_small()
        if not record.alive and self._timer is not None:
            self._timer.stop()
            self._timer = None
            self.refresh_bindings()
            if self._live:
                self.magetui.run_ended(record)

    @work(thread=True, group="earlier", exit_on_error=False)
    def _read_earlier(self, database: str, steps: list[tuple[str, str]], run: int) -> None:
        """Read earlier runs in a worker of their own: twenty journals must not delay the view of the run."""
        load_engine()
        from magetui.engine.runs import follow

        self.call_later(self._earlier_read, follow.earlier_steps(self.magetui.environment, database, steps, run))

    def _earlier_read(self, earlier: Mapping[tuple[str, str], EarlierStep]) -> None:
        self._earlier = earlier
        self._show()

    @property
    def named_keys(self) -> tuple[str, ...]:
        """The keys of the next step, the verbs that the conclusion names, and what the last line names."""
        from magetui.text.advice import verbs_in
        from magetui.text.run_conclusion import details

        is_over = self.record is not None and not self.record.alive
        if self.record is None or not is_over:
            return ()
        following = [NEXT_IDS[key] for key, _purpose in self._next_steps(self.record)]
        return (*following, *verbs_in(details(self.record)), "close", "copy", "write")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        alive = self.record is None or self.record.alive
        if action == "cancel":
            return alive
        if action == "leave":
            return alive == (parameters == ("live",))
        if action == "next":
            return self.record is not None and parameters[0] in dict(self._next_steps(self.record))
        if action == "verb":
            return not alive and self._is_here(self.record) and parameters[0] in self.named_keys
        if action in ("copy", "write"):
            return self.record is not None
        return super().check_action(action, parameters)

    def action_leave(self, _state: str) -> None:
        self.action_close()

    def action_close(self) -> None:
        """Close the screen. After a run that was seen alive, show the main screen, not the run that led to it."""
        if self._live:
            self.magetui.show_main()
        else:
            super().action_close()

    def too_small(self) -> str:
        alive = self.record is None or self.record.alive
        return self.TOO_SMALL + (
            "The run continues; x cancels it, esc closes this screen." if alive else "The run has ended; esc closes."
        )

    # -- after the end of the run

    def _is_here(self, record: RunRecord | None) -> bool:
        """Return whether the program is connected to the database of the run."""
        diagnosis = self.magetui.diagnosis
        return record is not None and diagnosis is not None and diagnosis.target.url == record.database

    def _next_steps(self, record: RunRecord) -> tuple[tuple[str, str], ...]:
        return run_lines.next_steps(record) if self._is_here(record) and not record.is_past else ()

    def action_next(self, key: str) -> None:
        if key == "l":
            self.magetui.action_locks(tuple(blocker.pid for blocker in self.record.blockers) if self.record else ())
        elif key == "e":
            self.magetui.action_evidence()
        elif self.record is not None:
            self.magetui.plan_again(self.record)

    def action_cancel(self) -> None:
        """Ask the run to stop; the second time, say what it is still at; the third time, end its process."""
        if self.record is None or not self.record.alive:
            return
        from magetui.text.run_events import UNCOMMITTED, still_at

        self._presses += 1
        if self._presses == 2:
            sentence = f"{still_at(self.record)}. x again ends its process: {UNCOMMITTED}."
            self.notify(sentence, severity="warning", timeout=20, markup=False)
        else:
            self._stop(self.record.run, kill=self._presses > 1)

    @work(thread=True, group="cancel", exit_on_error=False)
    def _stop(self, run: int, *, kill: bool) -> None:
        """Ask the run to stop, or end its process. This runs in a thread because it reads the journal."""
        load_engine()
        from magetui.engine.runs.cancel import cancel_run, kill_run

        try:
            asked = (kill_run if kill else cancel_run)(self.magetui.environment, run)
        except MagetuiError as error:
            self.magetui.post_message(ActionFailed("cancel", error.message))
            return
        if asked:  # otherwise the run ended in the meantime, and its journal says so
            self.call_later(self._show_asked)

    def _show_asked(self) -> None:
        self._asked = True
        self._show()

    # -- the report

    def action_copy(self) -> None:
        if self.record is not None:
            self._report(self.record, None)

    def action_write(self) -> None:
        if self.record is not None:
            name = f"magetui-run-{self.record.run}-{datetime.now():%Y%m%d-%H%M%S}.txt"
            self._report(self.record, Path.cwd() / name)

    @work(thread=True, group="report", exit_on_error=False)
    def _report(self, record: RunRecord, path: Path | None) -> None:
        load_engine()
        from magetui.engine.runs import follow
        from magetui.text.run_report import report

        try:
            text = "\n".join(report(record, follow.read_events(self.magetui.environment, record.run))) + "\n"
            if path is not None:
                path.touch(PRIVATE, exist_ok=False)
                path.write_text(text, encoding="utf-8")
        except MagetuiError as error:
            self.magetui.post_message(ActionFailed("report", error.message))
        except OSError as error:
            self.magetui.post_message(ActionFailed("report", f"{path} cannot be written: {error.strerror}."))
        else:
            self.call_later(self._reported, text, path)

    def _reported(self, text: str, path: Path | None) -> None:
        if path is None:
            self.app.copy_to_clipboard(text)
            self.notify("Report copied, if the terminal allows it (OSC 52).", timeout=3)
        else:
            self.magetui.note("write", str(path))
            self.notify(f"Report written to {path}", markup=False)

    # -- the tree of sessions

    def _show_sessions(self, record: RunRecord) -> None:
        """Show the tree of sessions. It is updated if the wait changes, and every `AGE_SECONDS` for the ages."""
        wait, rows = record.wait, self.query_one(SessionRows)
        if wait is None:
            self._wait = None
        elif self._wait is None or self._wait[0] != wait:
            self._wait = (wait, time.monotonic())
        later = int(time.monotonic() - self._wait[1]) // AGE_SECONDS * AGE_SECONDS if self._wait else 0
        if self._shown == (wait, later):
            return
        self._shown = (wait, later)
        sessions = run_lines.sessions_in(record, wait, later * 1000) if wait else []
        focused = rows.lines.has_focus or not rows.display
        rows.display = bool(sessions)
        if wait is not None and sessions:
            pid = run_lines.own_session(record, wait).pid
            rows.show_sessions(sessions, own=Own(pid, has_pid=wait.session is not None), more=wait.more_behind)
            if focused:
                rows.focus_lines()
        elif focused:
            self.query_one("#run-body").focus()

    @on(Resize)
    def _show(self) -> None:
        record = self.record
        if record is None or not self.is_mounted:
            return
        moment = datetime.now(timezone.utc)
        width, height = max(20, self.size.width - 4), self.size.height
        self.query_one("#title", StableText).show(run_lines.title_line(record, moment))
        parts = {
            "#run-head": run_lines.head_lines(record, moment, asked=self._asked, width=width),
            "#run-bar": run_lines.bar_lines(record.wait, moment),
            "#run-statement": run_lines.statement_lines(record, moment),
            "#run-progress": run_lines.progress_lines(record.progress),
            "#run-tree-title": run_lines.tree_lines(record),
            "#run-leaving": [run_lines.leaving_line(record, self.magetui.key_of("runs"))],
            "#run-text": [
                *run_lines.end_lines(record, here=self._is_here(record), width=width, advise=self.magetui.advise),
                *run_lines.body_lines(record, moment, self._earlier or {}, width=width, height=height),
            ],
        }
        for name, lines in parts.items():
            self.query_one(name, StableText).show(Content("\n").join(lines))
        self._show_sessions(record)
        self._keep_in_view(record)

    def _keep_in_view(self, record: RunRecord) -> None:
        """Scroll to the step that runs when another one starts. Between two steps, the operator scrolls."""
        step = run_lines.present_step(record) if record.alive else 0
        if step != self._step_in_view:
            self._step_in_view = step
            body = self.query_one("#run-body")
            self.call_after_refresh(body.scroll_to, y=step - body.size.height // 2, animate=False)
