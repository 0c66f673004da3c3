"""A program on a real pseudo-terminal. Many errors of a terminal program cannot happen in Textual's pilot.

Start-up queries, key bytes, SIGHUP, SIGWINCH, the alternate screen and the terminal modes after the end exist only
here. The program sees a plain xterm, and pyte keeps the screen that an operator would see.

    with Terminal([sys.executable, "-m", "magetui"], size=(80, 24)) as terminal:
        terminal.wait_for("Connection")
        terminal.press("q")
        assert terminal.wait_exit() == 0
        assert terminal.modes_after == terminal.modes_before
"""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyte

from tests.support.leaks import nowhere

KEYS = {
    "enter": "\r",
    "tab": "\t",
    "shift+tab": "\x1b[Z",
    "escape": "\x1b",
    "space": " ",
    "backspace": "\x7f",
    "delete": "\x1b[3~",
    "pageup": "\x1b[5~",
    "pagedown": "\x1b[6~",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "f1": "\x1bOP",
    "f5": "\x1b[15~",
}
ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")  # an escape sequence may be in the middle of a word
CONTROL = re.compile(r"ctrl\+([a-z@\[\\\]^_])")

# The session leader that opens a terminal gets it as its controlling terminal. The shell then becomes the program
# (exec), so that the process id and the exit status are those of the program.
ON_TERMINAL = 'terminal=$1; shift; exec "$@" 0<>"$terminal" 1>&0 2>&0'

# The queries of programs, and the answers of xterm (VT102 with advanced video, no kitty keyboard, no mode 2026).
QUERY = re.compile(
    rb"\x1b\[(?:(?P<attributes>0?c)|(?P<version>>0?q)|(?P<secondary>>0?c)|\?(?P<mode>\d+)\$p"
    rb"|(?P<status>5n)|\??(?P<cursor>6n)|(?P<size>18t))"
    rb"|\x1b\](?P<colour>1[01]);\?(?:\x07|\x1b\\)"
)
ANSWERS = {
    "attributes": b"\x1b[?1;2c",
    "secondary": b"\x1b[>41;354;0c",
    "version": b"\x1bP>|XTerm(354)\x1b\\",
    "status": b"\x1b[0n",
}
# Sequences that pyte would print as text: CSI with a private prefix, and DCS, SOS, PM and APC strings.
FOREIGN = re.compile(rb"\x1b\[(?:[<=>][0-?]*[ -/]*[@-~]|\?[0-9;]*(?:\$p|[a-gmnq-z]))|\x1b[PX^_][^\x1b]*\x1b\\")
# Bytes that may become a complete sequence when more bytes arrive.
INCOMPLETE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[]PX^_][^\x07\x1b]{0,65536}\x1b?)?\Z")

ALTERNATE_SCREEN = 1049
GRACE = 3  # seconds between SIGTERM and SIGKILL for a program that still runs
PAINTED = 0.1  # seconds without output after which a screen counts as painted, since it takes several writes
PAINTING = 1.0  # seconds after which the screen counts as painted in any case


class Screen(pyte.Screen):
    """pyte's screen with an alternate screen, which pyte lacks. The main screen comes back afterwards."""

    _main: tuple[Any, Any] | None = None

    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        super().set_mode(*modes, **kwargs)
        if ALTERNATE_SCREEN in modes and self._main is None:
            self._main = copy.deepcopy(self.buffer), copy.copy(self.cursor)
            self.erase_in_display(2)

    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        super().reset_mode(*modes, **kwargs)
        if ALTERNATE_SCREEN in modes and self._main is not None:
            self.buffer, self.cursor = self._main
            self._main = None


def _key_bytes(key: str) -> bytes:
    control = CONTROL.fullmatch(key)
    if control:
        return bytes([ord(control[1].upper()) & 0x1F])
    return KEYS.get(key, key).encode()


