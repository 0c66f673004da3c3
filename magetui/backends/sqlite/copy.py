"""A SQLite database into another file while others use it, by SQLite's online backup (sqlite.org/backup.html).

`cp` of a file in use copies half of somebody's transaction. The online backup reads some pages at a time and lets go
of the file in between, so that nobody has to wait for it; where somebody writes meanwhile it begins anew by itself.
The copy is checked before it is called one.
"""

from __future__ import annotations

import shlex
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from magetui.backends.backup import BackupFailedError, BackupOptions, BackupProgress

PAGES = 1_000  # a step: 4 MB in pages of the usual size
BUSY_PAUSE_SECONDS = 0.05
BUSY, LOCKED = 5, 6  # sqlite.org/rescode.html
BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps next to a file


@dataclass(frozen=True, slots=True)
class Copy:
    """See `BackupJob`."""

    database: Path
    most: int
    options: BackupOptions
    open_reader: Callable[[], sqlite3.Connection]

    def write(self, file: Path, told: Callable[[BackupProgress], None]) -> None:
        patience = Patience(self.options.lock_ms)

        def progress(status: int, remaining: int, total: int) -> None:
            patience.met(locked=status in (BUSY, LOCKED))
            done = (total - remaining) * self.most // total if total else 0
            told(BackupProgress(done, self.most))

        try:
            with closing(self.open_reader()) as source, closing(sqlite3.connect(file)) as copy:
                source.backup(copy, pages=PAGES, progress=progress, sleep=BUSY_PAUSE_SECONDS)
                wrong = [row[0] for row in copy.execute("pragma integrity_check(3)") if row[0] != "ok"]
        except (sqlite3.Error, OSError) as error:
            raise BackupFailedError("failed", f"SQLite could not copy {self.database}: {error}") from error
        finally:
            for suffix in BESIDE:
                file.with_name(file.name + suffix).unlink(missing_ok=True)
        if wrong:
            raise BackupFailedError(
                "failed",
                f"The copy fails SQLite's integrity check ({'; '.join(wrong)}), as the database itself must. To keep "
                f"what is there all the same, stop whatever uses it and copy {self.database} with cp.",
            )

    def restore_command(self, file: Path) -> str:
        """The copy over the file, while nothing uses it.

        What SQLite had kept beside the file goes first: a journal of the old content would be applied to the new.
        """
        beside = " ".join(shlex.quote(f"{self.database}{suffix}") for suffix in BESIDE)
        return f"rm -f {beside} && cp {shlex.quote(str(file))} {shlex.quote(str(self.database))}"


class Patience:
    """How long the database has been locked away from us without a break."""

    def __init__(self, limit_ms: int) -> None:
        self._limit_ms = limit_ms
        self._since: float | None = None

    def met(self, *, locked: bool) -> None:
        """Raises `BackupFailedError` once it has lasted too long."""
        if not locked:
            self._since = None
            return
        self._since = self._since or time.monotonic()
        if self._limit_ms and (time.monotonic() - self._since) * 1000 >= self._limit_ms:
            raise BackupFailedError("lock-timeout", "The file is locked by somebody who writes.")
