"""The full-screen program: asks the engine in workers, and routes what comes back to the screens."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.reactive import Reactive
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from magetui.tui.commands import VerbCommands
from magetui.tui.hangup import watch_for_hangup
from magetui.tui.loading import load_engine
from magetui.tui.news import ActionFailed, Answer, DetailsRead, ReadingFailed, RunsRead, StateRead, TablesRead
from magetui.tui.panes.connection import ConnectionPane
from magetui.tui.panes.log import RUN, LogPane, entry_of
from magetui.tui.panes.revisions import RevisionsPane
from magetui.tui.panes.schema import SchemaPane
from magetui.tui.rows import Rows
from magetui.tui.screens.main import MainScreen, place_of
from magetui.tui.theme import CRITICAL, THEME, style_sheets
from magetui.verbs import VERBS, verb

if TYPE_CHECKING:
    from magetui.backends.base import Table
    from magetui.config import Settings
    from magetui.engine.chain import Chain
    from magetui.engine.diagnosis import Diagnosis
    from magetui.engine.plan import Plan
    from magetui.engine.runs import RunRecord
    from magetui.engine.selection import Selection
    from magetui.engine.workspace import Workspace
    from magetui.runner.request import ChangeVerb

PAST_RUNS = 20
# Bindings of Textual's own that say nothing here.
UNSAID_ACTIONS = frozenset(
    {
        "scroll_left",
        "scroll_right",
        "page_left",
        "page_right",
        "copy_text",
        "screen.copy_text",
        "help_quit",
        "app.focus_previous",
    }
)


class MagetuiApp(App[int]):
    """Holds what the operator chose, and the latest diagnosis; the screens hold what they show."""

    TITLE = "magetui"
    COMMANDS = {VerbCommands}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("colon,ctrl+p", "command_palette", "Commands", key_display=":"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False),
    ]

    # From the start, rather than set: setting it would make every style anew.
    theme: Reactive[str] = Reactive(THEME)

    def __init__(
        self, settings: Settings, environment: Mapping[str, str] | None = None, briefing: str | None = None
    ) -> None:
        super().__init__(css_path=list(style_sheets()), ansi_color=True)
        self.environment: Mapping[str, str] = os.environ if environment is None else environment
        self.selection = settings.selection
        self._first_selection = settings.selection
        self.main_screen = MainScreen(briefing)
        self.diagnosis: Diagnosis | None = None
        self.chain: Chain | None = None
        self.place = ""
        self.going: set[int] = set()  # runs that went on when they were last seen
        self._leaving = False

    def get_default_screen(self) -> Screen[None]:
        """The screen that the program opens with."""
        return self.main_screen

    def on_mount(self) -> None:
        watch_for_hangup(lambda: self.call_from_thread(self.exit, 0))
        self.call_after_refresh(self._read_first)

    def _read_first(self) -> None:
        """After the first paint, so that loading the database's libraries does not hold it up."""
        self.read_state()
        self.read_runs(wanted=False)

    def open_workspace(self, selection: Selection | None = None) -> Workspace:
        """A workspace on what is chosen now; made anew each time, so that scripts and secrets are read anew."""
        from magetui.engine.workspace import Workspace

        return Workspace(selection or self.selection, self.environment)

    # -- leaving

    def exit(self, *arguments: Any, **options: Any) -> None:
        """Leave; what is pressed from here on is not listened to."""
        self._leaving = True
        super().exit(*arguments, **options)

    async def run_action(self, *arguments: Any, **options: Any) -> bool:
        return not self._leaving and await super().run_action(*arguments, **options)

    def _fatal_error(self) -> None:
        """Tell of an error that ends the program. Textual's own telling shows variables, and URLs are in them."""
        from rich.text import Text

        self._exit_renderables.append(Text(self.cleaned(traceback.format_exc())))
        self._close_messages_no_wait()

    def cleaned(self, text: str) -> str:
        """`text` without the credentials of what is, or was, looked at."""
        from magetui.engine.errors import MagetuiError
        from magetui.runner.redaction import redact, secrets_of

        for selection in (self.selection, self._first_selection):
            if selection.url is not None:
                text = redact(text, secrets_of(selection.url))
            with suppress(MagetuiError, OSError):
                text = self.open_workspace(selection).target.clean(text)
        return redact(text, ())

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """An error that nobody foresaw is said, not swallowed; the screen lives on."""
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
        self._read_state(self.selection)

    @work(thread=True, exclusive=True, group="state", exit_on_error=False)
    def _read_state(self, selection: Selection) -> None:
        """Diagnose, and list the tables."""
        load_engine()
        from magetui.engine.diagnosis import diagnose
        from magetui.engine.errors import MagetuiError
        from magetui.engine.schema import list_tables

        workspace = self.open_workspace(selection)
        try:
            diagnosis = diagnose(workspace)
        except MagetuiError as error:
            self.post_message(ReadingFailed(selection, error.message))
            return
        self.post_message(StateRead(selection, diagnosis, workspace.chain))
        tables: tuple[Table, ...] | str
        try:
            # One that could not be connected to a moment ago is not made to wait for a second time.
            tables = list_tables(workspace) if diagnosis.target.database is not None else "not connected"
        except MagetuiError as error:
            tables = error.message
        self.post_message(TablesRead(selection, tables))

    def _is_past(self, answer: Answer) -> bool:
        """Whether it was asked of a database that is not looked at any more."""
        return answer.selection != self.selection

    @on(StateRead)
    def _state_read(self, message: StateRead) -> None:
        if self._is_past(message):
            return
        self.diagnosis, self.chain = message.diagnosis, message.chain
        self.place = place_of(message.diagnosis.target.url or "")
        self.main_screen.show_header(self.place, message.diagnosis, read_only=self.selection.read_only)
        self.main_screen.show_state(message)

    @on(TablesRead)
    def _tables_read(self, message: TablesRead) -> None:
        if not self._is_past(message):
            self.main_screen.show_tables(message.tables)

    @on(ReadingFailed)
    def _reading_failed(self, message: ReadingFailed) -> None:
        if not self._is_past(message):
            self.diagnosis = self.chain = None
            self.main_screen.show_problem(message.problem)

    @on(SchemaPane.TableWanted)
    def _table_wanted(self, message: SchemaPane.TableWanted) -> None:
        self.read_details(self.selection, message.schema, message.name)

    @work(thread=True, group="details", exit_on_error=False)
    def read_details(self, selection: Selection, schema: str | None, name: str) -> None:
        """Describe one table."""
        load_engine()
        from magetui.engine.errors import MagetuiError
        from magetui.engine.schema import describe_table

        try:
            details = describe_table(self.open_workspace(selection), name, schema)
        except MagetuiError as error:
            self.post_message(ActionFailed("schema", error.message))
            return
        self.post_message(DetailsRead(selection, details))

    @on(DetailsRead)
    def _details_read(self, message: DetailsRead) -> None:
        if not self._is_past(message):
            self.main_screen.query_one(SchemaPane).show_details(message.details)

    @work(thread=True, group="runs", exit_on_error=False)
    def read_runs(self, *, wanted: bool) -> None:
        """Read the runs on record, for their screen where `wanted`, else for the log."""
        load_engine()
        from magetui.engine.errors import StateError
        from magetui.engine.runs import list_runs

        try:
            records = list_runs(self.environment, None if wanted else PAST_RUNS)
        except StateError as error:
            self.post_message(ActionFailed("runs", error.message))
            return
        self.post_message(RunsRead(records, wanted=wanted))

    @on(RunsRead)
    def _runs_read(self, message: RunsRead) -> None:
        if message.wanted:
            from magetui.tui.screens.details import RunsScreen

            self.push_screen(RunsScreen(message.records))
            return
        self.main_screen.query_one(LogPane).add_runs(list(reversed(message.records)))
        alive = next((record for record in message.records if record.alive), None)
        self.going |= {record.run for record in message.records if record.alive}
        if alive is not None:
            self.notify(f"Run {alive.run} ({alive.verb}) goes on: u shows it.", title="A run goes on", timeout=15)

    # -- opening what is under the cursor

    @on(Rows.Opened, "#log-rows")
    def _log_opened(self, event: Rows.Opened) -> None:
        if event.key.startswith(RUN):
            from magetui.tui.screens.run import RunScreen

            self.push_screen(RunScreen(int(event.key.removeprefix(RUN))))
            return
        entry = self.main_screen.query_one(LogPane).entry(event.key)
        if entry is not None:
            from magetui.tui.screens.details import TextScreen

            self.push_screen(TextScreen(f"{entry.at}  {entry.verb}  {entry.took}", entry.text))

    @on(Rows.Opened, "#revision-rows")
    def _revision_opened(self, event: Rows.Opened) -> None:
        if self.chain is not None and event.key in self.chain.by_id:
            from magetui.tui.screens.details import RevisionScreen

            self.push_screen(RevisionScreen(self.chain.by_id[event.key]))

    # -- changing

    def action_change(self, name: ChangeVerb) -> None:
        """Open the plan screen of a verb, with the target that the operator most likely means."""
        from magetui.tui.screens.plan import PlanScreen

        if self.selection.read_only:
            self.notify("--read-only is set, so nothing is changed.", severity="warning")
            return
        revision, unknown = self._meant(name)
        self.push_screen(PlanScreen(name, verb(name).title, revision, unknown))

    def action_plan(self) -> None:
        """Show what migrating would do; with --read-only too, since looking changes nothing."""
        from magetui.tui.screens.plan import PlanScreen

        self.push_screen(PlanScreen("migrate", verb("migrate").title, *self._meant("migrate")))

    def _meant(self, name: ChangeVerb) -> tuple[str, str | None]:
        """The target a verb most likely means: what is under the cursor, if the verb can go there."""
        if self.chain is None or self.diagnosis is None:
            return "-1" if name == "rollback" else "head", None
        marker = self.diagnosis.marker
        applied = self.chain.applied(marker)
        pane = self.main_screen.query_one(RevisionsPane)
        selected = pane.selected if pane is self.main_screen.unfolded else None
        if name == "migrate":
            return selected if selected and selected not in applied else "head", None
        if name == "rollback":
            return selected if selected in applied and selected not in marker else "-1", None
        return selected or "head", next(iter(self.chain.unknown(marker)), None)

    @work(thread=True, group="start", exit_on_error=False)
    def start_run(self, plan: Plan, *, lock_timeout_ms: int) -> None:
        """Begin a run that was consented to, and show it."""
        load_engine()
        from magetui.backends.base import Timeouts
        from magetui.engine import runs
        from magetui.engine.errors import MagetuiError
        from magetui.tui.screens.run import RunScreen

        try:
            started = runs.start(self.open_workspace(), plan, Timeouts(lock_ms=lock_timeout_ms))
        except MagetuiError as error:
            self.post_message(ActionFailed(plan.verb, error.message))
            return
        self.going.add(started.run)
        self.call_from_thread(self.push_screen, RunScreen(started))

    @on(ActionFailed)
    def _action_failed(self, message: ActionFailed) -> None:
        self.main_screen.note(message.verb, message.problem, style=CRITICAL)
        self.notify(message.problem, severity="error", timeout=15, markup=False)

    def run_ended(self, record: RunRecord) -> None:
        """A run that was looked at has ended: note it, and read what the database says now."""
        self.going.discard(record.run)
        self.main_screen.query_one(LogPane).add(entry_of(record))
        self.read_state()

    # -- the other screens

    def action_locks(self) -> None:
        from magetui.tui.screens.locks import LocksScreen

        if not isinstance(self.screen, LocksScreen):
            self.push_screen(LocksScreen())

    def action_runs(self) -> None:
        self.read_runs(wanted=True)

    def action_connect(self) -> None:
        from magetui.tui.screens.connect import ConnectScreen

        self.push_screen(ConnectScreen())

    def connect_to(self, url: str | None, place: str | None) -> None:
        """Look at another database from now on, shown as `place`; None goes back to the one from the start."""
        self.selection = self._first_selection if url is None else replace(self._first_selection, url=url)
        self.diagnosis = self.chain = None
        self.place = place or "the database of the start"
        self.main_screen.show_reading(self.place)
        self.read_state()

    def action_help(self) -> None:
        """Say what has the focus, and every key that acts now."""
        from magetui.tui.screens.base import OverScreen
        from magetui.tui.screens.details import HelpScreen

        if isinstance(self.screen, HelpScreen):
            return
        if isinstance(self.screen, OverScreen):
            subject, about = self.screen.NAME, self.screen.ABOUT
        else:
            pane = self.main_screen.unfolded
            subject, about = f"{pane.NUMBER} {pane.NAME}", pane.ABOUT
        keys: dict[str, list[str]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if active.enabled and binding.description and binding.action not in UNSAID_ACTIONS:
                said = binding.tooltip or binding.description
                keys.setdefault(said, []).append(self.get_key_display(binding))
        verbs = [(one.key or "", one.name, one.summary) for one in VERBS]
        self.push_screen(HelpScreen(subject, about, [(" ".join(shown), said) for said, shown in keys.items()], verbs))


def open_app(settings: Settings, environment: Mapping[str, str] | None = None, briefing: str | None = None) -> int:
    """Open the full-screen program; returns the exit status."""
    if not settings.colour:
        os.environ["NO_COLOR"] = "1"  # Textual's own switch, read when an app is made
    app = MagetuiApp(settings, environment, briefing)
    # On a loop of its own: Textual's would wait at the end for every worker, and one may wait for a silent server.
    loop = asyncio.new_event_loop()
    status = app.run(mouse=settings.mouse, loop=loop)
    if briefing is None:  # a practice run's record is cleared away with the practice
        _tell_going(app)
    return status if status is not None else app.return_code or 0


def _tell_going(app: MagetuiApp) -> None:
    """Say on the restored terminal which runs go on without us; where it is gone, nobody reads it."""
    from magetui.engine import runs
    from magetui.engine.errors import MagetuiError

    for run in sorted(app.going):
        with suppress(MagetuiError, OSError):
            if runs.read_run(app.environment, run).alive:
                sys.stdout.write(f"Run {run} goes on: magetui runs {run}\n")
                sys.stdout.flush()
