"""Actions that no child process carries out, put on record: a signalled session, a backup."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Sequence
from pathlib import Path

from magetui.engine.errors import StateError
from magetui.engine.runs.follow import NEWEST_RUNS, list_runs
from magetui.engine.runs.journals import journal_path, new_journal, operator, runs_directory
from magetui.engine.workspace import Workspace
from magetui.model.plan import RunVerb, SignalAction
from magetui.model.sessions import Session
from magetui.protocol import events, journal
from magetui.protocol.machine import identity


def kept_waiting(workspace: Workspace, session: Session) -> tuple[int, ...]:
    """The runs of this database that go on and that the session was, or is, in the way of. Raises `StateError`."""
    return tuple(
        record.run
        for record in list_runs(workspace.environment, NEWEST_RUNS)
        if record.alive
        and record.database == workspace.target.redacted
        and any(blocker.pid == session.pid for blocker in record.blockers)
    )


def record_signal(
    workspace: Workspace, session: Session, action: SignalAction, waiting: Sequence[int], moment: str
) -> None:
    """Put on record that the operator cancelled or ended a session at that moment (ISO 8601, UTC).

    It goes into the journals of the runs that it kept `waiting`, which may have ended since, or else into one of its
    own. Raises `StateError` where none can be written.
    """
    directory = runs_directory(workspace.environment)
    signalled = events.SessionSignalled(at=moment, action=action, session=session, operator=operator())
    try:
        for run in waiting:
            with journal.opened(journal_path(directory, run)) as descriptor:
                journal.Journal(descriptor, workspace.target.secrets).append(signalled)
        if not waiting:
            _record_alone(workspace, directory, signalled.action, f"session {signalled.session.pid}", signalled)
    except OSError as error:
        raise StateError(directory, error) from error


def record_backup(workspace: Workspace, file: Path, size: str, elapsed_ms: int) -> None:
    """Put a backup that was made on record, by itself. Raises `StateError` where that cannot be written."""
    directory = runs_directory(workspace.environment)
    try:
        _record_alone(workspace, directory, "backup", f"{file} ({size})", elapsed_ms=elapsed_ms)
    except OSError as error:
        raise StateError(directory, error) from error


def _record_alone(
    workspace: Workspace,
    directory: Path,
    verb: RunVerb,
    target: str,
    *told: events.Event,
    elapsed_ms: int = 0,
) -> None:
    """A journal of something that was done at once, in this process, and not by a run."""
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
                pid=os.getpid(),
                user=getpass.getuser(),
                host=socket.gethostname(),
                lock_timeout_ms=0,
                statement_timeout_ms=0,
                machine=identity(),
            )
        )
        for event in told:
            own.append(event)
        own.append(events.RunEnded(at=journal.now(), outcome="done", current=None, elapsed_ms=elapsed_ms))
    finally:
        os.close(descriptor)
