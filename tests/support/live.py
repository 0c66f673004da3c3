"""A command that still runs: its output so far, and its end."""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from typing import IO

from tests.support.command import Outcome
from tests.support.leaks import nowhere
from tests.support.waiting import eventually

RUNNING = -999  # the status of a command that has not ended, in an error message


class Live:
    """Read both streams of a command while it runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
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
            self._lines[name].append(line)

    @property
    def stderr(self) -> str:
        """Return stderr so far."""
        return "".join(self._lines["stderr"])

    @property
    def stdout(self) -> str:
        """Return stdout so far."""
        return "".join(self._lines["stdout"])

    def hears(self, pattern: str, timeout: float = 20) -> re.Match[str]:
        """Wait until stderr matches, at the latest with the command's last line."""
        match = eventually(
            lambda: re.search(pattern, self.stderr) or self.process.poll() is not None,
            timeout,
            lambda: f"{pattern!r} did not appear\n{self.stderr}",
        )
        if not isinstance(match, re.Match):
            self._read_rest()
            match = re.search(pattern, self.stderr)  # type: ignore[assignment]
        assert isinstance(match, re.Match), f"the command ended without {pattern!r}\n{self._outcome()}"
        return match

    def _read_rest(self) -> None:
        for thread in self._threads:
            thread.join(timeout=10)

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        """Send a signal to the command."""
        self.process.send_signal(number)

    def end(self, timeout: float = 60) -> Outcome:
        """Wait for the end of the command, and check its output for the password."""
        eventually(lambda: self.process.poll() is not None, timeout, lambda: str(self._outcome()))
        self._read_rest()
        outcome = self._outcome()
        nowhere([outcome])
        return outcome

    def _outcome(self) -> Outcome:
        status = self.process.poll()
        return Outcome(RUNNING if status is None else status, self.stdout, self.stderr)
