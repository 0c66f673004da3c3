"""A command line that is still running: what it has said so far, and its end."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from typing import IO

from tests.support.command import Outcome
from tests.support.leaks import nowhere
from tests.support.waiting import eventually

RUNNING = -999  # the status, in a complaint, of what has not ended


class Live:
    """Reads both streams of a command while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._said: dict[str, list[str]] = {"stdout": [], "stderr": []}
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdin is not None
        process.stdin.close()
        self._threads = [
            threading.Thread(target=self._read, args=(name, stream), daemon=True)
            for name, stream in (("stdout", process.stdout), ("stderr", process.stderr))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, name: str, stream: IO[str]) -> None:
        for line in stream:
            self._said[name].append(line)

    @property
    def stderr(self) -> str:
        return "".join(self._said["stderr"])

    @property
    def stdout(self) -> str:
        return "".join(self._said["stdout"])

    def hears(self, pattern: str, timeout: float = 20) -> re.Match[str]:
        """Wait until stderr matches, which may be with the command's last words."""
        match = eventually(
            lambda: re.search(pattern, self.stderr) or self.process.poll() is not None,
            timeout,
            lambda: f"{pattern!r} was not said\n{self.stderr}",
        )
        if not isinstance(match, re.Match):
            self._hear_out()
            match = re.search(pattern, self.stderr)  # type: ignore[assignment]
        assert isinstance(match, re.Match), f"it ended without saying {pattern!r}\n{self._outcome()}"
        return match

    def _hear_out(self) -> None:
        for thread in self._threads:
            thread.join(timeout=10)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self.process.send_signal(number)

    def end(self, timeout: float = 60) -> Outcome:
        """Wait for its end."""
        eventually(lambda: self.process.poll() is not None, timeout, lambda: str(self._outcome()))
        self._hear_out()
        outcome = self._outcome()
        nowhere([outcome])
        return outcome

    def _outcome(self) -> Outcome:
        status = self.process.poll()
        return Outcome(RUNNING if status is None else status, self.stdout, self.stderr)
