"""A backup as every kind of database makes one: what is asked for, how far it has come, and why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

BackupCause = Literal["tool", "nothing", "lock-timeout", "failed"]


@dataclass(frozen=True, slots=True)
class BackupOptions:
    """How long a backup may wait for a lock (0: for ever), its name on the server, the pg_dump that was asked for."""

    lock_ms: int = 10_000
    application_name: str = "magetui backup"
    pg_dump: str | None = None


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """Bytes written so far, of `most` at most, and the table that is being written, where that is told."""

    written: int
    most: int
    table: str | None = None


class BackupFailedError(Exception):
    """Why there is no backup; the message may repeat a credential. `tool`: a program is missing, or does not fit."""

    def __init__(self, cause: BackupCause, message: str) -> None:
        self.cause = cause
        self.message = message
        super().__init__(message)


class BackupJob(Protocol):
    """One backup of a database, ready to be made."""

    @property
    def most(self) -> int:
        """Bytes that the file will not exceed, as far as can be known beforehand."""

    def write(self, file: Path, told: Callable[[BackupProgress], None]) -> None:
        """Fill `file`, which is there and empty; what `told` raises ends it. Raises `BackupFailedError`."""

    def restore_command(self, file: Path) -> str:
        """What to type into a shell to have the content of `file` in a database again; without any credential."""
