"""Waiting for a database, for start-up scripts and Helm hooks: until it is at the head, or until it can be migrated."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from magetui.cli.output import complain
from magetui.cli.workspaces import open_workspace
from magetui.engine.diagnosis.diagnosis import Diagnosis, diagnose
from magetui.engine.schema.snapshot import open_reading
from magetui.text import formats

if TYPE_CHECKING:
    from magetui.config.settings import Settings

SHORTEST, LONGEST = 0.5, 5.0  # seconds between two looks
MIGRATING = ("migration-running", "other-migrator")
NOT_REACHED = "the database is not reached"


def wait_for(settings: Settings, obstacle: Callable[[Diagnosis], str | None], seconds: float) -> None:
    """Look again and again until there is no obstacle, or `seconds` are over.

    Each new obstacle is said once. Raises `ProjectError` as `diagnose` does.
    """
    deadline, pause, said = time.monotonic() + seconds, SHORTEST, ""
    workspace = open_workspace(settings)
    while True:
        with open_reading(workspace) as reading:
            found = obstacle(diagnose(reading))
        if found is None:
            return
        left = deadline - time.monotonic()
        if found != said:
            complain(formats.plain(f"waiting, at most {max(0.0, left):.0f} s: {found}"))
            said = found
        if left <= 0:
            return
        time.sleep(min(pause, left))
        pause = min(LONGEST, 2 * pause)


def behind_head(diagnosis: Diagnosis) -> str | None:
    """Return why the database is not at the head, or None if it is."""
    if diagnosis.target.database is None:
        return NOT_REACHED
    if not diagnosis.knows_pending:
        return "the current revision is not known"
    return f"{formats.number(len(diagnosis.pending), 'revision')} pending" if diagnosis.pending else None


def hard_to_migrate(diagnosis: Diagnosis) -> str | None:
    """Return why a migration could not start now, or None: the server is away, or somebody else migrates."""
    if diagnosis.target.database is None:
        return NOT_REACHED
    return next((finding.message for finding in diagnosis.findings if finding.code in MIGRATING), None)
