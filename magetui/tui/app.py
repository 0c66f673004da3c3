"""The full-screen program: asks the engine in workers, and routes what comes back to the screens."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.reactive import Reactive
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from magetui.tui.commands import VerbCommands
from magetui.tui.hangup import watch_for_hangup
from magetui.tui.news import ActionFailed, DetailsRead, ReadingFailed, RunsRead, StateRead
from magetui.tui.panes.connection import ConnectionPane
from magetui.tui.panes.log import RUN, LogPane, entry_of
from magetui.tui.panes.revisions import RevisionsPane
from magetui.tui.panes.schema import SchemaPane
from magetui.tui.rows import Rows
from magetui.tui.screens.main import MainScreen
from magetui.tui.theme import CRITICAL, THEME, style_sheets
from magetui.verbs import VERBS, verb

if TYPE_CHECKING:
    from magetui.backends.base import Table
    from magetui.config import Settings
    from magetui.engine.chain import Chain
    from magetui.engine.diagnosis import Diagnosis
    from magetui.engine.plan import Plan
    from magetui.engine.runs import RunRecord
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
        Binding("colon", "command_palette", "Commands", key_display=":"),
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

    def open_workspace(self) -> Workspace:
        """A workspace on what is chosen now; made anew each time, so that scripts and secrets are read anew."""
        from magetui.engine.workspace import Workspace

        return Workspace(self.selection, self.environment)

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """An error that nobody foresaw is said, not swallowed; the screen lives on."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            self.post_message(ActionFailed("error", f"{type(error).__name__} in {event.worker.name}: {error}"))

    # -- reading

    def action_refresh(self) -> None:
        self.main_screen.query_one(ConnectionPane).show_reading()
        self.read_state()

    @work(thread=True, exclusive=True, group="state", exit_on_error=False)
    def read_state(self) -> None:
        """Diagnose, and list the tables."""
        from magetui.engine.diagnosis import diagnose
        from magetui.engine.errors import MagetuiError
        from magetui.engine.schema import list_tables

        workspace = self.open_workspace()
        try:
            diagnosis = diagnose(workspace)
        except MagetuiError as error:
            self.post_message(ReadingFailed(error.message))
            return
        tables: tuple[Table, ...] | str
        try:
            tables = list_tables(workspace)
        except MagetuiError as error:
            tables = error.message
        self.post_message(StateRead(diagnosis, workspace.chain, tables))

    @on(StateRead)
    def _state_read(self, message: StateRead) -> None:
        from magetui import words

        self.diagnosis, self.chain = message.diagnosis, message.chain
        target = message.diagnosis.target
        address = (target.url or "").partition("://")[2].replace(":***", "")
        self.place = words.plain(address.removeprefix("/") if target.dialect == "sqlite" else address)
        self.main_screen.show_header(self.place, message.diagnosis, read_only=self.selection.read_only)
        self.main_screen.show_state(message)

    @on(ReadingFailed)
    def _reading_failed(self, message: ReadingFailed) -> None:
        self.main_screen.query_one(ConnectionPane).show_problem(message.problem)
        self.main_screen.note("diagnose", message.problem, style=CRITICAL)

    @on(SchemaPane.TableWanted)
    def _table_wanted(self, message: SchemaPane.TableWanted) -> None:
        self.read_details(message.schema, message.name)

    @work(thread=True, group="details", exit_on_error=False)
    def read_details(self, schema: str | None, name: str) -> None:
        """Describe one table."""
        from magetui.engine.errors import MagetuiError
        from magetui.engine.schema import describe_table

        try:
            self.post_message(DetailsRead(describe_table(self.open_workspace(), name, schema)))
        except MagetuiError as error:
            self.post_message(ActionFailed("schema", error.message))

    @on(DetailsRead)
    def _details_read(self, message: DetailsRead) -> None:
        self.main_screen.query_one(SchemaPane).show_details(message.details)

    @work(thread=True, group="runs", exit_on_error=False)
    def read_runs(self, *, wanted: bool) -> None:
        """Read the runs on record, for their screen where `wanted`, else for the log."""
        from magetui.engine.runs import list_runs

        self.post_message(RunsRead(list_runs(self.environment, None if wanted else PAST_RUNS), wanted=wanted))

    @on(RunsRead)
    def _runs_read(self, message: RunsRead) -> None:
        if message.wanted:
            from magetui.tui.screens.details import RunsScreen

            self.push_screen(RunsScreen(message.records))
            return
        self.main_screen.query_one(LogPane).add_runs(list(reversed(message.records)))
        alive = next((record for record in message.records if record.alive), None)
        if alive is not None:
            self.notify(f"Run {alive.run} ({alive.verb}) goes on: u shows it.", title="A run goes on", timeout=15)

    # -- opening what is under the cursor

    @on(Rows.Opened, "#log-rows")
    def _log_opened(self, event: Rows.Opened) -> None:
        if event.key.startswith(RUN):
            from magetui.tui.screens.run import RunScreen

            self.push_screen(RunScreen(int(event.key.removeprefix(RUN))))

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
        from magetui.backends.base import Timeouts
        from magetui.engine import runs
        from magetui.engine.errors import MagetuiError
        from magetui.tui.screens.run import RunScreen

        try:
            started = runs.start(self.open_workspace(), plan, Timeouts(lock_ms=lock_timeout_ms))
        except MagetuiError as error:
            self.post_message(ActionFailed(plan.verb, error.message))
            return
        self.call_from_thread(self.push_screen, RunScreen(started))

    @on(ActionFailed)
    def _action_failed(self, message: ActionFailed) -> None:
        self.main_screen.note(message.verb, message.problem, style=CRITICAL)
        self.notify(message.problem, severity="error", timeout=15, markup=False)

    def run_ended(self, record: RunRecord) -> None:
        """A run that was looked at has ended: note it, and read what the database says now."""
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

    def connect_to(self, url: str | None) -> None:
        """Look at another database from now on; None goes back to the one from the start."""
        self.selection = self._first_selection if url is None else replace(self._first_selection, url=url)
        self.action_refresh()

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
    status = app.run(mouse=settings.mouse)
    return status if status is not None else app.return_code or 0
