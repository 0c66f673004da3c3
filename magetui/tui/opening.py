"""Opening the full-screen program, and what is seen to after it was left: nothing of it goes on unsaid."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress

from magetui.config.settings import Settings
from magetui.tui.app import MagetuiApp

BACKUP_SECONDS = 15.0  # how long a backup may take to clear away what it had written


def open_app(settings: Settings, environment: Mapping[str, str] | None = None, briefing: str | None = None) -> int:
    """Open the full-screen program; returns the exit status."""
    if not settings.colour:
        os.environ["NO_COLOR"] = "1"  # Textual's own switch, read when an app is made
    app = MagetuiApp(settings, environment, briefing)
    # On a loop of its own: Textual's would wait at the end for every worker, and one may wait for a silent server.
    loop = asyncio.new_event_loop()
    try:
        status = app.run(mouse=settings.mouse, loop=loop)
    finally:
        _end_backup(app)
    if not app.return_code:
        for started in app.started:
            started.part()
    if briefing is None:  # a practice run's record is cleared away with the practice
        _tell_going(app)
    return status if status is not None else app.return_code or 0


def _end_backup(app: MagetuiApp) -> None:
    """A backup would break off in the middle when this process ends: it is cancelled, and takes away what it wrote."""
    backup = app.backup
    if backup is None or not backup.alive:
        return
    from magetui.text import formats

    backup.cancel()
    if not backup.wait(BACKUP_SECONDS):
        said = f"The backup does not end. Delete what it leaves beside {backup.file}."
    elif backup.made is not None:
        said = f"The backup was done before it could be cancelled: {backup.made.file}"
    else:
        said = f"The backup has ended. {backup.problem}"
    with suppress(OSError):
        sys.stdout.write(f"{formats.plain(said)}\n")
        sys.stdout.flush()


def _tell_going(app: MagetuiApp) -> None:
    """Say on the restored terminal which runs go on without us; where it is gone, nobody reads it."""
    if not app.going:
        return
    from magetui.engine.errors import MagetuiError
    from magetui.engine.runs import follow

    for run in sorted(app.going):
        with suppress(MagetuiError, OSError):
            if follow.read_run(app.environment, run).alive:
                sys.stdout.write(f"Run {run} goes on: magetui runs {run}\n")
                sys.stdout.flush()
