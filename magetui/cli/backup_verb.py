"""The verb `backup`: progress goes to stderr, the file and the command that restores it go to stdout."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from magetui.cli.output import answer, complain
from magetui.cli.workspaces import open_workspace
from magetui.engine.backup import BackupRequest, make_backup
from magetui.engine.errors import LockTimeoutError
from magetui.text import documents, formats
from magetui.text.run_events import blocker

if TYPE_CHECKING:
    from magetui.backends.backup import BackupProgress
    from magetui.config.settings import Settings

INTERRUPTED = 130
TERMINAL_SECONDS, LOG_SECONDS = 0.2, 10.0  # between two reports of the progress
WIDTH = 79


def back_up(settings: Settings, values: Mapping[str, Any]) -> int:
    """Make a backup and return the exit status: 5 after a lock timeout, 130 if the backup was cancelled."""
    workspace = open_workspace(settings)
    request = BackupRequest(
        output=Path(values["output"]) if values.get("output") else None,
        pg_dump=settings.pg_dump,
        lock_timeout_ms=int(settings.lock_timeout_seconds * 1000),
        anyway=bool(values.get("anyway")),
    )
    complain(f"backing up {formats.place(workspace.target.redacted)}; ctrl+c cancels it")
    progress = Progress(terminal=sys.stderr.isatty())
    try:
        with _signals_interrupt():
            backup = make_backup(workspace, request, progress.show)
    except LockTimeoutError as error:
        progress.end()
        for session in error.sessions:
            complain(blocker(session))
        raise
    except KeyboardInterrupt:
        progress.end()
        complain("magetui: the backup was cancelled. No file was left.")
        return INTERRUPTED
    finally:
        progress.end()
    if backup.unrecorded:
        complain(formats.plain(backup.unrecorded))
    answer(settings, lambda: documents.backup_document(backup), lambda text: text.backup(backup))
    return 0


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as ctrl+c, so that they leave no partial file either."""

    def interrupt(_number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    handled = [number for number, handler in before.items() if handler is not signal.SIG_IGN]  # nohup ignores SIGHUP
    for number in handled:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, before[number])


class Progress:
    """Shows progress: one line that is overwritten on a terminal, or a new line now and then without a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal
        self._next = time.monotonic() + (0 if terminal else LOG_SECONDS)
        self._open = False

    def show(self, progress: BackupProgress) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + (TERMINAL_SECONDS if self._terminal else LOG_SECONDS)
        at = f", at table {progress.table}" if progress.table else ""
        line = formats.one_line(f"{formats.size(progress.written)} of at most {formats.size(progress.most)}{at}", WIDTH)
        if self._terminal:
            sys.stderr.write(f"\r{line:<{WIDTH}}")
            sys.stderr.flush()
            self._open = True
        else:
            complain(line)

    def end(self) -> None:
        """Leave the line that was overwritten."""
        if self._open:
            complain("")
            self._open = False