class Terminal:
    """A program on its own terminal. Use it in `with`, which ends the program if it still runs.

    `size` is columns and lines. `env` is added to this process's environment; the value None removes a variable. A
    thread reads the output and answers queries all the time, even if no test waits.
    """

    def __init__(
        self,
        command: list[str],
        size: tuple[int, int] = (80, 24),
        env: Mapping[str, str | None] | None = None,
        cwd: Path | str | None = None,
    ) -> None:
        self._size = size
        self._screen = Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._received = bytearray()
        self._held = b""
        self._news = threading.Condition()
        self._ended = False  # there will be no more output

        self._master, self._slave = pty.openpty()
        self._set_size(size)
        self.modes_before: list[Any] = termios.tcgetattr(self._slave)
        self._modes_after: list[Any] | None = None
        self._wake_reader, self._wake = os.pipe()
        self._process = subprocess.Popen(
            ["sh", "-c", ON_TERMINAL, "sh", os.ttyname(self._slave), *command],
            cwd=cwd,
            env=_environment(env or {}),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        for ending in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, ending)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(GRACE)
        self._close_slave()
        self._close_master()
        for end in (self._wake_reader, self._wake):
            os.close(end)
        nowhere([self.output, ESCAPES.sub(b"", self.output)])

    # -- reading

    @property
    def pid(self) -> int:
        """The program's process id, which is also the id of its session and its process group."""
        return self._process.pid

    @property
    def output(self) -> bytes:
        """Every byte that the program has written so far."""
        with self._news:
            return bytes(self._received)

    def screen(self) -> str:
        """Return the lines on the screen without trailing blanks."""
        with self._news:
            return self._text()

    def reversed_text(self) -> str:
        """Return the text in reverse video: the row at a list's cursor, a button that has the focus."""
        with self._news:
            rows = self._screen.buffer
            return "".join(cell.data for y in sorted(rows) for _, cell in sorted(rows[y].items()) if cell.reverse)

    @property
    def modes_after(self) -> list[Any]:
        """The terminal's modes (from `termios.tcgetattr`) after the end of the program."""
        if self._modes_after is None:
            raise RuntimeError("call wait_exit() first; after hang_up() the modes are not known")
        return self._modes_after

    # -- driving

    def press(self, *keys: str) -> None:
        """Press keys: "down", "f1", "ctrl+p", …. Any other text is typed.

        A terminal sends alt+x as escape and x, so escape must be the last key: wait for its effect.
        """
        if "escape" in keys[:-1]:
            raise ValueError("press escape last: together with the next key it would be alt and that key")
        self._send(b"".join(_key_bytes(key) for key in keys))

    def resize(self, columns: int, lines: int) -> None:
        """Change the terminal's size. The program gets SIGWINCH."""
        with self._news:
            self._size = columns, lines
            self._screen.resize(lines, columns)
        self._set_size((columns, lines))

    def hang_up(self) -> None:
        """Close the terminal like a lost SSH connection: SIGHUP and end of input."""
        self._close_slave()
        self._close_master()

    # -- waiting

    def wait_for(self, regex: str, timeout: float = 15) -> str:
        """Wait until a painted screen matches `regex` (`^` and `$` match at lines, `.` matches any character).

        Return that screen. Raises `AssertionError` with the screen after `timeout` seconds.
        """
        return self._wait_for(regex, timeout, painted=True)

    def wait_seen(self, regex: str, timeout: float = 15) -> str:
        """Wait until the screen matches `regex`, completely painted or not. Use it to measure, not to press keys."""
        return self._wait_for(regex, timeout, painted=False)

    def wait_gone(self, regex: str, timeout: float = 15) -> str:
        """Wait until the screen does not match `regex`, and return that screen."""
        pattern = re.compile(regex, re.MULTILINE | re.DOTALL)
        return self._wait(lambda text: pattern.search(text) is None, f"{regex!r} did not go away", timeout)

    def wait_in_field(self, label: str, timeout: float = 15) -> str:
        """Wait until the field after `label` (a regex) has the terminal's cursor, and return the screen.

        Letters that come with a tab, or soon after it, would still go into the previous field. A field keeps the cursor
        when a widget without a cursor gets the focus.
        """
        pattern = re.compile(rf"{label}\s+\S*\s*\Z")

        def met(_text: str) -> bool:
            cursor = self._screen.cursor
            return pattern.search(self._screen.display[cursor.y][: cursor.x]) is not None

        return self._wait(met, f"the field after {label!r} did not get the cursor", timeout)

    def wait_quiet(self, quiet: float = 0.3, timeout: float = 15) -> str:
        """Wait until the program has written nothing for `quiet` seconds, and return the screen.

        This does not prove that a key has had its effect: a program that gets no processor time is quiet too.
        """
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                before = len(self._received)
                self._news.wait_for(lambda: len(self._received) != before or self._ended, quiet)  # noqa: B023
                if len(self._received) == before or self._ended:
                    return self._text()
                if time.monotonic() > deadline:
                    raise AssertionError(f"never quiet within {timeout} s\n{self._framed()}")

    def wait_exit(self, timeout: float = 15) -> int:
        """Wait for the program's end. Return its exit status, or the negative number of the signal that ended it."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self._framed()}") from None
        if self._slave >= 0:
            self._modes_after = termios.tcgetattr(self._slave)
            self._close_slave()  # this was the last open end, so the reader ends
            self._reader.join(GRACE)
        return status

    # -- implementation

    def _wait_for(self, regex: str, timeout: float, *, painted: bool) -> str:
        pattern = re.compile(regex, re.MULTILINE | re.DOTALL)
        complaint = f"{regex!r} did not appear"
        return self._wait(lambda text: pattern.search(text) is not None, complaint, timeout, painted=painted)

    def _wait(self, met: Callable[[str], bool], complaint: str, timeout: float, *, painted: bool = True) -> str:
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                # A part may still be from the previous screen; a test would answer that with the wrong key.
                if met(self._text()) and (not painted or met(self._painted())):
                    return self._text()
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    break
                self._news.wait(min(left, 0.5))
                if self._process.poll() is not None and self._slave >= 0:
                    # Its last output may still be on the way. With our end closed, the reader reads it and then ends.
                    self._modes_after = termios.tcgetattr(self._slave)
                    self._close_slave()
        status = self._process.poll()
        if status is not None:
            state = f"and the program has ended with status {status}"
        else:
            state = "and nothing more can be read" if self._ended else f"after {timeout} s"
        raise AssertionError(f"{complaint} {state}\n{self._framed()}")

    def _painted(self) -> str:
        """Return the screen when the program has stopped writing, or after `PAINTING` seconds."""
        deadline = time.monotonic() + PAINTING
        before = -1
        while before != len(self._received) and not self._ended and time.monotonic() < deadline:
            before = len(self._received)
            self._news.wait_for(lambda: len(self._received) != before or self._ended, PAINTED)  # noqa: B023
        return self._text()

    def _text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def _framed(self) -> str:
        columns, lines = self._size
        edge = f"+{'-' * columns}+"
        rows = [f"|{line:<{columns}}|" for line in self.screen().split("\n")]
        return "\n".join([f"the screen, {columns}x{lines}:", edge, *rows, edge])

    def _read(self) -> None:
        try:
            while data := self._received_now():
                with self._news:
                    self._take(data)
                    self._news.notify_all()
        finally:  # also if pyte raises: no test may wait for ever
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _received_now(self) -> bytes:
        """Return the next output, or nothing at the end of the output."""
        ready, _, _ = select.select([self._master, self._wake_reader], [], [])
        if self._wake_reader not in ready:
            with contextlib.suppress(OSError):  # EIO: the other end is closed
                return os.read(self._master, 65536)
        return b""

    def _take(self, data: bytes) -> None:
        self._received += data
        data = self._held + data
        incomplete = INCOMPLETE.search(data)
        complete = data[: incomplete.start()] if incomplete else data
        self._held = data[len(complete) :]
        position = 0
        for query in QUERY.finditer(complete):
            self._draw(complete[position : query.start()])  # a cursor report has the position at this moment
            self._send(self._answer(query))
            position = query.end()
        self._draw(complete[position:])

    def _draw(self, data: bytes) -> None:
        self._stream.feed(FOREIGN.sub(b"", data))

    def _answer(self, query: re.Match[bytes]) -> bytes:
        kind = query.lastgroup or ""
        columns, lines = self._size
        match kind:
            case "mode":
                return b"\x1b[?%s;0$y" % query["mode"]  # 0: not recognised
            case "cursor":
                cursor = self._screen.cursor
                return b"\x1b[%d;%dR" % (cursor.y + 1, min(cursor.x, columns - 1) + 1)
            case "size":
                return b"\x1b[8;%d;%dt" % (lines, columns)
            case "colour":
                colour = b"0000/0000/0000" if query["colour"] == b"11" else b"e5e5/e5e5/e5e5"
                return b"\x1b]%s;rgb:%s\x1b\\" % (query["colour"], colour)
        return ANSWERS[kind]

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # the program has ended: the next wait reports that
            while data:
                data = data[os.write(self._master, data) :]

    def _set_size(self, size: tuple[int, int]) -> None:
        columns, lines = size
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _close_slave(self) -> None:
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1

    def _close_master(self) -> None:
        if self._master >= 0:
            os.write(self._wake, b"x")  # a descriptor does not close while a thread reads from it
            self._reader.join()
            os.close(self._master)
            self._master = -1


def _environment(env: Mapping[str, str | None]) -> dict[str, str]:
    hidden = {"COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "TMUX", "STY"}
    merged: dict[str, str | None] = {k: v for k, v in os.environ.items() if k not in hidden}
    merged |= {"TERM": "xterm-256color", **env}
    return {name: value for name, value in merged.items() if value is not None}
