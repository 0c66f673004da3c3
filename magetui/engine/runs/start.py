"""Runs: started in a child process, followed through their journals, told from them for ever after.

Journals lie in `<state dir>/runs/<number>.jsonl`, readable by their owner alone. What they say is in `records`.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from magetui.engine.directories import package_root
from magetui.engine.errors import MagetuiError, RefusedError, StateError
from magetui.engine.runs.journals import journal_path, new_journal, operator, runs_directory
from magetui.engine.workspace import Workspace
from magetui.model.plan import OnDisconnect, Plan
from magetui.model.server import Timeouts
from magetui.protocol.requests import PARTING, Request, encode
from magetui.runner.__main__ import BOOT


@dataclass(frozen=True, slots=True)
class Limits:
    """How a run behaves where it is kept waiting, or its starter is gone."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    lock_retries: int = 0
    on_disconnect: OnDisconnect = "continue"


@dataclass(frozen=True)
class StartedRun:
    """A run whose child this program started.

    The pipe to it stays open: where the run is to be cancelled when its starter is gone, its end says so.
    """

    run: int
    process: subprocess.Popen[bytes] = field(repr=False)

    def part(self) -> None:
        """Leave the run to itself: what happens to this program is of no concern to it any more."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError, ValueError):  # it has ended, or was left before
            self.process.stdin.write(PARTING)
            self.process.stdin.close()


def start(workspace: Workspace, plan: Plan, limits: Limits) -> StartedRun:
    """Begin a run of the plan in a child of its own session, which outlives this program.

    Consent is the caller's to have asked for. Raises `RefusedError` in read-only mode or where the target is not the
    planned one, `StateError` where no record can be kept, `MagetuiError` where the interpreter cannot be started.
    """
    if workspace.selection.read_only:
        raise RefusedError("--read-only is set, so nothing is changed.")
    if plan.forbidden is not None:
        raise RefusedError(f"{plan.forbidden} Nothing was changed.")
    workspace.require_target(plan.url)
    request = _request(workspace, plan, limits)  # all that may fail is asked before there is a run on record
    command, folder = [workspace.interpreter, "-c", BOOT], workspace.project.folder
    directory = runs_directory(workspace.environment)
    number, descriptor = new_journal(directory)
    path = journal_path(directory, number)
    try:
        return _begun(replace(request, run=number), command, folder, path.with_suffix(".stderr"), descriptor)
    except MagetuiError:  # no child was started; the record of one that may live is never taken away
        for left in (path, path.with_suffix(".stderr")):
            left.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)


def _request(workspace: Workspace, plan: Plan, limits: Limits) -> Request:
    """What the child is told, of a run without a number as yet."""
    return Request(
        run=0,
        url=workspace.target.text,
        scripts=workspace.project.scripts,
        plan=plan,
        mutex_key=workspace.project.mutex_key,
        timeouts=limits.timeouts,
        lock_retries=limits.lock_retries,
        on_disconnect=limits.on_disconnect,
        operator=operator(),
    )


def _begun(request: Request, command: list[str], folder: Path, complaints: Path, descriptor: int) -> StartedRun:
    """The child of a run whose journal is made, what the child complains of going to a file."""
    told = memoryview(encode(request))
    ours = package_root()
    try:
        complaints.unlink(missing_ok=True)  # of an earlier run of that number, whose journal was deleted
        stderr = complaints.open("xb")
    except OSError as error:
        raise StateError(complaints.parent, error) from error
    with stderr:
        try:
            process = subprocess.Popen(
                [*command, ours, str(descriptor), str(complaints)],
                stdin=subprocess.PIPE,
                bufsize=0,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                pass_fds=(descriptor,),
                start_new_session=True,
                cwd=folder,
            )
        except OSError as error:
            said = f"The interpreter {command[0]} cannot be started: {error}. Nothing was done."
            raise MagetuiError(said) from error
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # it ended before it listened: its record says so, with what it wrote to stderr
        while told:
            told = told[process.stdin.write(told) :]
    return StartedRun(request.run, process)
