"""Questions to the project's own code, each answered by a child process within a bounded time.

A question that uses the database goes over a pipe that stays open. If this program ends, the child leaves.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from magetui.engine.directories import package_root
from magetui.engine.errors import MagetuiError
from magetui.protocol.redaction import redact, without_credentials
from magetui.protocol.requests import RUNS_ENV_PY, Question, ReplayRequest, encode

ANSWER_SECONDS = 60
HELD_SECONDS = 900  # a replay of a long chain takes minutes
LEAVING_SECONDS = 5  # a child whose pipe was closed first cancels its statement
PULSE_SECONDS = 0.05
LAST_BYTES = 20_000  # of a child's complaints, in which the last line is looked for


class NoAnswerError(MagetuiError):
    """The child gave no answer. The message gives the reason, as the end of a sentence."""


class StoppedError(MagetuiError):
    """The child was stopped before it could answer."""


def answer(interpreter: str, folder: Path, question: Question, seconds: float = ANSWER_SECONDS) -> Any:
    """Return the JSON document that a child under `interpreter` answers with. Raises `NoAnswerError`.

    Only env.py is given the credentials in the environment: it may need them to name its database.
    """
    given = dict(os.environ)
    environment = given if isinstance(question, RUNS_ENV_PY) else without_credentials(given)
    try:
        # Into files: a process that env.py leaves behind keeps a pipe open, and a script may print without end.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
            child = subprocess.run(
                _command(interpreter),
                input=encode(question),
                stdout=output,
                stderr=complaints,
                timeout=seconds,
                check=False,
                cwd=folder,
                env=environment,
            )
            if child.returncode != 0:
                raise NoAnswerError(_last_line(complaints))
            output.seek(0)
            return json.loads(output.read())
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"it took more than {seconds:g} s") from None
    except ValueError:
        raise NoAnswerError("the process ended without an answer") from None
    except OSError as error:
        raise NoAnswerError(f"the interpreter {interpreter} cannot be started: {error}") from None


def answer_while_held(interpreter: str, folder: Path, request: ReplayRequest, stop: Callable[[], bool]) -> Any:
    """Return the answer of a child that ends when this program ends, or when `stop`, which is polled, returns True.

    Raises `StoppedError` if the child was stopped, and `NoAnswerError` as `answer` does.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        child = subprocess.Popen(
            _command(interpreter),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=complaints,
            cwd=folder,
            start_new_session=True,  # ctrl+c reaches this program alone, which then closes the pipe
        )
        assert child.stdin is not None
        try:
            child.stdin.write(encode(request))
            child.stdin.flush()
            deadline = time.monotonic() + HELD_SECONDS
            while child.poll() is None and time.monotonic() < deadline and not stop():
                time.sleep(PULSE_SECONDS)
        except BrokenPipeError:
            child.wait(LEAVING_SECONDS)  # the child could not start; its complaints are read below
        finally:
            status = child.poll()
            with suppress(BrokenPipeError):
                child.stdin.close()
            try:
                child.wait(LEAVING_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        if status is None:
            raise StoppedError("the child was stopped")
        output.seek(0)
        if status != 0:
            raise NoAnswerError(_last_line(complaints))
        return json.loads(output.read())


def _command(interpreter: str) -> list[str]:
    from magetui.runner.__main__ import BOOT

    return [interpreter, "-c", BOOT, package_root()]


def _last_line(complaints: IO[bytes]) -> str:
    complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - LAST_BYTES))
    lines = redact(complaints.read().decode(errors="replace"), ()).strip().splitlines()
    return lines[-1] if lines else "no reason given"
