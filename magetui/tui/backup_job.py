"""A backup that is being written. It outlives its screen, but whoever ends the program cancels it first."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.errors import LockTimeoutError, MagetuiError

if TYPE_CHECKING:
    from magetui.backends.backup import BackupProgress
    from magetui.engine.backup import Backup, BackupRequest
    from magetui.engine.workspace import Workspace
    from magetui.model.sessions import Session


class CancelledError(Exception):
    """Raised inside the backup, to end it."""


class BackupJob:
    """One backup. `run` is called once, in a thread of its own; the program's thread reads the other members."""

    def __init__(self, request: BackupRequest, file: Path, database: str) -> None:
        self.file = file
        self.database = database  # its label on the screen
        self.progress: BackupProgress | None = None
        self.made: Backup | None = None
        self.problem = ""  # why the job ended without a backup
        self.blockers: tuple[Session, ...] = ()  # the sessions that held the lock which the backup did not get
        self.watched = False  # whether the backup screen is in front
        self.warned = False  # whether the operator was warned that quitting cancels the backup
        self._request = request
        self._stop = threading.Event()
        self._ended = threading.Event()

    @property
    def alive(self) -> bool:
        return not self._ended.is_set()

    @property
    def cancelling(self) -> bool:
        return self.alive and self._stop.is_set()

    def cancel(self) -> None:
        """Ask the backup to end. It ends within moments and leaves no file."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` and return whether the backup has ended."""
        return self._ended.wait(seconds)

    def run(self, workspace: Workspace) -> None:
        from magetui.engine.backup import make_backup

        problem = "An unexpected error ended the backup."
        try:
            self.made = make_backup(workspace, self._request, self._report)
            problem = ""
        except CancelledError:
            problem = "The backup was cancelled. It left no file."
        except LockTimeoutError as error:
            problem, self.blockers = error.message, error.sessions
        except MagetuiError as error:
            problem = error.message
        finally:
            self.problem = problem
            self._ended.set()

    def _report(self, progress: BackupProgress) -> None:
        if self._stop.is_set():
            raise CancelledError
        self.progress = progress
