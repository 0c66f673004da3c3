"""Asking the project's own code a question: in a child process, for a bounded time.

Most questions need no database. One that has one is asked over a pipe that stays open: however this program ends, the
pipe ends with it, and the child leaves.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magetui.engine.errors import MagetuiError
from magetui.runner.__main__ import BOOT
from magetui.runner.redaction import redact
from magetui.runner.request import Question, ReplayRequest, encode

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace

ANSWER_SECONDS = 60
HELD_SECONDS = 900  # a long chain takes its time
LEAVING_SECONDS = 5  # a child whose pipe ended cancels its statement first
PULSE_SECONDS = 0.05


class NoAnswerError(MagetuiError):
    """The child gave no answer; the message says why, as the end of a sentence."""


def ask(workspace: Workspace, request: Question, doing: str) -> Any:
    """The JSON document that the child answers with; `doing` is what it was to do, for a sentence about a failure.

    Raises `MagetuiError` where it does not answer, without credentials that a script may have repeated.
    """
    try:
        return answer(workspace.interpreter, workspace.project.folder, request, ANSWER_SECONDS)
    except NoAnswerError as error:
        raise MagetuiError(f"The scripts failed to {doing}: {workspace.clean(error.message)}") from None


def answer(interpreter: str, folder: Path, question: Question, seconds: float) -> Any:
    """The JSON document that a child under `interpreter` answers with. Raises `NoAnswerError`."""
    ours = Path(__file__).resolve().parents[2]
    try:
        child = subprocess.run(
            [interpreter, "-c", BOOT, str(ours)],
            input=encode(question),
            capture_output=True,
            timeout=seconds,
            check=True,
            cwd=folder,
        )
        return json.loads(child.stdout)
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"it took more than {seconds:g} s") from None
    except subprocess.CalledProcessError as error:
        raise NoAnswerError(_last_line(error.stderr)) from None
    except ValueError:
        raise NoAnswerError("the process ended without a word") from None
    except OSError as error:
        raise NoAnswerError(f"the interpreter {interpreter} cannot be started: {error}") from None


def ask_held(workspace: Workspace, request: ReplayRequest, doing: str, stop: Callable[[], bool]) -> Any:
    """As `ask`, of a child that leaves when this program does; also when `stop`, asked at each pulse, says so."""
    ours = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            [workspace.interpreter, "-c", BOOT, str(ours)],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=complaints,
            cwd=workspace.project.folder,
            start_new_session=True,  # ctrl+c is heard here, and the pipe tells the child
        )
        assert child.stdin is not None
        try:
            child.stdin.write(encode(request))
            child.stdin.flush()
            deadline = time.monotonic() + HELD_SECONDS
            while child.poll() is None and time.monotonic() < deadline and not stop():
                time.sleep(PULSE_SECONDS)
        except BrokenPipeError:
            child.wait(LEAVING_SECONDS)  # it could not begin: what it said follows
        finally:
            status = child.poll()
            _part(child)
        if status is None:
            raise MagetuiError(f"It was stopped before the scripts could {doing}. Nothing was changed.")
        answer.seek(0)
        complaints.seek(0)
        if status != 0:
            said = workspace.clean(_last_line(complaints.read()))
            raise MagetuiError(f"The scripts failed to {doing}: {said}")
        return json.loads(answer.read())


def _part(child: subprocess.Popen[bytes]) -> None:
    """End the pipe, and the child where it does not hear of it."""
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.close()
    try:
        child.wait(LEAVING_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _last_line(complaints: bytes) -> str:
    said = redact(complaints.decode(errors="replace"), ()).strip().splitlines()
    return said[-1] if said else "no reason given"
