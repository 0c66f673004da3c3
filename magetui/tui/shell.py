"""The shell: the app as panes, screens and widgets know it.

The app imports every screen, so a screen that imported the app would make an import cycle. This class is about the
process: what a new workspace gets, what an error may show, and what must happen before the process ends. Its abstract
members are the app's own; `MagetuiApp` is the only subclass.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual import on
from textual.app import App
from textual.events import Event, Key, Paste, Resize
from textual.worker import Worker, WorkerState

from magetui.config.keys import ACTIONS
from magetui.engine.target.passwords import Passwords
from magetui.tui.cells import Cells, ChangedCells, is_of_cells
from magetui.tui.hangup import watch_for_hangup
from magetui.tui.messages import ActionFailed, ReadingFailed
from magetui.tui.theme import MAIN_SHEETS, OTHER_SHEETS

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.geometry import Size
    from textual.message import Message
    from textual.screen import Screen

    from magetui.config.settings import Settings
    from magetui.config.targets import NamedTarget
    from magetui.engine.backup import BackupRequest
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.runs.start import Limits, StartedRun
    from magetui.engine.target.selection import Selection
    from magetui.engine.target.target import Target
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import ChangeVerb, Loss, Plan
    from magetui.tui.backup_job import BackupJob


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of the last verification: of the revisions `about`, on `selection`, when `runs` had been started."""

    selection: Selection
    runs: int
    about: str
    found: str


TINY = "tiny"  # the class of a screen on a terminal that is too small
TOO_NARROW, TOO_SHORT = 50, 12
SHOWN_SECONDS = 1.0  # a screen that is painted later does not delay the next answer
UNSEEN_SECONDS = 0.5  # nobody reads a screen and answers it in less time


def is_tiny(size: Size) -> bool:
    """Return whether the terminal is too small to show what a key would do."""
    return size.width < TOO_NARROW or size.height < TOO_SHORT


