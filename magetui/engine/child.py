"""Questions to the project's own code, each answered by a child process within a bounded time.

A question that uses the database goes over a pipe that stays open. If this program ends, the child leaves.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from magetui.engine.directories import package_root
from magetui.engine.errors import MagetuiError
from magetui.protocol.redaction import redact, without_credentials
from magetui.protocol.requests import RUNS_ENV_PY, Question, RecordRequest, ReplayRequest, SeveralRequest, encode

if TYPE_CHECKING:
    from magetui.protocol.scripts import Scripts

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


class Conversation:
    """A child that answers one `RecordRequest` after the other, so that the application is imported once.

    It is started for the first question, and again after one that it could not answer. Close it at the end.
    """

    def __init__(self, interpreter: str, folder: Path, scripts: Scripts) -> None:
        self._interpreter, self._folder, self._scripts = interpreter, folder, scripts
        self._child: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None

    def ask(self, request: RecordRequest, seconds: float = ANSWER_SECONDS) -> Any:
        """Return the JSON document that the child answers with. Raises `NoAnswerError`."""
        try:
            child = self._child or self._start()
            assert child.stdin is not None
            child.stdin.write(encode(request))
            child.stdin.flush()
            return json.loads(self._received(child, time.monotonic() + seconds))
        except (BrokenPipeError, EOFError):
            assert self._child is not None and self._complaints is not None
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(LEAVING_SECONDS)
            reason = _last_line(self._complaints)
            self.close()
            raise NoAnswerError(reason) from None
        except TimeoutError:
            self.close()
            raise NoAnswerError(f"it took more than {seconds:g} s") from None
        except OSError as error:
            raise NoAnswerError(f"the interpreter {self._interpreter} cannot be started: {error}") from None

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None and child.stdin is not None and child.stdout is not None:
            child.kill()  # it only reads
            child.wait()
            with suppress(BrokenPipeError):
                child.stdin.close()
            child.stdout.close()
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    def _start(self) -> subprocess.Popen[bytes]:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._child = child = subprocess.Popen(
            _command(self._interpreter),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=self._folder,
            env=without_credentials(dict(os.environ)),
        )
        assert child.stdin is not None
        child.stdin.write(encode(SeveralRequest(self._scripts)))
        return child

    def _received(self, child: subprocess.Popen[bytes], deadline: float) -> bytes:
        """Return the next document of the child. Raises `EOFError` and `TimeoutError`."""
        assert child.stdout is not None
        received, length = b"", None
        while length is None or len(received) < length:
            ready, _, _ = select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            part = os.read(child.stdout.fileno(), 1 << 20)
            if not part:
                raise EOFError
            received += part
            if length is None and b"\n" in received:
                header, _, received = received.partition(b"\n")
                length = int(header)
        return received


def _command(interpreter: str) -> list[str]:
    from magetui.runner.__main__ import BOOT

    return [interpreter, "-c", BOOT, package_root()]


def _last_line(complaints: IO[bytes]) -> str:
    complaints.seek(max(0, complaints.seek(0, os.SEEK_END) - LAST_BYTES))
    lines = redact(complaints.read().decode(errors="replace"), ()).strip().splitlines()
    return lines[-1] if lines else "no reason given"
