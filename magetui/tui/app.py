"""The full-screen program: asks the engine in workers, and routes the answers to the screens."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import work
from textual.binding import Binding, BindingType
from textual.worker import get_current_worker

from magetui.config.targets import named_target
from magetui.engine.diagnosis.finding import UNTRUSTED
from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.tui import jobs, messages
from magetui.tui.backup_job import BackupJob
from magetui.tui.commands import FoundObjects, VerbCommands
from magetui.tui.engine_loader import load_engine, load_reading
from magetui.tui.likely_target import likely_target
from magetui.tui.panes.connection import ConnectionPane
from magetui.tui.panes.log import LogPane, entry_of
from magetui.tui.panes.schema import SchemaPane
from magetui.tui.screens.base import FRESH_SECONDS
from magetui.tui.screens.main import MainScreen
from magetui.tui.shell import Shell
from magetui.tui.theme import CRITICAL
from magetui.tui.widgets.recovery import RecoveryStrip
from magetui.verbs import verb

if TYPE_CHECKING:
    from textual.screen import Screen

    from magetui.config.settings import Settings
    from magetui.engine.backup import BackupRequest
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.project.trust import ProjectCode
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.runs.start import Limits
    from magetui.engine.target.selection import Selection
    from magetui.model.plan import ChangeVerb, Loss, Plan
    from magetui.tui.widgets.rows import Rows
    from magetui.tui.widgets.sessions import SessionRows


LONGEST_NOTICE = 60  # characters of a copied item
STATE_SECONDS = 2.0  # a state that takes longer does not delay the past runs
READERS = frozenset({"state", "quiet", "start"})  # the workers that read the state, or that start what will change it


class MagetuiApp(Shell):
    """Holds the operator's selection and the latest diagnosis. The screens hold what they show."""

    TITLE = "magetui"
    COMMANDS = {VerbCommands, FoundObjects}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    NOTIFICATION_TIMEOUT = 8  # seconds; the log keeps the text for longer
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("colon", "command_palette", "Commands", key_display=":", id="commands"),
        Binding("ctrl+p", "command_palette", "Commands", show=False),
        Binding("question_mark", "help", "Help", key_display="?", id="help"),
        Binding("q", "quit", "Quit", id="quit"),
        Binding("ctrl+c", "quit", "Quit", show=False),
        Binding("ctrl+l", "redraw", "Redraw", show=False, tooltip="draw the screen again, if it looks damaged"),
    ]

    def __init__(
        self, settings: Settings, environment: Mapping[str, str] | None = None, briefing: str | None = None
    ) -> None:
        super().__init__(settings, environment)
        self.main_screen = MainScreen(briefing)
        self._seen: Diagnosis | str | None = None  # the last diagnosis without evidence, or why there is none
        self._read_at = time.monotonic()  # the moment of the last reading
        self._past_runs_wanted = True  # until they are being read
        self.untrusted: ProjectCode | None = None  # the code that the operator was asked about

    def get_default_screen(self) -> Screen[None]:
        return self.main_screen

    def on_mount(self) -> None:
        # In a keymap, a comma separates two keys.
        self.set_keymap({action: key.replace(",", "comma") for action, key in self.settings.keys.items()})

    def on_ready(self) -> None:
        """Read after the first paint, so that loading the database's libraries does not delay the paint."""
        self.read_state()
        self.set_timer(STATE_SECONDS, self._read_past_runs)
        self.main_screen.warn(self.settings.warnings)

    def _read_past_runs(self) -> None:
        """Read the past runs once: when the state is on the screen, so that the state comes first, or is late."""
        if not self._past_runs_wanted:
            return
        self._past_runs_wanted = False
        self.load_other_styles()
        self.read_runs(requested=False)

    # -- reading the state

    def action_refresh(self) -> None:
        self.main_screen.query_one(ConnectionPane).show_reading()
        self.read_state()

    def read_state(self) -> None:
        self.workers.cancel_group(self, "quiet")
        self.main_screen.schedule_refresh()
        self._read_state(self.selection)

    @work(thread=True, exclusive=True, group="state", exit_on_error=False)
    def _read_state(self, selection: Selection) -> None:
        load_reading()
        self.post_answers(jobs.state(self.open_workspace(selection)))

    def on_main_screen_refresh_due(self, message: MainScreen.RefreshDue) -> None:
        """Look for changes, unless a worker reads already, or the screen came back a moment after the last reading."""
        is_fresh = time.monotonic() - self._read_at < FRESH_SECONDS
        busy = {worker.group for worker in self.workers if not worker.is_finished}
        if busy & READERS or (message.returned and is_fresh):
            self.main_screen.schedule_refresh()
        else:
            self._read_changes(self.selection, self._seen, frozenset(self.live_runs), complete=message.returned)

    @work(thread=True, exclusive=True, group="quiet", exit_on_error=False)
    def _read_changes(
        self, selection: Selection, seen: Diagnosis | str | None, live_runs: frozenset[int], *, complete: bool
    ) -> None:
        load_engine()
        worker, started = get_current_worker(), time.monotonic()
        for message in jobs.changes(self.open_workspace(selection), seen, live_runs, complete=complete):
            if worker.is_cancelled:  # the operator asked for a complete reading
                return
            self.post_message(message)
        self.call_later(self.main_screen.schedule_refresh, time.monotonic() - started)

    def _is_past(self, answer: messages.Answer) -> bool:
        """Return whether the answer is about a database that is not the current one any more."""
        return answer.selection != self.selection

    def on_trust_wanted(self, message: messages.TrustWanted) -> None:
        """Ask once about the same code, unless the operator is on another screen already. The key asks again."""
        if self._is_past(message):
            return
        is_new, self.untrusted = message.code != self.untrusted, message.code
        if is_new and self.screen is self.main_screen:
            self.action_trust()

    def action_trust(self) -> None:
        from magetui.tui.screens.trust import TrustScreen

        if self.untrusted is None:
            ran = self.diagnosis.project.ran if self.diagnosis is not None else ()
            because = f"it is trusted, and this ran: {', '.join(ran)}" if ran else "none of the project's code has run"
            self.notify(f"There is nothing to decide: {because}.", timeout=4, markup=False)
        else:
            self._push_once(TrustScreen(self.untrusted, partial(self._trust, self.untrusted)))

    def _trust(self, code: ProjectCode) -> None:
        from magetui.engine.project.trust import trust

        try:
            trust(code, self.environment)
        except OSError as error:
            self.selection = replace(self.selection, trust=True)
            self.notify(f"This holds until you leave, as it cannot be remembered: {error.strerror}.", markup=False)
        self.untrusted = None
        self.note("trust", code.folder)
        self.action_refresh()

    def on_state_read(self, message: messages.StateRead) -> None:
        if self._is_past(message):
            return
        self._read_at = time.monotonic()
        self.diagnosis, self.chain, self._seen = message.diagnosis, message.chain, message.bare
        if all(finding.code != UNTRUSTED for finding in message.diagnosis.findings):
            self.untrusted = None
        label = formats.place(message.diagnosis.target.url or "")
        if self.selection == self.first_selection:
            self.first_label = label
        self.named = named_target(self.settings.targets, self.selection, message.diagnosis.target.url)
        self.database_label = label if self.named is None else f"{self.named.called}  {label}"
        self.main_screen.show_header(label, message.diagnosis, self.named, read_only=self.selection.read_only)
        self.main_screen.show_state(message)
        self.call_after_refresh(self._read_past_runs)

    def on_tables_read(self, message: messages.TablesRead) -> None:
        if not self._is_past(message):
            self.main_screen.show_tables(message.tables)

    def on_reading_failed(self, message: messages.ReadingFailed) -> None:
        if not self._is_past(message):
            self.diagnosis = self.chain = None
            self._seen = message.problem
            self.main_screen.show_problem(message.problem)
            self.call_after_refresh(self._read_past_runs)

    def on_schema_pane_table_wanted(self, message: SchemaPane.TableWanted) -> None:
        self.read_details(self.selection, message.schema, message.name)

    @work(thread=True, group="details", exit_on_error=False)
    def read_details(self, selection: Selection, schema: str | None, name: str) -> None:
        load_engine()
        self.post_answers(jobs.details(self.open_workspace(selection), schema, name))

    def on_details_read(self, message: messages.DetailsRead) -> None:
        if not self._is_past(message):
            self.main_screen.query_one(SchemaPane).show_details(message.details)

    def on_schema_pane_columns_wanted(self) -> None:
        self.read_columns(self.selection)

    @work(thread=True, exclusive=True, group="columns", exit_on_error=False)
    def read_columns(self, selection: Selection) -> None:
        load_engine()
        self.post_answers(jobs.columns(self.open_workspace(selection)))

    def on_columns_read(self, message: messages.ColumnsRead) -> None:
        if not self._is_past(message):
            self.main_screen.query_one(SchemaPane).show_columns(message.details)

    # -- reading the runs

    @work(thread=True, group="runs", exit_on_error=False)
    def read_runs(self, *, requested: bool) -> None:
        load_engine()
        self.post_answers(jobs.past_runs(self.open_workspace(), requested=requested))

    def on_runs_read(self, message: messages.RunsRead) -> None:
        if self._is_past(message):
            return
        if message.requested:
            from magetui.tui.screens.runs import RunsScreen

            self.push_screen(RunsScreen(message.records))
            return
        self.main_screen.query_one(LogPane).add_runs(list(reversed(message.records)), message.database)
        live = [record for record in message.records if record.alive]
        new = next((record for record in live if record.run not in self.live_runs), None)
        self.live_runs |= {record.run for record in live}
        if new is not None:
            self.notify(f"Run {new.run} ({new.verb}) continues: {self.key_of('runs')} shows it.", title="Live run")

    # -- changing

    def action_change(self, name: ChangeVerb, revision: str | None = None) -> None:
        if self.selection.read_only:
            self.notify("--read-only is set: magetui changes nothing.", severity="warning")
        else:
            self.action_plan(name, revision)

    def action_plan(self, name: ChangeVerb = "migrate", revision: str | None = None) -> None:
        """Show what a verb would do. This works with --read-only too, since a plan changes nothing."""
        from magetui.tui.screens.plan import PlanScreen

        selected = self.main_screen.selected_revision
        target, unknown = likely_target(name, self.chain, self.diagnosis, selected)
        self.push_screen(PlanScreen(name, verb(name).label, revision or target, unknown))

    def plan_again(self, record: RunRecord) -> None:
        name = cast("ChangeVerb", record.verb)
        self.action_plan(name, record.target_revision if verb(name).takes_revision else None)

    @work(thread=True, group="start", exit_on_error=False)
    def start_run(self, plan: Plan, limits: Limits, losses: Sequence[Loss]) -> None:
        load_engine()
        from magetui.engine.runs import start
        from magetui.tui.screens.run import RunScreen

        try:
            started = start.start_run(self.open_workspace(), plan, limits, losses)
        except MagetuiError as error:
            self.post_message(messages.ActionFailed(plan.verb, error.message))
            self.call_from_thread(self.read_state)
            return
        # In this thread, and not later: if the program is leaving, it must still part from the run and report it.
        self.live_runs.add(started.run)
        self.started_runs.append(started)
        self.call_from_thread(self.push_screen, RunScreen(started))
        if started.warning is not None:
            self.post_message(messages.ActionFailed("notify", started.warning))

    def run_ended(self, record: RunRecord) -> None:
        self.live_runs.discard(record.run)
        self.main_screen.query_one(LogPane).add(entry_of(record))
        if record.outcome == "done" and self.diagnosis is not None and record.database == self.diagnosis.target.url:
            self.main_screen.query_one(RecoveryStrip).mark("change")
        self.read_state()

    def on_run_ended(self, message: messages.RunEnded) -> None:
        self.run_ended(message.record)
        self.notify(entry_of(message.record).text, title="Run ended", markup=False)

    def on_action_failed(self, message: messages.ActionFailed) -> None:
        self.note(message.verb, message.problem, style=CRITICAL)
        self.notify(message.problem, severity="error", markup=False)

    def note(self, verb: str, text: str, took: str = "", style: str = "") -> None:
        self.main_screen.note(verb, text, took, style)

    # -- backups

    def action_backup(self) -> None:
        """Plan a backup, or show the backup that is being written."""
        from magetui.tui.screens.backup import BackupScreen

        self._push_once(BackupScreen(self.backup if self.backup is not None and self.backup.alive else None))

    def start_backup(self, request: BackupRequest, file: Path) -> BackupJob:
        self.backup = BackupJob(request, file, self.database_label)
        self._back_up(self.backup, self.selection)
        return self.backup

    @work(thread=True, group="backup", exit_on_error=False)
    def _back_up(self, backup: BackupJob, selection: Selection) -> None:
        backup.run(self.open_workspace(selection))
        self.call_later(self.main_screen.show_backup, backup)

    # -- sessions

    def on_session_rows_session_opened(self, message: SessionRows.SessionOpened) -> None:
        from magetui.tui.screens.session import SessionScreen

        self.push_screen(SessionScreen(message.session))

    def on_session_rows_signal_wanted(self, message: SessionRows.SignalWanted) -> None:
        from magetui.tui.session_actions import ask_to_signal

        ask_to_signal(self, message.session, message.action, message.rows)

    # -- copying

    def on_rows_copy_wanted(self, message: Rows.CopyWanted) -> None:
        """Copy an item of a list, or the complete list. The notice says what was copied."""
        self.copy_to_clipboard(message.text)
        lines = formats.number(len(message.text.splitlines()), "line")
        what = f"the complete pane ({lines})" if message.complete else formats.one_line(message.text, LONGEST_NOTICE)
        self.notify(f"Copied {what}, if the terminal allows it (OSC 52).", timeout=3, markup=False)

    # -- the other screens

    def show_main(self) -> None:
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def _push_once(self, screen: Screen[None]) -> None:
        """Open a screen, unless a screen of its type is in front."""
        if type(self.screen) is not type(screen):
            self.push_screen(screen)

    def action_locks(self, prefer: Collection[int] = ()) -> None:
        from magetui.tui.screens.locks import LocksScreen

        self._push_once(LocksScreen(prefer))

    def action_evidence(self) -> None:
        from magetui.tui.screens.evidence import EvidenceScreen

        self._push_once(EvidenceScreen())

    def action_explain(self) -> None:
        from magetui.tui.screens.explain import ExplainScreen

        self._push_once(ExplainScreen())

    def action_verify(self) -> None:
        from magetui.tui.screens.verify import VerifyScreen

        self._push_once(VerifyScreen())

    def action_runs(self) -> None:
        self.read_runs(requested=True)

    def action_connect(self) -> None:
        from magetui.tui.screens.connect import ConnectScreen

        self.push_screen(ConnectScreen())

    def connect_to(self, selection: Selection, label: str) -> None:
        self.selection = selection
        self.diagnosis = self.chain = self._seen = self.named = self.untrusted = None
        self.database_label = label
        self.main_screen.show_reading(label)
        self.read_state()
        self.read_runs(requested=False)

    def action_help(self) -> None:
        from magetui.tui.screens.base import OverScreen
        from magetui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            subject = self.screen if isinstance(self.screen, OverScreen) else self.main_screen.unfolded
            self.push_screen(HelpScreen(subject))
