"""Passwords that a command gives, such as `pass show db/prod` or a cloud's command for a token.

It is run without a shell, and without a terminal, so that it cannot draw over the screen. Of what it prints only the
first line is taken, and nothing of it is ever shown: neither that nor its complaints.
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
from typing import NoReturn

from magetui.engine.errors import ConnectError

COMMAND_SECONDS = 30.0
LOOK_SECONDS = 0.2  # between two looks whether a silent command has ended
MOST_BYTES = 65_536
WANTED = "Its first line has to be the password."


class Passwords:
    """What commands have given, for as long as the program runs. Each is run once, and anew after `forget`."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], str] = {}
        self._turns: dict[tuple[str, ...], threading.Lock] = {}
        self._turn = threading.Lock()

    def of(self, command: tuple[str, ...], owner: str, environment: Mapping[str, str]) -> str:
        """The password of the target `owner`. Raises `ConnectError` (`secret`), in which nothing of it stands."""
        with self._turn:
            turn = self._turns.setdefault(command, threading.Lock())
        with turn:  # two threads that want the same one have it run once
            if command not in self._known:
                self._known[command] = ask_password(command, owner, environment)
            return self._known[command]

    def forget(self, command: tuple[str, ...] | None) -> None:
        """The server did not accept it."""
        if command is not None:
            self._known.pop(command, None)


def ask_password(command: tuple[str, ...], owner: str, environment: Mapping[str, str]) -> str:
    """The first line that the command prints, within `COMMAND_SECONDS`.

    Raises `ConnectError` (`secret`), in which nothing of what it printed stands.
    """
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
        why = getattr(error, "strerror", None) or "it is no command"
        _fail(f"{where} cannot be started: {why}.", "Check it in the configuration file: 'magetui config' says which.")
    try:
        said = _said(process, time.monotonic() + COMMAND_SECONDS)
    except (TimeoutError, subprocess.TimeoutExpired):
        _fail(
            f"{where} did not end within {COMMAND_SECONDS:g} s.",
            "Run it yourself: it may wait to be unlocked, and here it has no terminal to ask on.",
        )
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):  # it, and what it started
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if len(said) > MOST_BYTES:
        _fail(f"{where} prints more than a password.", WANTED)
    if process.returncode:
        how = f"with status {process.returncode}" if process.returncode > 0 else f"by signal {-process.returncode}"
        _fail(f"{where} failed: it ended {how}.", "Run it yourself to see why; nothing it prints is shown here.")
    return _first_line(said, where)


def _said(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """What it prints until it has ended; what it left running may hold its output open. Raises `TimeoutError`."""
    assert process.stdout is not None
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(said) <= MOST_BYTES:
            ended = process.poll() is not None
            if selector.select(0 if ended else LOOK_SECONDS):
                chunk = os.read(process.stdout.fileno(), MOST_BYTES)
                said += chunk
                if not chunk:
                    process.wait(max(0.0, deadline - time.monotonic()))
                    return said
            elif ended:
                return said
            if time.monotonic() > deadline:
                raise TimeoutError
    return said


def _first_line(said: bytes, where: str) -> str:
    try:
        line = said.decode().split("\n", 1)[0].rstrip("\r")
    except UnicodeDecodeError:
        line = ""
    if not line or "\0" in line:
        _fail(f"{where} printed no password.", WANTED)
    return line


def _fail(message: str, advice: str) -> NoReturn:
    raise ConnectError("secret", message, advice) from None
