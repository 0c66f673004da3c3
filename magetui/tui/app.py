"""The full-screen program: asks the engine in workers, and routes what comes back to the screens."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on, work
from textual.binding import Binding, BindingType
from textual.reactive import Reactive
from textual.screen import Screen
from textual.worker import Worker, WorkerState, get_current_worker

from magetui.config.targets import NamedTarget, named_target
from magetui.engine.target.passwords import Passwords
from magetui.tui import jobs
from magetui.tui.backup_job import BackupWork
from magetui.tui.commands import VerbCommands
from magetui.tui.hangup import watch_for_hangup
from magetui.tui.keys import key_of, keymap
from magetui.tui.loading import load_engine
from magetui.tui.messages import (
    ActionFailed,
    Answer,
    BackupEnded,
    DetailsRead,
    ReadingFailed,
    RunEnded,
    RunsRead,
    StateRead,
    TablesRead,
)
from magetui.tui.panes.connection import ConnectionPane
from magetui.tui.panes.log import LogPane, entry_of
from magetui.tui.panes.schema import SchemaPane
from magetui.tui.screens.base import rests
from magetui.tui.screens.main import MainScreen
from magetui.tui.shell import Shell
from magetui.tui.theme import CRITICAL, THEME, style_sheets
from magetui.tui.widgets.sessions import SessionRows
from magetui.verbs import verb

if TYPE_CHECKING:
    from magetui.config.settings import Settings
    from magetui.engine.backup import BackupRequest
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.runs.start import Limits, StartedRun
    from magetui.engine.target.selection import Selection
    from magetui.engine.target.target import Target
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import ChangeVerb, Plan


class MagetuiApp(Shell):
    """Holds what the operator chose, and the latest diagnosis; the screens hold what they show."""

    TITLE = "magetui"
    COMMANDS = {VerbCommands}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    NOTIFICATION_TIMEOUT = 8  # seconds; what is to be read for longer stands in the log
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("colon", "command_palette", "Commands", key_display=":", id="commands"),
        Binding("ctrl+p", "command_palette", "Commands", show=False),
        Binding("question_mark", "help", "Help", key_display="?", id="help"),
        Binding("q", "quit", "Quit", id="quit"),
        Binding("ctrl+c", "quit", "Quit", show=False),
    ]

    # From the start, rather than set: setting it would make every style anew.
    theme: Reactive[str] = Reactive(THEME)

    def __init__(
        self, settings: Settings, environment: Mapping[str, str] | None = None, briefing: str | None = None
    ) -> None:
        super().__init__(css_path=list(style_sheets()), ansi_color=True)
        self.environment: Mapping[str, str] = os.environ if environment is None else environment
        self.settings = settings
        self.selection = self.first_selection = settings.selection
        self.named: NamedTarget | None = None  # what the configuration knows of the database that is looked at
        self.main_screen = MainScreen(briefing)
        self.diagnosis: Diagnosis | None = None
        self.chain: Chain | None = None
        self._seen: Diagnosis | str | None = None  # as it was read, before evidence was added; or why it was not
        self.place = self.first_place = ""
        self.going: set[int] = set()  # runs that went on when they were last seen
        self.started: list[StartedRun] = []  # the lines to those that were begun here
        self.backup: BackupWork | None = None  # the latest
        self._passwords = Passwords()  # that commands gave
        self._targets: set[Target] = set()  # that were looked at: their credentials are in nothing that is shown
        self._leaving = False

    def get_default_screen(self) -> Screen[None]:
        """The screen that the program opens with."""
        return self.main_screen

    def on_mount(self) -> None:
        watch_for_hangup(lambda: self.call_from_thread(self._hang_up))
        self.set_keymap(keymap(self.settings.keys))
        self.call_after_refresh(self._read_first)

    def _read_first(self) -> None:
        """After the first paint, so that loading the database's libraries does not hold it up."""
        self.read_state()
        self.read_runs(wanted=False)
        self.main_screen.warn(self.settings.warnings)

    def open_workspace(self, selection: Selection | None = None) -> Workspace:
        """A workspace on what is chosen now; made anew each time, so that scripts and secrets are read anew."""
        from magetui.engine.workspace import Workspace

        return Workspace(selection or self.selection, self.environment, self._targets, self._passwords)

    def key_of(self, action: str) -> str:
        """The key that an action has, by the name that it has in the configuration."""
        return key_of(action, self.settings.keys)

    # -- leaving

    def _hang_up(self) -> None:
        """The line dropped: runs are not parted from, and those that are to be cancelled then find that we are gone."""
        self.started.clear()
        if self.backup is not None:
            self.backup.cancel()
        self.exit(0)

    async def action_quit(self) -> None:
        """Leave; where that would cancel a backup, say so first."""
        if self.backup is not None and self.backup.alive and not self.backup.warned:
            self.backup.warned = True
            self.notify(
                f"A backup is being written. Leave once more to cancel it; {self.key_of('backup')} shows it.",
                severity="warning",
            )
            return
        self.exit()

    def exit(self, *arguments: Any, **options: Any) -> None:
        """Leave; what is pressed from here on is not listened to."""
        self._leaving = True
        super().exit(*arguments, **options)

    async def run_action(self, action: Any, *arguments: Any, **options: Any) -> bool:
        """Do what a key says; nothing once the program is being left, nor what cannot be seen."""
        if self._leaving or rests(self.screen, str(action)):
            return False
        return await super().run_action(action, *arguments, **options)

    def _fatal_error(self) -> None:
        """Tell of an error that ends the program. Textual's own telling shows variables, and URLs are in them."""
        from rich.text import Text

        self._exit_renderables.append(Text(self.cleaned(traceback.format_exc())))
        self._close_messages_no_wait()

    def cleaned(self, text: str) -> str:
        """`text` without the credentials of what is, or was, looked at; asks no secret store, which may take long."""
        from magetui.protocol.redaction import redact, secrets_of, store_secrets

        for selection in (self.selection, self.first_selection):
            for url in filter(
                None, (selection.url, selection.scratch_url, self.environment.get("MAGETUI_SCRATCH_URL"))
            ):
                text = redact(text, secrets_of(url))
        for target in tuple(self._targets):
            text = target.clean(text)
        return redact(text, store_secrets(self.environment))

    @on(Worker.StateChanged)
    def tell_unforeseen(self, event: Worker.StateChanged) -> None:
        """An error that nobody foresaw is said, not swallowed; the screen lives on.

        Whoever has workers of its own passes their changes on: that message is told to its owner alone.
        """
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            said = self.cleaned(f"{type(error).__name__} in {event.worker.name}: {error}")
            self.post_message(ActionFailed("error", said))
            if event.worker.group == "state":
                self.post_message(ReadingFailed(self.selection, said))

    # -- reading

    def action_refresh(self) -> None:
        self.main_screen.query_one(ConnectionPane).show_reading()
        self.read_state()

    def read_state(self) -> None:
        """Read what is chosen now."""
        self.workers.cancel_group(self, "quiet")
        self.main_screen.rest()
        self._read_state(self.selection)

    @work(thread=True, exclusive=True, group="state", exit_on_error=False)
    def _read_state(self, selection: Selection) -> None:
        load_engine()
        for message in jobs.state(self.open_workspace(selection)):
            self.post_message(message)

    @on(MainScreen.Rested)
    def _read_quietly(self) -> None:
        """Look whether something has changed, unless somebody is looking."""
        if any(worker.group in ("state", "quiet") and not worker.is_finished for worker in self.workers):
            self.main_screen.rest()
        else:
            self._read_changes(self.selection, self._seen, frozenset(self.going))

    @work(thread=True, exclusive=True, group="quiet", exit_on_error=False)
    def _read_changes(self, selection: Selection, seen: Diagnosis | str | None, going: frozenset[int]) -> None:
        load_engine()
        worker, started = get_current_worker(), time.monotonic()
        for message in jobs.changes(self.open_workspace(selection), seen, going):
            if worker.is_cancelled:  # it is read in full, at the operator's wish
                return
            self.post_message(message)
        self.call_later(self.main_screen.rest, time.monotonic() - started)

    def _is_past(self, answer: Answer) -> bool:
        """Whether it was asked of a database that is not looked at any more."""
        return answer.selection != self.selection

    @on(StateRead)
    def _state_read(self, message: StateRead) -> None:
        from magetui.text import formats

        if self._is_past(message):
            return
        self.diagnosis, self.chain, self._seen = message.diagnosis, message.chain, message.bare
        place = formats.place(message.diagnosis.target.url or "")
        if self.selection == self.first_selection:
            self.first_place = place
        self.named = named_target(self.settings.targets, self.selection, message.diagnosis.target.url)
        self.place = place if self.named is None else f"{self.named.called}  {place}"
        self.main_screen.show_header(place, message.diagnosis, self.named, read_only=self.selection.read_only)
        self.main_screen.show_state(message)

    @on(TablesRead)
    def _tables_read(self, message: TablesRead) -> None:
        if not self._is_past(message):
            self.main_screen.show_tables(message.tables)

    @on(ReadingFailed)
    def _reading_failed(self, message: ReadingFailed) -> None:
        if not self._is_past(message):
            self.diagnosis = self.chain = None
            self._seen = message.problem
            self.main_screen.show_problem(message.problem)

    @on(SchemaPane.TableWanted)
    def _table_wanted(self, message: SchemaPane.TableWanted) -> None:
        self.read_details(self.selection, message.schema, message.name)

    @work(thread=True, group="details", exit_on_error=False)
    def read_details(self, selection: Selection, schema: str | None, name: str) -> None:
        load_engine()
        for message in jobs.details(self.open_workspace(selection), schema, name):
            self.post_message(message)

    @on(DetailsRead)
    def _details_read(self, message: DetailsRead) -> None:
        if not self._is_past(message):
            self.main_screen.query_one(SchemaPane).show_details(message.details)

    @work(thread=True, group="runs", exit_on_error=False)
    def read_runs(self, *, wanted: bool) -> None:
        load_engine()
        for message in jobs.past_runs(self.open_workspace(), wanted=wanted):
            self.post_message(message)

    @on(RunsRead)
    def _runs_read(self, message: RunsRead) -> None:
        if message.wanted:
            from magetui.tui.screens.details import RunsScreen

            self.push_screen(RunsScreen(message.records))
            return
        self.main_screen.query_one(LogPane).add_runs(list(reversed(message.records)), message.database)
        alive = next((record for record in message.records if record.alive and record.run not in self.going), None)
        self.going |= {record.run for record in message.records if record.alive}
        if alive is not None:
            self.notify(
                f"Run {alive.run} ({alive.verb}) goes on: {self.key_of('runs')} shows it.",
                title="A run goes on",
            )

    # -- changing

    def action_change(self, name: ChangeVerb, revision: str | None = None) -> None:
        """Open the plan screen of a verb for `revision`, else for the one that the operator most likely means."""
        if self.selection.read_only:
            self.notify("--read-only is set, so nothing is changed.", severity="warning")
        else:
            self.action_plan(name, revision)

    def action_plan(self, name: ChangeVerb = "migrate", revision: str | None = None) -> None:
        """Show what a verb would do; with --read-only too, since looking changes nothing."""
        from magetui.tui.screens.plan import PlanScreen

        meant, unknown = self.main_screen.meant(name, self.chain, self.diagnosis)
        self.push_screen(PlanScreen(name, verb(name).title, revision or meant, unknown))

    def plan_again(self, record: RunRecord) -> None:
        """Show the plan of a run that ended short anew, from the present state."""
        from magetui.tui.screens.plan import PlanScreen

        name = cast("ChangeVerb", record.verb)
        _, unknown = self.main_screen.meant(name, self.chain, self.diagnosis)
        revision = "" if name in ("finish", "undo") else record.target_revision
        self.push_screen(PlanScreen(name, verb(name).title, revision, unknown))

    @work(thread=True, group="start", exit_on_error=False)
    def start_run(self, plan: Plan, limits: Limits) -> None:
        """Begin a run that was consented to, and show it."""
        load_engine()
        from magetui.engine.errors import MagetuiError
        from magetui.engine.runs import start
        from magetui.tui.screens.run import RunScreen

        try:
            started = start.start_run(self.open_workspace(), plan, limits)
        except MagetuiError as error:
            self.post_message(ActionFailed(plan.verb, error.message))
            self.call_from_thread(self.read_state)
            return
        self.going.add(started.run)
        self.started.append(started)
        self.call_from_thread(self.push_screen, RunScreen(started))

    def action_backup(self) -> None:
        """Back up, or show the backup that is being written."""
        from magetui.tui.screens.backup import BackupScreen

        self._push_once(BackupScreen(self.backup if self.backup is not None and self.backup.alive else None))

    def start_backup(self, request: BackupRequest, file: Path) -> BackupWork:
        """Begin a backup that was consented to."""
        self.backup = BackupWork(request, file, self.place)
        self._back_up(self.backup, self.selection)
        return self.backup

    @work(thread=True, group="backup", exit_on_error=False)
    def _back_up(self, backup: BackupWork, selection: Selection) -> None:
        backup.run(self.open_workspace(selection))
        self.post_message(BackupEnded(backup))

    @on(BackupEnded)
    def _backup_ended(self, message: BackupEnded) -> None:
        self.main_screen.show_backup(message.backup)

    @on(ActionFailed)
    def _action_failed(self, message: ActionFailed) -> None:
        self.main_screen.note(message.verb, message.problem, style=CRITICAL)
        self.notify(message.problem, severity="error", markup=False)

    def note(self, verb: str, text: str, took: str = "", style: str = "") -> None:
        """Add a line to the log pane."""
        self.main_screen.note(verb, text, took, style)

    def run_seen(self, run: int) -> None:
        """Remember that a run is alive, so that its end is noticed."""
        self.going.add(run)

    def run_ended(self, record: RunRecord) -> None:
        """A run that was looked at has ended: note it, and read what the database says now."""
        self.going.discard(record.run)
        self.main_screen.query_one(LogPane).add(entry_of(record))
        self.read_state()

    @on(RunEnded)
    def _run_ended_unseen(self, message: RunEnded) -> None:
        self.run_ended(message.record)
        self.notify(entry_of(message.record).text, title="A run has ended", markup=False)

    # -- sessions

    @on(SessionRows.SessionOpened)
    def _session_opened(self, message: SessionRows.SessionOpened) -> None:
        from magetui.tui.screens.consent import SessionScreen

        self.push_screen(SessionScreen(message.session))

    @on(SessionRows.SignalWanted)
    def _signal_wanted(self, message: SessionRows.SignalWanted) -> None:
        from magetui.tui.session_actions import ask_to_signal

        ask_to_signal(self, message.session, message.action, message.rows)

    # -- the other screens

    def _push_once(self, screen: Screen[None]) -> None:
        if type(self.screen) is not type(screen):
            self.push_screen(screen)

    def action_locks(self) -> None:
        from magetui.tui.screens.locks import LocksScreen

        self._push_once(LocksScreen())

    def action_evidence(self) -> None:
        from magetui.tui.screens.evidence import EvidenceScreen

        self._push_once(EvidenceScreen())

    def action_verify(self) -> None:
        from magetui.tui.screens.verify import VerifyScreen

        if not isinstance(self.screen, VerifyScreen):
            self.push_screen(VerifyScreen())

    def action_runs(self) -> None:
        self.read_runs(wanted=True)

    def action_connect(self) -> None:
        from magetui.tui.screens.connect import ConnectScreen

        self.push_screen(ConnectScreen())

    def connect_to(self, selection: Selection, place: str) -> None:
        """Look at another database from now on, which was connected to and is shown as `place`."""
        self.selection = selection
        self.diagnosis = self.chain = self._seen = self.named = None
        self.place = place
        self.main_screen.show_reading(self.place)
        self.read_state()
        self.read_runs(wanted=False)

    def action_help(self) -> None:
        """Say what has the focus, and every key that acts now."""
        from magetui.tui.screens.base import OverScreen
        from magetui.tui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            subject = self.screen if isinstance(self.screen, OverScreen) else self.main_screen.unfolded
            self.push_screen(HelpScreen(subject, self.settings.keys))
