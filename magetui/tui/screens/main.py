"""The main screen: the four panes, the pane that is unfolded, and copying a pane's text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantFocus, Resize
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from magetui.text import formats
from magetui.text.headline import headline
from magetui.tui.panes.base import Pane
from magetui.tui.panes.connection import NEXT_ACTIONS, ConnectionPane, next_steps
from magetui.tui.panes.log import RUN, Entry, LogPane
from magetui.tui.panes.revisions import RevisionsPane
from magetui.tui.panes.schema import SchemaPane
from magetui.tui.screens.base import OverScreen, TextScreen, with_production_mark
from magetui.tui.shell import TINY, is_tiny, shell_of
from magetui.tui.theme import CRITICAL, GOOD, QUIET, SEVERITY_STYLES, STRONG, WARNING
from magetui.tui.verb_keys import action_of
from magetui.tui.widgets.key_bar import KeyBar
from magetui.tui.widgets.recovery import RecoveryStrip
from magetui.tui.widgets.rows import Rows
from magetui.verbs import VERBS

if TYPE_CHECKING:
    from magetui.config.targets import NamedTarget
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.model.schema import Table
    from magetui.tui.backup_job import BackupJob
    from magetui.tui.messages import StateRead

NARROW, SHORT = 100, 28  # below, the panes have no frames, and the log is one line
STACKED, LOW = 76, 18  # below, one pane is unfolded at a time
REFRESH_SECONDS = 15.0  # the shortest pause between two readings
REFRESH_FACTOR = 20  # the pause is at least this many times as long as the last reading
LONGEST_PAUSE = 120.0
# The verbs in the order of the last line. The keys of the next step come before them.
USED = (
    "migrate",
    "rollback",
    "stamp",
    "evidence",
    "locks",
    "runs",
    "backup",
    "verify",
    "finish",
    "undo",
    "repair",
    "clean",
)


class MainScreen(Screen[None]):
    """Show all panes if the terminal has room. Otherwise show the focused pane, and the titles of the others."""

    WHILE_TINY: ClassVar[frozenset[str]] = frozenset({"quit"})
    AUTO_FOCUS = ""  # no automatic focus (None would mean the app's value): `_focus_first` does it
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(pane.NUMBER), f"pane({pane.NUMBER})", f"{pane.NAME} pane", show=False, id=pane.NAME.lower())
            for pane in (ConnectionPane, RevisionsPane, SchemaPane, LogPane)
        ),
        *(
            Binding(verb.key, action_of(verb), verb.label, tooltip=verb.summary, id=verb.name)
            for verb in sorted(VERBS, key=lambda verb: USED.index(verb.name) if verb.name in USED else len(USED))
            if verb.key is not None
        ),
        Binding("r", "app.refresh", "Read again", tooltip="read everything again", id="refresh"),
        Binding("c", "app.connect", "Connect", tooltip="connect to another database", id="connect"),
        Binding("T", "app.trust", "Trust", show=False, tooltip="decide whether the project's code may run", id="trust"),
        Binding("z", "zoom", "Zoom", show=False, tooltip="give this pane the complete screen, and back", id="zoom"),
        # For a pane that shows no list now: a list has the keys itself.
        Binding("y", "copy_pane", "Copy", show=False, tooltip="copy the selected item (OSC 52)", id="copy"),
        Binding("Y", "copy_pane", "Copy all", show=False, tooltip="copy the complete pane (OSC 52)", id="copy-all"),
        Binding("w", "write", "Write", show=False, tooltip="write this pane's text to a file", id="write"),
    ]

    @dataclass
    class RefreshDue(Message):
        """The facts may be old: this screen was in front for a while, or `returned` to the front."""

        returned: bool = False

    def __init__(self, briefing: str | None) -> None:
        super().__init__()
        self._refresh_timer: Timer | None = None
        self._was_covered = False
        self._verdict: str | None = None  # the headline of the last complete reading
        self._unchecked: str | None = None  # the headline that is shown while the schema is being checked
        self._briefing = briefing
        self._last_diagnosis = ""  # the last one in the log
        self._untouched = True  # no key was pressed and no state was shown yet: the operator has not chosen a pane

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            yield Static(" magetui", id="header", markup=False)
            yield Static(id="read-at", markup=False)
        if self._briefing is not None:
            yield Static(Content(self._briefing), id="briefing")
        yield RecoveryStrip(shell_of(self).key_of)
        first = RevisionsPane()
        first.add_class("unfolded")
        with Vertical(id="panes"):
            yield ConnectionPane()
            with Horizontal(id="middle", classes="unfolded"):
                yield first
                yield SchemaPane()
            yield LogPane()
        yield Static("This terminal is too small for magetui. Make it 50 by 12 or larger, or press q.", id="too-small")
        yield KeyBar(self._next_actions, self._useless_actions)

    def on_mount(self) -> None:
        # A widget without a layout cannot take the focus.
        self.call_after_refresh(self._focus_first)

    def _focus_first(self) -> None:
        if self.focused is None:
            self.query_one(RevisionsPane).focus_content()

    # -- reading again, while this screen is in front

    def on_screen_resume(self) -> None:
        if self._was_covered:
            self.query("#briefing").set_class(True, "read")  # on a small screen, its room is wanted
            self.app.clear_notifications()  # they are from another screen, and the log has them
            self.post_message(self.RefreshDue(returned=True))
        else:
            self.schedule_refresh()

    def on_screen_suspend(self) -> None:
        self._was_covered = True
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._refresh_timer is not None:
            self._refresh_timer.stop()
            self._refresh_timer = None

    def schedule_refresh(self, took: float = 0.0) -> None:
        """Post `RefreshDue` after a pause. The longer the last reading `took`, in seconds, the longer the pause."""
        self._stop_timer()
        if self.app.screen is self:  # `is_current` would be true behind other screens too
            seconds = min(LONGEST_PAUSE, max(REFRESH_SECONDS, took * REFRESH_FACTOR))
            self._refresh_timer = self.set_timer(seconds, lambda: self.post_message(self.RefreshDue()))

    def on_key(self) -> None:
        self._untouched = False

    # -- the unfolded pane

    def on_resize(self, event: Resize) -> None:
        width, height = event.size.width, event.size.height
        self.set_class(width < NARROW or height < SHORT, "narrow")
        self.set_class(width < STACKED or height < LOW, "stacked")
        self.set_class(is_tiny(event.size), TINY)

    @on(DescendantFocus)
    def _focused(self, event: DescendantFocus) -> None:
        pane = next((node for node in event.widget.ancestors_with_self if isinstance(node, Pane)), None)
        if pane is not None:
            self._unfold(pane)

    def _unfold(self, pane: Pane) -> None:
        for other in self.query(Pane):
            other.set_class(other is pane, "unfolded")
        middle = self.query_one("#middle")
        middle.set_class(pane in middle.children, "unfolded")

    @property
    def unfolded(self) -> Pane:
        """The pane whose content is shown."""
        return self.query_one("Pane.unfolded", Pane)

    def action_pane(self, number: int) -> None:
        pane = next(pane for pane in self.query(Pane) if number == pane.NUMBER)
        self._unfold(pane)  # a folded pane's content cannot take the focus
        if isinstance(pane, RevisionsPane | SchemaPane):
            self.query_one(RecoveryStrip).mark("history" if isinstance(pane, RevisionsPane) else "schema")
        pane.focus_content()

    @on(Pane.Clicked)
    def _pane_clicked(self, event: Pane.Clicked) -> None:
        if event.number != self.unfolded.NUMBER:
            self.action_pane(event.number)

    def action_zoom(self) -> None:
        self.toggle_class("zoomed")

    @property
    def selected_revision(self) -> str | None:
        """The revision at the cursor, if the pane of revisions is unfolded."""
        pane = self.unfolded
        return pane.selected if isinstance(pane, RevisionsPane) else None

    # -- opening the row at the cursor

    @on(Rows.Opened, "#finding-rows")
    def _finding_opened(self) -> None:
        selected = self.query_one(ConnectionPane).selected_text()
        if selected is not None:
            self.app.push_screen(TextScreen(*selected))

    @on(Rows.Opened, "#log-rows")
    def _log_opened(self, event: Rows.Opened) -> None:
        if event.key.startswith(RUN):
            from magetui.tui.screens.run import RunScreen

            self.app.push_screen(RunScreen(int(event.key.removeprefix(RUN))))
            return
        entry = self.query_one(LogPane).entry(event.key)
        if entry is not None:
            self.app.push_screen(TextScreen(f"{entry.at}  {entry.verb}  {entry.took}", Content(entry.text)))

    @on(Rows.Opened, "#schema-rows")
    def _table_opened(self) -> None:
        table = self.query_one(SchemaPane).selected
        if table is not None:
            from magetui.tui.screens.table import TableScreen

            self.app.push_screen(TableScreen(table))

    @on(Rows.Opened, "#revision-rows")
    def _revision_opened(self, event: Rows.Opened) -> None:
        chain = shell_of(self).chain
        if chain is not None and event.key in chain.by_id:
            from magetui.tui.screens.revision import RevisionScreen

            self.app.push_screen(RevisionScreen(chain.by_id[event.key], chain))

    # -- showing facts

    def show_reading(self, label: str) -> None:
        """Remove the facts of the last database, because another one is being read."""
        self._show_header(Content.assemble((" magetui", STRONG), f"  reading {label} …"), "")
        self.note("connect", label)
        self._verdict = self._unchecked = None
        self.query_one(RecoveryStrip).forget()
        self.query_one(ConnectionPane).show_reading(label)
        self.query_one(RevisionsPane).show_reading()
        self.query_one(SchemaPane).show_reading()

    def _next_actions(self) -> list[str]:
        """Return the actions of the next step: their keys come first in the last line."""
        diagnosis = shell_of(self).diagnosis
        is_due = diagnosis is not None and self._unchecked is None  # while the schema is checked, another may be next
        steps = next_steps(diagnosis.findings[0]) if diagnosis is not None and is_due else []
        return [NEXT_ACTIONS.get(action, action) for action, _purpose in steps]

    def _useless_actions(self) -> frozenset[str]:
        """Return the actions that need the database, if it cannot be reached. Their keys still say why."""
        diagnosis = shell_of(self).diagnosis
        is_away = diagnosis is not None and diagnosis.findings[0].code == "cannot-connect"
        return frozenset(USED) - {"runs"} if is_away else frozenset()

    def show_state(self, state: StateRead) -> None:
        self.query_one(ConnectionPane).show_diagnosis(state.diagnosis, checking=state.checking)
        self.query_one(RevisionsPane).show_chain(state.chain, state.diagnosis)
        first = state.diagnosis.findings[0]
        if first.severity in ("warning", "critical") and self._untouched and self.has_class("narrow"):
            self.action_pane(ConnectionPane.NUMBER)  # it has every finding
        self._untouched = False
        before, self._unchecked = self._unchecked, headline(state.diagnosis, first) if state.checking else None
        self.query_one(KeyBar).draw()
        if state.checking:
            return  # the verdict may change in a moment
        is_well = first.severity not in ("warning", "critical")
        self.query_one(RecoveryStrip).diagnosed(well=is_well)
        self.query("#briefing").set_class(is_well, "recovered")
        requested = not state.quiet
        self._announce(state, before, expected=requested)
        if first.message == self._last_diagnosis and not requested:
            return  # the log has it already
        self._last_diagnosis = first.message
        style = SEVERITY_STYLES[first.severity] if first.severity != "ok" else ""
        self.note("diagnose", first.message, f"{state.diagnosis.elapsed_ms} ms", style)

    def _announce(self, state: StateRead, unchecked: str | None, *, expected: bool) -> None:
        """Show a change of the verdict that the operator does not expect: in the log, and on a screen over this one.

        `unchecked` is the verdict that was shown while the schema was being checked.
        """
        worst = state.diagnosis.findings[0]
        verdict = headline(state.diagnosis, worst)
        last, before = self._verdict, unchecked or self._verdict
        self._verdict = verdict
        is_our_run = worst.code == "migration-running" and bool(shell_of(self).live_runs)
        if before is None or verdict in (last, before) or (expected and before == last) or is_our_run:
            return
        style = SEVERITY_STYLES[worst.severity] if worst.severity != "ok" else ""
        change = f"{before} became {verdict}" if before == last else f"{verdict}, at first {before}"
        self.note("verdict", change, style=style)
        front = self.app.screen
        if front is self or (isinstance(front, OverScreen) and front.TELLS_VERDICT):
            return  # the state line has changed before the operator's eyes, or the screen tells the same in full
        severity: SeverityLevel = "warning" if worst.severity in ("warning", "critical") else "information"
        self.notify(f"{change}.", title="The verdict has changed", severity=severity, markup=False)

    def show_tables(self, tables: tuple[Table, ...] | str) -> None:
        """Show the tables, or the sentence that says why they could not be listed."""
        schema = self.query_one(SchemaPane)
        if isinstance(tables, str):
            schema.show_problem(tables)
        else:
            schema.show_tables(tables)

    def show_problem(self, problem: str) -> None:
        self._show_header(Content.assemble((" magetui", STRONG), f"  {shell_of(self).database_label}  not read"), "")
        self.query_one(ConnectionPane).show_problem(problem)
        self.query_one(KeyBar).draw()
        self.query_one(RevisionsPane).show_problem(problem)
        self.query_one(SchemaPane).show_problem(problem)
        self.note("diagnose", problem, style=CRITICAL)

    def show_header(self, label: str, diagnosis: Diagnosis, named: NamedTarget | None, *, read_only: bool) -> None:
        """Show the top line: what the database is comes first, as its end may be cut; the time of reading never is."""
        target = diagnosis.target
        server = " ".join(part for part in (target.dialect, target.server_version) if part)
        schema = f"  {formats.plain(target.schema)}" if target.schema and target.dialect != "sqlite" else ""
        called = f"{STRONG} ansi_{named.colour}" if named is not None and named.colour else STRONG
        header = Content.assemble(
            (" magetui", STRONG),
            (f"  {named.called}" if named is not None else "", called),
            ("  READ-ONLY" if read_only else "", STRONG),
            f"  {label}  {server}{schema}",
        )
        self._show_header(with_production_mark(header, named), f"read {datetime.now():%H:%M:%S}")

    def _show_header(self, what: Content, when: str) -> None:
        self.query_one("#header", Static).update(what)
        read = self.query_one("#read-at", Static)
        read.display = bool(when)
        read.update(Content.styled(when, QUIET))

    def show_backup(self, backup: BackupJob) -> None:
        """Add the end of a backup to the log, and notify the operator if its screen is not in front."""
        if backup.made is None:
            result, took, style = backup.problem, "", CRITICAL
        else:
            result, took, style = str(backup.made.file), formats.duration(backup.made.elapsed_ms), GOOD
            if backup.database == shell_of(self).database_label:
                self.query_one(RecoveryStrip).mark("backup")
        self.note("backup", formats.plain(result), took, style)
        if not backup.watched:
            severity: SeverityLevel = "information" if backup.made else "error"
            self.notify(formats.plain(result), title="Backup", severity=severity, markup=False)

    def note(self, verb: str, text: str, took: str = "", style: str = "") -> None:
        text = shell_of(self).advise(text)
        self.query_one(LogPane).add(Entry(f"{datetime.now():%H:%M:%S}", verb, text, took, style))

    def warn(self, warnings: Sequence[str]) -> None:
        for warning in warnings:
            self.note("config", warning, style=WARNING)
            self.notify(warning, title="Configuration", severity="warning", markup=False)

    # -- copying and writing

    def action_copy_pane(self) -> None:
        self.post_message(Rows.CopyWanted(self.unfolded.text, complete=True))

    def action_write(self) -> None:
        pane = self.unfolded
        path = Path.cwd() / f"magetui-{pane.NAME.lower()}-{datetime.now():%Y%m%d-%H%M%S}.txt"
        try:
            path.write_text(pane.text + "\n", encoding="utf-8")
        except OSError as error:
            self.notify(f"Cannot write {path}: {error.strerror}.", severity="error", markup=False)
            return
        self.note("write", str(path))
