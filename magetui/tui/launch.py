"""Open the full-screen program, on a practice incident too, and clean up after the operator leaves it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from magetui.engine.errors import MagetuiError
from magetui.engine.target.selection import Selection
from magetui.text import formats
from magetui.tui.app import MagetuiApp

if TYPE_CHECKING:
    from magetui.config.settings import Settings

BACKUP_SECONDS = 15.0  # how long a cancelled backup may take to delete its file


def open_app(settings: Settings, environment: Mapping[str, str] | None = None, briefing: str | None = None) -> int:
    """Open the full-screen program and return the exit status."""
    if not settings.colour:
        os.environ["NO_COLOR"] = "1"  # Textual reads this variable when an app is created
    app = MagetuiApp(settings, environment, briefing)
    # Textual's own loop would wait at the end for every worker, and a worker may wait for a silent server.
    loop = asyncio.new_event_loop()
    try:
        status = app.run(mouse=settings.mouse, loop=loop)
    finally:
        _end_backup(app)
    if not app.return_code:
        for run in app.started_runs:
            run.part()
    if briefing is None:  # the records of a practice run are deleted with the practice
        _report_live_runs(app)
    return status if status is not None else app.return_code or 0


def open_demo(settings: Settings, scenario: str) -> int:
    """Build a practice incident, open the program on it, and delete it. Return the exit status."""
    from magetui.engine.demo.demo import build_demo

    with build_demo(scenario) as demo:
        selection = Selection(config=str(demo.config), read_only=settings.selection.read_only)
        return open_app(
            replace(settings, selection=selection, base=None), demo.environment(os.environ), briefing=demo.story
        )


def _end_backup(app: MagetuiApp) -> None:
    """Cancel a running backup and wait until it has deleted its file; the end of the process would leave the file."""
    backup = app.backup
    if backup is None or not backup.alive:
        return
    backup.cancel()
    if not backup.wait(BACKUP_SECONDS):
        sentence = f"The backup does not end. Delete the files that it leaves beside {backup.file}."
    elif backup.made is not None:
        sentence = f"The backup was complete before it could be cancelled: {backup.made.file}"
    else:
        sentence = backup.problem
    _print(sentence)


def _report_live_runs(app: MagetuiApp) -> None:
    if not app.live_runs:
        return
    from magetui.engine.runs import follow

    for run in sorted(app.live_runs):
        with suppress(MagetuiError, OSError):
            if follow.read_run(app.environment, run).alive:
                _print(f"Run {run} continues: magetui runs {run}")


def _print(sentence: str) -> None:
    """Print a sentence on the restored terminal. If the terminal is gone, nobody reads it."""
    with suppress(OSError):
        sys.stdout.write(f"{formats.plain(sentence)}\n")
        sys.stdout.flush()
