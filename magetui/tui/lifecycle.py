"""The program's life: opening workspaces, keeping their credentials off the screen, errors, and leaving.

The app class adds the screens. This part is separate because it is about the process: what a new workspace gets, what
an error may show, and what must happen before the process ends.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual import on
from textual.worker import Worker, WorkerState

from magetui.engine.target.passwords import Passwords
from magetui.tui.hangup import watch_for_hangup
from magetui.tui.keys import key_of
from magetui.tui.messages import ActionFailed, ReadingFailed
from magetui.tui.screens.base import is_blocked
from magetui.tui.shell import Shell
from magetui.tui.theme import style_sheets

if TYPE_CHECKING:
    from magetui.config.settings import Settings
    from magetui.engine.runs.start import StartedRun
    from magetui.engine.target.selection import Selection
    from magetui.engine.target.target import Target
    from magetui.engine.workspace import Workspace
    from magetui.tui.backup_job import BackupJob


class LifecycleApp(Shell):
    """The app without its screens."""

    def __init__(self, settings: Settings, environment: Mapping[str, str] | None = None) -> None:
        super().__init__(css_path=list(style_sheets()), ansi_color=True)
        self.environment: Mapping[str, str] = os.environ if environment is None else environment
        self.settings = settings
        self.selection = self.first_selection = settings.selection
        self.backup: BackupJob | None = None  # the latest
        self.live_runs: set[int] = set()  # the runs that were alive when the program last looked
        self.started_runs: list[StartedRun] = []  # the connections to the runs that this program started
        self._passwords = Passwords()  # printed by password commands
        self._targets: set[Target] = set()  # every target that was opened: their credentials must not be shown
        self._leaving = False

    def on_mount(self) -> None:
        watch_for_hangup(lambda: self.call_from_thread(self._hang_up))

    def open_workspace(self, selection: Selection | None = None) -> Workspace:
        """Return a new workspace. Each one is new, so that it reads the scripts and the secrets again."""
        from magetui.engine.workspace import Workspace

        return Workspace(selection or self.selection, self.environment, self._targets, self._passwords)

    def key_of(self, action: str) -> str:
        """Return the key of an action, by its name in the configuration."""
        return key_of(action, self.settings.keys)

    # -- errors

    def cleaned(self, text: str) -> str:
        """Return `text` without the credentials of any database that was opened.

        This asks no secret store, since a store may take long to answer.
        """
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

    def _hang_up(self) -> None:
        """Leave because the terminal is gone.

        The runs keep their connection to this process: its end tells a run that must be cancelled on disconnect.
        """
        self.started_runs.clear()
        if self.backup is not None:
            self.backup.cancel()
        self.exit(0)

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

    async def run_action(self, action: Any, *arguments: Any, **options: Any) -> bool:
        """Do what a key says, unless the program is leaving or the screen is too small to show what the key does."""
        if self._leaving or is_blocked(self.screen, str(action)):
            return False
        return await super().run_action(action, *arguments, **options)
