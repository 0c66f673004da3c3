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
from typing import Any

from magetui.engine.directories import package_root
from magetui.engine.errors import MagetuiError
from magetui.protocol.redaction import redact
from magetui.protocol.requests import Question, ReplayRequest, encode
from magetui.runner.__main__ import BOOT

ANSWER_SECONDS = 60
HELD_SECONDS = 900  # a long chain takes its time
LEAVING_SECONDS = 5  # a child whose pipe ended cancels its statement first
PULSE_SECONDS = 0.05


class NoAnswerError(MagetuiError):
    """The child gave no answer; the message says why, as the end of a sentence."""


class StoppedError(MagetuiError):
    """The child was stopped before it could answer."""


def answer(interpreter: str, folder: Path, question: Question, seconds: float = ANSWER_SECONDS) -> Any:
    """Return the JSON document that a child under `interpreter` answers with. Raises `NoAnswerError`."""
    ours = package_root()
    try:
        child = subprocess.run(
            [interpreter, "-c", BOOT, ours],
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


def answer_while_held(interpreter: str, folder: Path, request: ReplayRequest, stop: Callable[[], bool]) -> Any:
    """Return the answer of a child that ends when this program does, or when `stop`, asked at each pulse, returns True.

    Raises `StoppedError` in that case, and `NoAnswerError` as `answer` does.
    """
    ours = package_root()
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            [interpreter, "-c", BOOT, ours],
            stdin=subprocess.PIPE,
            stdout=answer,
            stderr=complaints,
            cwd=folder,
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
            raise StoppedError("the child was stopped")
        answer.seek(0)
        complaints.seek(0)
        if status != 0:
            raise NoAnswerError(_last_line(complaints.read()))
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