class Shell(App[int]):
    """The app without its screens."""

    def __init__(self, settings: Settings, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(css_path=list(MAIN_SHEETS), ansi_color=settings.theme.startswith("ansi-"))
        # Before any style is computed. An assignment would compute every style a second time.
        self.set_reactive(App.theme, settings.theme)
        self.stylesheet.set_variables(self.get_css_variables())
        self.environment: Mapping[str, str] = os.environ if environment is None else environment
        self.settings = settings
        self.selection = self.first_selection = settings.selection
        self.named: NamedTarget | None = None  # the configuration's entry of the current database
        self.diagnosis: Diagnosis | None = None
        self.chain: Chain | None = None
        self.database_label = self.first_label = ""  # how the screens name the current and the first database
        self.backup: BackupJob | None = None  # the latest
        self.live_runs: set[int] = set()  # the runs that were alive when last seen: their end is noticed
        self.started_runs: list[StartedRun] = []  # the connections to the runs that this program started
        self._verified: Verified | None = None
        self._passwords = Passwords()  # printed by password commands
        self._targets: set[Target] = set()  # every target that was opened: their credentials must not be shown
        self._leaving = False
        self._cells = Cells(ascii=settings.ascii)
        self._unseen_until = 0.0  # what the terminal shows since it has grown was not seen before (time.monotonic())

    def on_mount(self) -> None:
        watch_for_hangup(lambda status: self.call_from_thread(self._hang_up, status))
        self.app_resume_signal.subscribe(self, lambda _app: self.action_redraw())

    # -- drawing

    def load_other_styles(self) -> None:
        """Parse the style sheets of the screens over the main screen, so that the first of them opens quickly."""
        self.stylesheet.read_all(OTHER_SHEETS)
        self.stylesheet.parse()

    def watch_theme(self) -> None:
        """Use the terminal's own colours with the themes that are made of them."""
        self.ansi_color = self.current_theme.ansi

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Write only the cells that change. If Textual no longer called this method, it would write all of a region."""
        if is_of_cells(renderable) and not self.is_inline:
            lines = self._cells.changed_lines(renderable, self.size, self.console)
            if not lines:
                return
            renderable = ChangedCells(self._cells, lines)
        super()._display(screen, renderable)

    def action_redraw(self) -> None:
        """Draw the complete screen again: another program may have written to the terminal."""
        self._cells.forget()
        self.screen.refresh()

    def post_answers(self, answers: Iterable[Message]) -> None:
        """Post each answer of a worker, and let the screen show it: the work for the next one would delay the paint."""
        for answer in answers:
            self.post_message(answer)
            is_shown = threading.Event()
            self.call_after_refresh(is_shown.set)
            is_shown.wait(SHOWN_SECONDS)

    def open_workspace(self, selection: Selection | None = None) -> Workspace:
        """Return a new workspace. Each one is new, so that it reads the scripts and the secrets again."""
        from magetui.engine.workspace import Workspace

        return Workspace(selection or self.selection, self.environment, self._targets, self._passwords)

    def note_verification(self, about: str, *, equal: bool) -> None:
        """Remember a verification, so that the plan of a stamp made next does not ask for it again."""
        found = "equal to" if equal else "different from"
        said = f"At {datetime.now():%H:%M:%S} the schema was {found} what {about} makes."
        self._verified = Verified(self.selection, len(self.started_runs), about, said)

    def verification_of(self, revision: str) -> str | None:
        """Return what the last verification found, if it was of that revision, and no run was started since."""
        last = self._verified
        if last is None or (last.selection, last.runs, last.about) != (
            self.selection,
            len(self.started_runs),
            revision,
        ):
            return None
        return last.found

    def key_of(self, action: str) -> str:
        """Return the key of an action, by its name in the configuration."""
        return self.settings.keys.get(action, ACTIONS[action])

    def advise(self, text: str) -> str:
        """Return a text of the engine with the screen's keys in place of commands and flags."""
        from magetui.text.advice import for_screen

        return for_screen(text, self.key_of)

    def notify(self, message: str, **options: Any) -> None:
        super().notify(self.advise(message), **options)

    # -- errors

    def cleaned(self, text: str) -> str:
        """Return `text` without the credentials of any opened database. No secret store is asked, as it may be slow."""
        from magetui.protocol.redaction import redact, secrets_of, store_secrets

        for selection in (self.selection, self.first_selection):
            for url in (selection.url, selection.scratch_url, self.environment.get("MAGETUI_SCRATCH_URL")):
                text = redact(text, secrets_of(url)) if url else text
        for target in tuple(self._targets):
            text = target.clean(text)
        return redact(text, store_secrets(self.environment))

    @on(Worker.StateChanged)
    def show_unexpected_error(self, event: Worker.StateChanged) -> None:
        """Show an error that nobody expected in a worker. The screen stays usable.

        Textual sends this message only to the owner of the worker. So a screen with workers passes it on to the app.
        """
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            problem = self.cleaned(f"{type(error).__name__} in {event.worker.name}: {error}")
            self.post_message(ActionFailed("error", problem))
            if event.worker.group == "state":
                self.post_message(ReadingFailed(self.selection, problem))

    def _fatal_error(self) -> None:
        """Print an error that ends the program. Textual's own report would show variables, which may hold URLs."""
        from rich.text import Text

        self._exit_renderables.append(Text(self.cleaned(traceback.format_exc())))
        self._close_messages_no_wait()

    # -- leaving

    def _hang_up(self, status: int) -> None:
        """Leave because the terminal is gone, or a signal ends the program.

        The runs keep their connection to this process: its end tells a run that must be cancelled on disconnect.
        """
        self.started_runs.clear()
        if self.backup is not None:
            self.backup.cancel()
        self.exit(status)

    async def action_quit(self) -> None:
        """Leave. If that would cancel a backup, warn first."""
        if self.backup is not None and self.backup.alive and not self.backup.warned:
            self.backup.warned = True
            self.notify(
                f"A backup is being written. Quit again to cancel it; {self.key_of('backup')} shows it.",
                severity="warning",
            )
            return
        self.exit()

    def exit(self, *arguments: Any, **options: Any) -> None:
        """Leave, and ignore every key from now on."""
        self._leaving = True
        super().exit(*arguments, **options)

    async def on_event(self, event: Event) -> None:
        """Drop what is typed while the terminal is too small, and what was typed just before it grew again."""
        if isinstance(event, Resize) and is_tiny(self.size) and not is_tiny(event.size):
            self._unseen_until = time.monotonic() + UNSEEN_SECONDS
        if isinstance(event, Key | Paste) and not event.is_forwarded:
            active = self.screen.active_bindings.get(event.key) if isinstance(event, Key) else None
            # The moment of the key counts: on a busy machine it may be handled a second later.
            is_unseen = is_tiny(self.size) or event.time < self._unseen_until
            if is_unseen and not (active and self._acts_while_tiny(active.binding.action)):
                return
        if isinstance(event, Key) and self._typed_ahead(event):
            return
        await super().on_event(event)

    def _typed_ahead(self, event: Key) -> bool:
        """Pass a letter on that was typed right after the key that finds, while the list still had the focus."""
        focused = self.focused
        takes = event.is_forwarded and event.is_printable and getattr(focused, "takes_typed_ahead", False)
        return bool(focused is not None and takes and focused.post_message(Key(event.key, event.character)))

    def _acts_while_tiny(self, action: Any) -> bool:
        name = str(action).partition("(")[0].rpartition(".")[2]
        return name in getattr(self.screen, "WHILE_TINY", ("quit",))

    async def run_action(self, action: Any, *arguments: Any, **options: Any) -> bool:
        """Do what a key says, unless the program is leaving or the screen is too small to show what the key does."""
        if self._leaving or (self.screen.has_class(TINY) and not self._acts_while_tiny(action)):
            return False
        return await super().run_action(action, *arguments, **options)

    # -- what the app adds

    @abstractmethod
    def note(self, verb: str, text: str, took: str = "", style: str = "") -> None:
        """Add a line to the log pane."""

    @abstractmethod
    def action_change(self, name: ChangeVerb, revision: str | None = None) -> None:
        """Open the plan screen of a verb."""

    @abstractmethod
    def action_locks(self, prefer: Collection[int] = ()) -> None:
        """Open the locks screen, with the cursor on the first of the sessions `prefer`."""

    @abstractmethod
    def action_backup(self) -> None:
        """Open the backup screen."""

    @abstractmethod
    def show_main(self) -> None:
        """Close every screen over the main screen."""

    @abstractmethod
    def action_evidence(self) -> None:
        """Open the evidence screen."""

    @abstractmethod
    def connect_to(self, selection: Selection, label: str) -> None:
        """Make another database the current one."""

    @abstractmethod
    def plan_again(self, record: RunRecord) -> None:
        """Show the plan of a run that ended early, made again from the present state."""

    @abstractmethod
    def start_run(self, plan: Plan, limits: Limits, losses: Sequence[Loss]) -> object:
        """Start a run that the operator consented to, and show it."""

    @abstractmethod
    def run_ended(self, record: RunRecord) -> None:
        """Add the end of a run to the log and read the state again."""

    @abstractmethod
    def start_backup(self, request: BackupRequest, file: Path) -> BackupJob:
        """Start a backup that the operator consented to."""


def shell_of(node: DOMNode) -> Shell:
    """Return the app that a widget or screen belongs to, typed as the shell."""
    return cast("Shell", node.app)
