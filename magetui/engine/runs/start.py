"""Starting a run: a child process that carries out a plan and survives this program.

The request goes through a pipe, since it holds credentials. From then on the journal is the only channel.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.directories import package_root
from magetui.engine.errors import MagetuiError, RefusedError, StateError
from magetui.engine.runs.journals import journal_path, new_journal, operator, runs_directory
from magetui.engine.runs.kept_scripts import keep_scripts, scripts_path
from magetui.engine.runs.notify import notify_at_end
from magetui.engine.runs.retention import Retention, prune
from magetui.model.server import Timeouts
from magetui.protocol.journal import cancel_path
from magetui.protocol.requests import PARTING, Request, encode
from magetui.runner.__main__ import BOOT

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import Loss, OnDisconnect, Plan

TAKES_TABLES = re.compile(r"\b(?:batch_alter_table|drop_table|drop\s+table|foreign_keys)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a run waits, how often it retries, what it does if this program is gone, and which records are kept."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    lock_retries: int = 0
    on_disconnect: OnDisconnect = "continue"
    keep: Retention = field(default_factory=Retention)  # how many records of earlier runs
    notified: tuple[str, ...] = ()  # the words of the command that is run when the run ends


@dataclass(frozen=True)
class StartedRun:
    """A run whose child this program started. If its pipe closes, the child knows that this program has ended."""

    run: int
    process: subprocess.Popen[bytes] = field(repr=False)
    warning: str | None = None  # why nobody is notified of its end

    def part(self) -> None:
        """Detach the run: from now on it continues, whatever happens to this program."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # the run has ended, or was detached before
            self.process.stdin.write(PARTING)
            self.process.stdin.close()


def start_run(workspace: Workspace, plan: Plan, limits: Limits, losses: Sequence[Loss] = ()) -> StartedRun:
    """Start a run of the plan in a child process with a session of its own, which survives this program.

    The caller must have asked for consent; `losses` is what the plan loses, for the record. Raises `RefusedError` in
    read-only mode or if the target is not the planned one, `StateError` if no record can be kept, and `MagetuiError` if
    the interpreter cannot be started.
    """
    if workspace.selection.read_only:
        raise RefusedError("--read-only is set, so nothing is changed.")
    if plan.forbidden is not None:
        raise RefusedError(f"{plan.forbidden} Nothing was changed.")
    if plan.kept_scripts is not None:
        workspace = workspace.with_scripts(Path(plan.kept_scripts))
    workspace.require_trust()
    workspace.require_target(plan.url)
    # Everything that can fail comes before the run is on record.
    request = Request(
        run=0,  # not known yet
        url=workspace.target.text,
        scripts=workspace.project.scripts,
        plan=plan,
        mutex_key=workspace.project.mutex_key,
        timeouts=limits.timeouts,
        lock_retries=limits.lock_retries,
        on_disconnect=limits.on_disconnect,
        operator=operator(),
        takes_tables=_takes_tables(workspace, plan),
        losses=tuple(losses),
    )
    command, folder = [workspace.python.path, "-c", BOOT], workspace.project.folder
    directory = runs_directory(workspace.environment)
    with suppress(StateError):  # the old records are no reason against a new one
        prune(workspace.environment, limits.keep)
    number, descriptor = new_journal(directory)
    path = journal_path(directory, number)
    try:
        with suppress(OSError):  # the run is more important than the way back without its scripts
            keep_scripts(path, workspace.chain, plan, workspace.project.scripts.version_name, workspace.clean)
        started = _start_child(replace(request, run=number), command, folder, path.with_suffix(".stderr"), descriptor)
    except MagetuiError:  # no child was started; the record of a child that may live is never deleted
        for file in (path, scripts_path(path), path.with_suffix(".stderr")):
            file.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    if not limits.notified:
        return started
    return replace(started, warning=notify_at_end(workspace, number, limits.notified))


def _takes_tables(workspace: Workspace, plan: Plan) -> bool:
    """Return whether a script of the plan mentions an operation that rebuilds or drops a table."""
    scripts = (workspace.chain.by_id.get(step.revision) for step in plan.steps if step.direction != "stamp")
    files = (script.path for script in scripts if script is not None)  # the removal of leftovers runs no script
    return any(TAKES_TABLES.search(file.read_text(encoding="utf-8", errors="replace")) for file in files)


def _start_child(request: Request, command: list[str], folder: Path, complaints: Path, descriptor: int) -> StartedRun:
    """Start the child of a run whose journal exists. The file `complaints` receives its stderr."""
    try:
        for file in (complaints, cancel_path(complaints)):
            file.unlink(missing_ok=True)  # left by an earlier run with this number whose journal was deleted
        stderr = complaints.open("xb")
    except OSError as error:
        raise StateError(complaints.parent, error) from error
    with stderr:
        try:
            process = subprocess.Popen(
                [*command, package_root(), str(descriptor), str(complaints)],
                stdin=subprocess.PIPE,
                bufsize=0,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(descriptor,),
                start_new_session=True,
                cwd=folder,
            )
        except OSError as error:
            message = f"The interpreter {command[0]} cannot be started: {error}. Nothing was done."
            raise MagetuiError(message) from error
    assert process.stdin is not None
    unsent = memoryview(encode(request))
    with suppress(BrokenPipeError):  # the child has ended already; its record and stderr tell why
        while unsent:
            unsent = unsent[process.stdin.write(unsent) :]
    return StartedRun(request.run, process)
