"""A backup as every kind of database makes it: its options, its progress, and why it failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

BackupCause = Literal["tool", "nothing", "lock-timeout", "failed"]


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """`lock_ms` limits each wait for a lock, in milliseconds (0: no limit). `pg_dump` is a path, or a name on PATH."""

    lock_ms: int = 10_000
    application_name: str = "magetui backup"
    pg_dump: str | None = None


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """Bytes written, the most bytes that the file can have, and the table that is written now, if known."""

    written: int
    most: int
    table: str | None = None


class BackupFailedError(Exception):
    """No backup was made. The message may repeat a credential. `tool`: no pg_dump fits. `nothing`: there is no file."""

    def __init__(self, cause: BackupCause, message: str) -> None:
        self.cause = cause
        self.message = message
        super().__init__(message)


class BackupJob(Protocol):
    """One backup of a database that is prepared and not yet made."""

    @property
    def most(self) -> int:
        """The bytes that the file will not exceed, as far as that is known in advance."""

    def write(self, file: Path, report: Callable[[BackupProgress], None]) -> None:
        """Write the backup into `file`, which exists and is empty. Raises `BackupFailedError`.

        `report` is called with the progress several times a second. If it raises, the backup ends.
        """

    @property
    def restore_problem(self) -> str | None:
        """Return the right that this role lacks for `restore_command`, and the way around it; None if it lacks none."""

    def restore_command(self, file: Path) -> str:
        """Return the shell command that restores `file` into a database. It contains no credential."""
