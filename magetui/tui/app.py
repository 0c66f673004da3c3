"""The full-screen program: composes the panes, asks the engine in workers, routes what comes back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantFocus, Resize
from textual.message import Message
from textual.reactive import Reactive
from textual.widgets import Footer, Static

from magetui.tui.commands import VerbCommands
from magetui.tui.hangup import watch_for_hangup
from magetui.tui.panes.base import Pane
from magetui.tui.panes.connection import ConnectionPane
from magetui.tui.panes.log import RUN, Entry, LogPane, entry_of
from magetui.tui.panes.revisions import RevisionsPane
from magetui.tui.panes.schema import SchemaPane
from magetui.tui.rows import Rows
from magetui.tui.theme import CRITICAL, QUIET, SEVERITY_STYLES, STRONG, THEME, style_sheets
from magetui.verbs import VERBS, Verb

if TYPE_CHECKING:
    from magetui.backends.base import Table, TableDetail
    from magetui.config import Settings
    from magetui.engine.chain import Chain
    from magetui.engine.diagnosis import Diagnosis
    from magetui.engine.plan import Plan
    from magetui.engine.runs import RunRecord
    from magetui.engine.workspace import Workspace
    from magetui.runner.request import ChangeVerb

NARROW, SHORT = 100, 28
TOO_NARROW, TOO_SHORT = 50, 12
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
MAIN_SCREEN_ACTIONS = frozenset({"change", "pane", "zoom", "refresh", "runs", "connect", "copy", "write"})


class MagetuiApp(App[int]):
    """Holds what the operator chose, and the latest diagnosis; each pane holds what it shows."""

    TITLE = "magetui"
    AUTO_FOCUS = None  # the pane that has the room at the start is focused by name
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = {VerbCommands}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(pane.NUMBER), f"pane({pane.NUMBER})", pane.NAME, show=False)
            for pane in (ConnectionPane, RevisionsPane, SchemaPane, LogPane)
        ),
        Binding("m", "change('migrate')", "Migrate"),
        Binding("b", "change('rollback')", "Roll back"),
        Binding("s", "change('stamp')", "Stamp"),
        Binding("l", "locks", "Locks"),
        Binding("p", "change('migrate')", "Plan", show=False),
        Binding("u", "runs", "Runs"),
        Binding("d,r", "refresh", "Diagnose", show=False),
        Binding("c", "connect", "Connect", show=False),
        Binding("colon", "command_palette", "Commands", key_display=":"),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False),
    ]

    # From the start, rather than set: setting it would make every style anew.
    theme: Reactive[str] = Reactive(THEME)

    class StateRead(Message):
        """The database and the scripts were read."""

        def __init__(self, diagnosis: Diagnosis, chain: Chain, tables: tuple[Table, ...] | str, name: str) -> None:
            self.diagnosis = diagnosis
            self.chain = chain
            self.tables = tables
            self.name = name
            super().__init__()

    class ReadingFailed(Message):
        """There is nothing to read: no scripts, or no database named."""

        def __init__(self, problem: str) -> None:
            self.problem = problem
            super().__init__()

    class DetailsRead(Message):
        """A table's details were read."""

        def __init__(self, details: tuple[TableDetail, ...]) -> None:
            self.details = details
            super().__init__()

    class RunsRead(Message):
        """The runs on record were read."""

        def __init__(self, records: tuple[RunRecord, ...], *, open_screen: bool) -> None:
            self.records = records
            self.open_screen = open_screen
            super().__init__()

    class RunNotStarted(Message):
        """A run was consented to and could not begin."""

        def __init__(self, verb: str, problem: str) -> None:
            self.verb = verb
            self.problem = problem
            super().__init__()

    def __init__(
        self, settings: Settings, environment: Mapping[str, str] | None = None, briefing: str | None = None
    ) -> None:
        super().__init__(css_path=list(style_sheets()), ansi_color=True)
        self.environment: Mapping[str, str] = os.environ if environment is None else environment
        self.selection = settings.selection
        self._first_selection = settings.selection
        self._briefing = briefing
        self.diagnosis: Diagnosis | None = None
        self.chain: Chain | None = None
        self.place = ""
        self._zoomed = False

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """What belongs to the main screen does not act while another one covers it."""
        if len(self.screen_stack) == 1:
            return True
        return action not in MAIN_SCREEN_ACTIONS and not (
            action == "locks" and not getattr(self.screen, "shows_locks", False)
        )

    # -- composing

    def compose(self) -> ComposeResult:
        yield Static(" magetui", id="header", markup=False)
        yield Static(id="briefing", markup=False)
        first = RevisionsPane()
        first.add_class("unfolded")
        with Vertical(id="panes"):
            yield ConnectionPane()
            with Horizontal(id="middle", classes="unfolded"):
                yield first
                yield SchemaPane()
            yield LogPane()
        yield Static("This terminal is too small for magetui. Make it 50 by 12 or larger, or press q.", id="too-small")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        watch_for_hangup(lambda: self.call_from_thread(self.exit, 0))
        briefing = self.query_one("#briefing", Static)
        briefing.display = self._briefing is not None
        briefing.update(Content(self._briefing or ""))
        self.pane(RevisionsPane).focus_content()
        self.call_after_refresh(self._read_first)

    def _read_first(self) -> None:
        """After the first paint, so that loading the database's libraries does not hold it up."""
        self.read_state()
        self.read_runs(open_screen=False)

    def pane(self, kind: type[Pane]) -> Pane:
        """The pane of that kind, on the main screen, whatever is on top of it."""
        return self.screen_stack[0].query_one(kind)

    # -- layout

    def on_resize(self, event: Resize) -> None:
        root = self.screen_stack[0]
        width, height = event.size.width, event.size.height
        root.set_class(width < NARROW or height < SHORT, "narrow")
        root.set_class(width < TOO_NARROW or height < TOO_SHORT, "tiny")

    @on(DescendantFocus)
    def _focused(self, event: DescendantFocus) -> None:
        pane = next((one for one in event.widget.ancestors_with_self if isinstance(one, Pane)), None)
        if pane is not None:
            self._unfold(pane)

    def _unfold(self, pane: Pane) -> None:
        """Let the pane have the room; where there is room for all, this only marks it."""
        for other in self.screen_stack[0].query(Pane):
            other.set_class(other is pane, "unfolded")
        middle = self.screen_stack[0].query_one("#middle")
        middle.set_class(pane in middle.children, "unfolded")

    def action_pane(self, number: int) -> None:
        pane = next(p for p in self.screen_stack[0].query(Pane) if number == p.NUMBER)
        self._unfold(pane)  # a folded pane's content cannot take the focus
        pane.focus_content()

    def action_zoom(self) -> None:
        self._zoomed = not self._zoomed
        self.screen_stack[0].set_class(self._zoomed, "zoomed")

    # -- reading

    def open_workspace(self) -> Workspace:
        """A workspace on what is chosen now; made anew each time, so that scripts and secrets are read anew."""
        from magetui.engine.workspace import Workspace

        return Workspace(self.selection, self.environment)

    def action_refresh(self) -> None:
        self.read_state()

    @work(thread=True, exclusive=True, group="state", exit_on_error=False)
    def read_state(self) -> None:
        from magetui.engine.diagnosis import diagnose
        from magetui.engine.errors import MagetuiError
        from magetui.engine.schema import list_tables

        workspace = self.open_workspace()
        try:
            diagnosis = diagnose(workspace)
        except MagetuiError as error:
            self.post_message(self.ReadingFailed(error.message))
            return
        tables: tuple[Table, ...] | str
        try:
            tables = list_tables(workspace)
        except MagetuiError as error:
            tables = error.message
        self.post_message(self.StateRead(diagnosis, workspace.chain, tables, workspace.project.name))

    def on_magetui_app_state_read(self, message: StateRead) -> None:
        self.diagnosis, self.chain = message.diagnosis, message.chain
        self._show_header(message.diagnosis)
        root = self.screen_stack[0]
        root.query_one(ConnectionPane).show_diagnosis(message.diagnosis)
        root.query_one(RevisionsPane).show_chain(message.chain, message.diagnosis)
        schema = root.query_one(SchemaPane)
        if isinstance(message.tables, str):
            schema.show_problem(message.tables)
        else:
            schema.show_tables(message.tables)
        worst = message.diagnosis.findings[0]
        self.log_entry(
            "diagnose",
            worst.message,
            f"{message.diagnosis.elapsed_ms} ms",
            SEVERITY_STYLES[worst.severity] if worst.severity != "ok" else "",
        )

    def on_magetui_app_reading_failed(self, message: ReadingFailed) -> None:
        self.screen_stack[0].query_one(ConnectionPane).show_problem(message.problem)
        self.log_entry("diagnose", message.problem, style=CRITICAL)

    def _show_header(self, diagnosis: Diagnosis) -> None:
        from magetui import words

        target = diagnosis.target
        server = " ".join(part for part in (target.dialect, target.server_version) if part)
        address = (target.url or "").partition("://")[2].replace(":***", "")
        place = words.plain(address.removeprefix("/") if target.dialect == "sqlite" else address)
        schema = f"   schema {words.plain(target.schema)}" if target.schema and target.dialect != "sqlite" else ""
        self.place = place
        self.screen_stack[0].query_one("#header", Static).update(
            Content.assemble(
                (" magetui", STRONG),
                ("   READ-ONLY" if self.selection.read_only else "", STRONG),
                f"   {server}   {place}{schema}",
                (f"   read {datetime.now():%H:%M:%S}", QUIET),
            )
        )

    def on_schema_pane_table_wanted(self, message: SchemaPane.TableWanted) -> None:
        self.read_details(message.schema, message.name)

    @work(thread=True, group="details", exit_on_error=False)
    def read_details(self, schema: str | None, name: str) -> None:
        from magetui.engine.errors import MagetuiError
        from magetui.engine.schema import describe_table

        try:
            self.post_message(self.DetailsRead(describe_table(self.open_workspace(), name, schema)))
        except MagetuiError as error:
            self.post_message(self.RunNotStarted("schema", error.message))

    def on_magetui_app_details_read(self, message: DetailsRead) -> None:
        self.screen_stack[0].query_one(SchemaPane).show_details(message.details)

    @work(thread=True, group="runs", exit_on_error=False)
    def read_runs(self, *, open_screen: bool) -> None:
        from magetui.engine.runs import list_runs

        self.post_message(self.RunsRead(list_runs(self.environment), open_screen=open_screen))

    def on_magetui_app_runs_read(self, message: RunsRead) -> None:
        if message.open_screen:
            from magetui.tui.screens.details import RunsScreen

            self.push_screen(RunsScreen(message.records))
            return
        past = list(reversed(message.records[:PAST_RUNS]))
        self.screen_stack[0].query_one(LogPane).add_runs(past)
        alive = next((record for record in message.records if record.alive), None)
        if alive is not None:
            self.notify(f"Run {alive.run} ({alive.verb}) goes on: u shows it.", title="A run goes on", timeout=15)

    # -- the log

    def log_entry(self, verb: str, text: str, took: str = "", style: str = "") -> None:
        """Add a line to the log pane."""
        entry = Entry(f"{datetime.now():%H:%M:%S}", verb, text, took, style)
        self.screen_stack[0].query_one(LogPane).add(entry)

    @on(Rows.Opened, "#log-rows")
    def _log_opened(self, event: Rows.Opened) -> None:
        if event.key.startswith(RUN):
            self.show_run(int(event.key.removeprefix(RUN)))

    @on(Rows.Opened, "#revision-rows")
    def _revision_opened(self, event: Rows.Opened) -> None:
        if self.chain is not None and event.key in self.chain.by_id:
            from magetui.tui.screens.details import RevisionScreen

            self.push_screen(RevisionScreen(self.chain.by_id[event.key]))

    # -- changing

    def action_change(self, verb: ChangeVerb) -> None:
        """Open the plan screen of a verb, with the target that the operator most likely means."""
        from magetui.tui.screens.plan import PlanScreen

        if self.selection.read_only:
            self.notify("--read-only is set, so nothing is changed.", severity="warning")
            return
        title = next(one.title for one in VERBS if one.name == verb)
        revision, unknown = self._meant(verb)
        self.push_screen(PlanScreen(verb, title, revision, unknown))

    def _meant(self, verb: ChangeVerb) -> tuple[str, str | None]:
        """The target a verb most likely means: what is under the cursor, if the verb can go there."""
        root = self.screen_stack[0]
        pane = root.query_one(RevisionsPane)
        marker = self.diagnosis.marker if self.diagnosis is not None else ()
        applied = self.chain.applied(marker) if self.chain is not None else frozenset()
        unknown = self.chain.unknown(marker) if self.chain is not None else ()
        selected = pane.selected if "unfolded" in pane.classes else None
        if verb == "migrate":
            return selected if selected and selected not in applied else "head", None
        if verb == "rollback":
            return selected if selected in applied and selected not in marker else "-1", None
        return selected or "head", unknown[0] if unknown else None

    def start_run(self, plan: Plan, *, lock_timeout_ms: int) -> None:
        """Begin a run that was consented to, and show it."""
        self._begin(plan, lock_timeout_ms)

    @work(thread=True, group="start", exit_on_error=False)
    def _begin(self, plan: Plan, lock_timeout_ms: int) -> None:
        from magetui.backends.base import Timeouts
        from magetui.engine import runs
        from magetui.engine.errors import MagetuiError
        from magetui.tui.screens.run import RunScreen

        try:
            started = runs.start(self.open_workspace(), plan, Timeouts(lock_ms=lock_timeout_ms))
        except MagetuiError as error:
            self.post_message(self.RunNotStarted(plan.verb, error.message))
            return
        self.call_from_thread(self.push_screen, RunScreen(started))

    def on_magetui_app_run_not_started(self, message: RunNotStarted) -> None:
        self.log_entry(message.verb, message.problem, style=CRITICAL)
        self.notify(message.problem, severity="error", timeout=15)

    def run_ended(self, record: RunRecord) -> None:
        """A run that was looked at has ended: note it, and read what the database says now."""
        self.screen_stack[0].query_one(LogPane).add(entry_of(record))
        self.read_state()

    def show_run(self, run: int) -> None:
        from magetui.tui.screens.run import RunScreen

        self.push_screen(RunScreen(run))

    # -- the other screens

    def action_locks(self) -> None:
        from magetui.tui.screens.locks import LocksScreen

        if not isinstance(self.screen, LocksScreen):
            self.push_screen(LocksScreen())

    def action_runs(self) -> None:
        self.read_runs(open_screen=True)

    def action_connect(self) -> None:
        from magetui.tui.screens.connect import ConnectScreen

        self.push_screen(ConnectScreen())

    def connect_to(self, url: str | None) -> None:
        """Look at another database from now on; None goes back to the one from the start."""
        from dataclasses import replace

        self.selection = self._first_selection if url is None else replace(self._first_selection, url=url)
        self.screen_stack[0].query_one(ConnectionPane).show_reading()
        self.read_state()

    def action_help(self) -> None:
        from magetui.tui.screens.base import OverScreen
        from magetui.tui.screens.details import HelpScreen

        subject, about = "magetui", ""
        if isinstance(self.screen, OverScreen):
            subject, about = self.screen.NAME, self.screen.ABOUT
        elif self.focused is not None:
            pane = next((one for one in self.focused.ancestors_with_self if isinstance(one, Pane)), None)
            if pane is not None:
                subject, about = f"{pane.NUMBER} {pane.NAME}", pane.ABOUT
        if isinstance(self.screen, HelpScreen):
            return
        keys: dict[str, list[str]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if active.enabled and binding.description and binding.action not in UNSAID_ACTIONS:
                said = binding.tooltip or binding.description
                keys.setdefault(said, []).append(self.get_key_display(binding))
        verbs = [(verb.key or "", verb.name, verb.summary) for verb in VERBS]
        self.push_screen(HelpScreen(subject, about, [(" ".join(shown), said) for said, shown in keys.items()], verbs))

    def action_of(self, verb: Verb) -> str:
        """The action that a verb's key has on the screen."""
        if verb.changes:
            return f"change('{verb.name}')"
        return {"diagnose": "refresh", "plan": "change('migrate')"}.get(verb.name, verb.name)

    # -- taking text along

    def _unfolded(self) -> Pane:
        return self.screen_stack[0].query_one("Pane.unfolded", Pane)

    def action_copy(self) -> None:
        self.copy_to_clipboard(self._unfolded().text)
        self.notify("Copied, if the terminal allows it (OSC 52).", timeout=3)

    def action_write(self) -> None:
        pane = self._unfolded()
        path = Path.cwd() / f"magetui-{pane.NAME.lower()}-{datetime.now():%Y%m%d-%H%M%S}.txt"
        try:
            path.write_text(pane.text + "\n", encoding="utf-8")
        except OSError as error:
            self.notify(f"{path} cannot be written: {error.strerror}.", severity="error")
            return
        self.log_entry("write", str(path))


def open_app(settings: Settings, environment: Mapping[str, str] | None = None, briefing: str | None = None) -> int:
    """Open the full-screen program; returns the exit status."""
    if not settings.colour:
        os.environ["NO_COLOR"] = "1"  # Textual's own switch, read when an app is made
    app = MagetuiApp(settings, environment, briefing)
    status = app.run(mouse=settings.mouse)
    return status if status is not None else app.return_code or 0
