"""Backup of a SQLite database while others use it, with SQLite's online backup (sqlite.org/backup.html).

`cp` of a file in use may copy an incomplete transaction. The online backup reads some pages at a time and unlocks the
file in between, so that nobody waits for it. If another process writes meanwhile, SQLite starts the copy again. The
copy is checked before it counts as a backup.
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

PAGES = 1_000  # pages of one step: 4 MB with the default page size
BUSY_PAUSE_SECONDS = 0.05
BUSY, LOCKED = 5, 6  # sqlite.org/rescode.html
BESIDE = ("-wal", "-shm", "-journal")  # suffixes of the files that SQLite keeps beside a database


@dataclass(frozen=True, slots=True)
class Copy:
    """See `BackupJob`."""

    database: Path
    most: int
    options: BackupOptions
    open_reader: Callable[[], sqlite3.Connection]

    def write(self, file: Path, report: Callable[[BackupProgress], None]) -> None:
        patience = Patience(self.options.lock_ms)

        def progress(status: int, remaining: int, total: int) -> None:
            patience.step(locked=status in (BUSY, LOCKED))
            done = (total - remaining) * self.most // total if total else 0
            report(BackupProgress(done, self.most))

        try:
            with closing(self.open_reader()) as source, closing(sqlite3.connect(file)) as copy:
                source.backup(copy, pages=PAGES, progress=progress, sleep=BUSY_PAUSE_SECONDS)
                errors = [row[0] for row in copy.execute("pragma integrity_check(3)") if row[0] != "ok"]
        except (sqlite3.Error, OSError) as error:
            raise BackupFailedError("failed", f"SQLite could not copy {self.database}: {error}") from error
        finally:
            for suffix in BESIDE:
                file.with_name(file.name + suffix).unlink(missing_ok=True)
        if errors:
            raise BackupFailedError(
                "failed",
                f"The copy fails SQLite's integrity check ({'; '.join(errors)}), so the database itself must be "
                f"damaged. To keep its content nevertheless, stop all programs that use it and copy {self.database} "
                "with cp.",
            )

    @property
    def restore_problem(self) -> str | None:
        return None

    def restore_command(self, file: Path) -> str:
        """Return a command that copies the backup over the database, which no program may use meanwhile.

        It first removes the files beside the database: SQLite would apply a journal of the old content to the new.
        """
        beside = " ".join(shlex.quote(f"{self.database}{suffix}") for suffix in BESIDE)
        return f"rm -f {beside} && cp {shlex.quote(str(file))} {shlex.quote(str(self.database))}"


@dataclass
class Patience:
    """The time for which the database has been locked without a break."""

    limit_ms: int
    since: float | None = None

    def step(self, *, locked: bool) -> None:
        """Note the result of one step. Raises `BackupFailedError` if the file has been locked for too long."""
        if not locked:
            self.since = None
            return
        self.since = self.since or time.monotonic()
        if self.limit_ms and (time.monotonic() - self.since) * 1000 >= self.limit_ms:
            raise BackupFailedError("lock-timeout", "The file is locked by somebody who writes.")
