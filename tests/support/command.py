"""The command line as an operator or a script uses it: another process with two streams and an exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import forked


@dataclass(frozen=True)
class Outcome:
    """The result of one command."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Return the JSON document on stdout. AssertionError with both streams if stdout is not one JSON document."""
        try:
            return json.loads(self.stdout)
        except json.JSONDecodeError as error:
            raise AssertionError(f"stdout is not one JSON document ({error})\n{self}") from None

    def __str__(self) -> str:
        return f"status {self.status}\n-- stdout\n{self.stdout}\n-- stderr\n{self.stderr}"


class Magetui:
    """Run `magetui` in directory, with this process's environment."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.outcomes: list[Outcome] = []  # of every command that ended
        self._started: list[subprocess.Popen[str]] = []

    @staticmethod
    def command(*arguments: object) -> list[str]:
        """Return the command line, for callers that start it themselves (a Terminal)."""
        return [sys.executable, "-m", "magetui", *map(str, arguments)]

    def __call__(
        self,
        *arguments: object,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
        timeout: float = 60,
    ) -> Outcome:
        """Run to the end, with env added to the environment. AssertionError after timeout seconds."""
        with tempfile.TemporaryDirectory() as folder:
            streams = [Path(folder, name) for name in ("stdin", "stdout", "stderr")]
            for stream in streams:
                stream.write_text(stdin if stream.name == "stdin" else "")
            words = [str(argument) for argument in arguments]
            process = forked.start(words, {**os.environ, **(env or {})}, cwd or self.directory, streams)
            process.join(timeout)
            running = process.exitcode is None
            if running:
                process.kill()
                process.join()
            _, stdout, stderr = (stream.read_text() for stream in streams)
            outcome = Outcome(process.exitcode or 0, stdout, stderr)
            self.outcomes.append(outcome)
            if running:
                raise AssertionError(f"{words!r} still ran after {timeout} s\n{outcome}")
            return outcome

    def start(
        self, *arguments: object, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[str]:
        """Start without waiting. `close` kills the process if it still runs."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=cwd or self.directory,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def finish(self, process: subprocess.Popen[str], stdin: str = "", timeout: float = 60) -> Outcome:
        """Wait for a process of `start`. AssertionError after timeout seconds."""
        try:
            stdout, stderr = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            try:
                so_far = str(Outcome(process.wait(), *process.communicate(timeout=5)))
            except subprocess.TimeoutExpired:
                so_far = "and a process that it started holds its streams open"
            raise AssertionError(f"{process.args!r} still ran after {timeout} s\n{so_far}") from None
        self.outcomes.append(Outcome(process.returncode, stdout, stderr))
        return self.outcomes[-1]

    def close(self) -> None:
        """Kill the processes that still run."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
