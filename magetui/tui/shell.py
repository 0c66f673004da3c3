"""The shell: what panes, screens and widgets may ask of the app.

The app imports every screen, so a screen that imported the app would close a circle. This abstract class has the
members that screens use; `MagetuiApp` is the only class that implements all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual.app import App
from textual.dom import DOMNode
from textual.worker import Worker

if TYPE_CHECKING:
    from magetui.config.settings import Settings
    from magetui.config.targets import NamedTarget
    from magetui.engine.backup import BackupRequest
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.runs.start import Limits
    from magetui.engine.target.selection import Selection
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import ChangeVerb, Plan
    from magetui.tui.backup_job import BackupJob


class Shell(App[int]):
    """The app as the parts of the screen know it."""

    environment: Mapping[str, str]
    settings: Settings
    selection: Selection
    first_selection: Selection  # the database that the program was started on
    named: NamedTarget | None  # the configuration's entry of the current database
    diagnosis: Diagnosis | None
    chain: Chain | None
    database_label: str  # how the screens name the current database
    first_label: str

    @abstractmethod
    def open_workspace(self, selection: Selection | None = None) -> Workspace:
        """Return a new workspace on the current selection, or on the given one."""

    @abstractmethod
    def key_of(self, action: str) -> str:
        """Return the key of an action, by its name in the configuration."""

    @abstractmethod
    def show_unexpected_error(self, event: Worker.StateChanged) -> None:
        """Show an error that nobody expected in a worker."""

    @abstractmethod
    def note(self, verb: str, text: str, took: str = "", style: str = "") -> None:
        """Add a line to the log pane."""

    @abstractmethod
    def action_change(self, name: ChangeVerb, revision: str | None = None) -> None:
        """Open the plan screen of a verb."""

    @abstractmethod
    def action_locks(self) -> None:
        """Open the locks screen."""

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
    def start_run(self, plan: Plan, limits: Limits) -> object:
        """Start a run that the operator consented to, and show it."""

    @abstractmethod
    def run_seen(self, run: int) -> None:
        """Remember that a run is alive, so that its end is noticed."""

    @abstractmethod
    def run_ended(self, record: RunRecord) -> None:
        """Add the end of a run to the log and read the state again."""

    @abstractmethod
    def start_backup(self, request: BackupRequest, file: Path) -> BackupJob:
        """Start a backup that the operator consented to."""


def shell_of(node: DOMNode) -> Shell:
    """Return the app that a widget or screen belongs to, typed as the shell."""
    return cast("Shell", node.app)
