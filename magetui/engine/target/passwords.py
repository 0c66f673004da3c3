"""Passwords that a command prints, such as `pass show db/prod` or a cloud's command for a token.

The command runs without a shell, and without a terminal, so that it cannot draw over the screen. Only the first line
of its output is used. None of its output is ever shown, on stdout or stderr.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from magetui.engine.errors import fail_secret

COMMAND_SECONDS = 30.0
POLL_SECONDS = 0.2  # between two checks if a silent command has ended
MOST_BYTES = 65_536
WANTED = "Its first line must be the password."


class Passwords:
    """The passwords that commands have printed. Each command runs once, and again after `forget`."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], str] = {}
        self._turns: dict[tuple[str, ...], threading.Lock] = {}
        self._turn = threading.Lock()

    def of(self, command: tuple[str, ...], owner: str, environment: Mapping[str, str]) -> str:
        """Return the password of the target `owner`. Raises `ConnectError` (`secret`), which holds no secret."""
        with self._turn:
            turn = self._turns.setdefault(command, threading.Lock())
        with turn:  # two threads that want the same password run its command once
            if command not in self._known:
                self._known[command] = ask_password(command, owner, environment)
            return self._known[command]

    def forget(self, command: tuple[str, ...] | None) -> None:
        """Forget the command's password, since the server did not accept it."""
        if command is not None:
            self._known.pop(command, None)


def ask_password(command: tuple[str, ...], owner: str, environment: Mapping[str, str]) -> str:
    """Return the first line that the command prints in `COMMAND_SECONDS`. Raises `ConnectError` without its output."""
    where = f"The password_command of target {owner}"
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not a command"
        fail_secret(
            f"{where} cannot be started: {why}.", "Check it in the configuration file: 'magetui config' names it."
        )
    try:
        output = _output(process, time.monotonic() + COMMAND_SECONDS)
    except (TimeoutError, subprocess.TimeoutExpired):
        fail_secret(
            f"{where} did not end within {COMMAND_SECONDS:g} s.",
            "Run it yourself: it may wait to be unlocked, and here it has no terminal to ask on.",
        )
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):  # the command and its own children
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if len(output) > MOST_BYTES:
        fail_secret(f"{where} prints more than a password.", WANTED)
    if process.returncode:
        how = f"with status {process.returncode}" if process.returncode > 0 else f"by signal {-process.returncode}"
        fail_secret(f"{where} failed: it ended {how}.", "Run it yourself to see why; its output is not shown here.")
    try:
        line = output.decode().split("\n", 1)[0].rstrip("\r")
    except UnicodeDecodeError:
        line = ""
    if not line or "\0" in line:
        fail_secret(f"{where} printed no password.", WANTED)
    return line


def _output(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """Return the output when the command has ended; its own children may hold it open. Raises `TimeoutError`."""
    assert process.stdout is not None
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(output) <= MOST_BYTES:
            ended = process.poll() is not None
            if selector.select(0 if ended else POLL_SECONDS):
                chunk = os.read(process.stdout.fileno(), MOST_BYTES)
                output += chunk
                if not chunk:
                    process.wait(max(0.0, deadline - time.monotonic()))
                    return output
            elif ended:
                return output
            if time.monotonic() > deadline:
                raise TimeoutError
    return output
