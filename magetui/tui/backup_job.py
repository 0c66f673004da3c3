"""A backup that is being written, whichever screen is looked at: how far it has come, and how it ended.

It outlives its screen, so that the operator can look around meanwhile, and not the program: it is a thread of that.
Whoever ends the program ends it first, so that it can take away what it had written.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magetui.backends.backup import BackupProgress
    from magetui.engine.backup import Backup, BackupRequest
    from magetui.engine.workspace import Workspace
    from magetui.model.sessions import Session


class CancelledError(Exception):
    """Raised inside the backup, to end it."""


class BackupWork:
    """One backup. `run` is called once, in a thread; the other members are read in the program's own."""

    def __init__(self, request: BackupRequest, file: Path, place: str) -> None:
        self.file = file
        self.place = place  # the database, as it is shown
        self.progress: BackupProgress | None = None
        self.made: Backup | None = None
        self.problem = ""  # why there is none, once it has ended so
        self.sessions: tuple[Session, ...] = ()  # that were in the way of it
        self.watched = False  # whether its screen is in front
        self.warned = False  # whether the operator was told what leaving means
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
        """Ask it to end; it does within moments, and leaves no file."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within so many seconds."""
        return self._ended.wait(seconds)

    def run(self, workspace: Workspace) -> None:
        """Write it."""
        from magetui.engine.backup import make_backup
        from magetui.engine.errors import LockTimeoutError, MagetuiError

        problem = "It was broken off by an error of this program."
        try:
            self.made = make_backup(workspace, self._request, self._told)
            problem = ""
        except CancelledError:
            problem = "It was cancelled. There is no backup, and no file was left."
        except LockTimeoutError as error:
            problem, self.sessions = error.message, error.sessions
        except MagetuiError as error:
            problem = error.message
        finally:
            self.problem = problem
            self._ended.set()

    def _told(self, progress: BackupProgress) -> None:
        if self._stop.is_set():
            raise CancelledError
        self.progress = progress
