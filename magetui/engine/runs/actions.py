"""Records of actions that no child process carries out: a signalled session, a finished backup.

This program writes their journals itself. Otherwise they look like runs, so that one list shows all of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.errors import StateError
from magetui.engine.runs.follow import NEWEST_RUNS, list_runs
from magetui.engine.runs.journals import journal_path, new_journal, operator, runs_directory
from magetui.protocol import events, journal
from magetui.protocol.machine import this_process

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import RunVerb, SignalAction
    from magetui.model.sessions import Session


def runs_blocked_by(workspace: Workspace, session: Session) -> tuple[int, ...]:
    """Return the live runs of this database that the session has ever blocked. Raises `StateError`."""
    return tuple(
        record.run
        for record in list_runs(workspace.environment, NEWEST_RUNS).records
        if record.alive
        and record.database == workspace.target.redacted
        and any(blocker.pid == session.pid for blocker in record.blockers)
    )


def record_signal(
    workspace: Workspace, session: Session, action: SignalAction, runs: Sequence[int], moment: str
) -> None:
    """Record a signal sent at `moment` (ISO 8601, UTC) in the journals of `runs`, or a new one. Raises `StateError`."""
    directory = runs_directory(workspace.environment)
    signalled = events.SessionSignalled(at=moment, action=action, session=session, operator=operator())
    try:
        for run in runs:
            with journal.opened(journal_path(directory, run)) as descriptor:
                journal.Journal(descriptor, workspace.target.secrets).append(signalled)
        if not runs:
            _record_action(workspace, directory, action, f"session {session.pid}", signalled)
    except OSError as error:
        raise StateError(directory, error) from error


def record_backup(workspace: Workspace, file: Path, size: str, elapsed_ms: int) -> None:
    """Record a finished backup in a journal of its own. Raises `StateError` if it cannot be written."""
    directory = runs_directory(workspace.environment)
    try:
        _record_action(workspace, directory, "backup", f"{file} ({size})", elapsed_ms=elapsed_ms)
    except OSError as error:
        raise StateError(directory, error) from error


def _record_action(
    workspace: Workspace, directory: Path, verb: RunVerb, target: str, *happened: events.Event, elapsed_ms: int = 0
) -> None:
    """Write the complete journal of an action that this process has carried out."""
    number, descriptor = new_journal(directory)
    try:
        own = journal.Journal(descriptor, workspace.target.secrets)
        own.append(
            events.RunStarted(
                at=journal.now(),
                run=number,
                verb=verb,
                target_revision=target,
                current=(),
                steps=(),
                database=workspace.target.redacted,
                project="",
                lock_timeout_ms=0,
                statement_timeout_ms=0,
                **this_process(),
            )
        )
        for event in happened:
            own.append(event)
        own.append(events.RunEnded(at=journal.now(), outcome="done", current=None, elapsed_ms=elapsed_ms))
    finally:
        os.close(descriptor)
