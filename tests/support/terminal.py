"""A real pseudo-terminal, because much of what goes wrong in one cannot go wrong in Textual's pilot.

Start-up queries, key bytes, SIGHUP, SIGWINCH, the alternate screen and the modes that a program leaves
behind exist only here. The program sees a plain xterm; pyte keeps the screen that an operator would see.

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
    "insert": "\x1b[2~",
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
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    "f5": "\x1b[15~",
    "f10": "\x1b[21~",
}
ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")  # which may stand in the middle of a word
CONTROL = re.compile(r"ctrl\+([a-z@\[\\\]^_])")

# The session leader that opens a terminal gets it as its controlling one; the program itself is exec'ed, so
# that its process id and its exit status are those of the process started here.
ON_TERMINAL = 'terminal=$1; shift; exec "$@" 0<>"$terminal" 1>&0 2>&0'

# What programs ask and what xterm (VT102 with advanced video, no kitty keyboard, no mode 2026) answers.
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
# What pyte would print as text: CSI with a private prefix, and DCS, SOS, PM and APC strings.
FOREIGN = re.compile(rb"\x1b\[(?:[<=>][0-?]*[ -/]*[@-~]|\?[0-9;]*(?:\$p|[a-gmnq-z]))|\x1b[PX^_][^\x1b]*\x1b\\")
# What may become a whole sequence when more bytes arrive.
INCOMPLETE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[]PX^_][^\x07\x1b]{0,65536}\x1b?)?\Z")

ALTERNATE_SCREEN = 1049
GRACE = 3  # seconds between asking a left-over program to end and making it
PAINTED = 0.1  # seconds without output after which a screen counts as painted: one is made in several writes
PAINTING = 1.0  # seconds after which it is looked at nevertheless


class Screen(pyte.Screen):
    """pyte's screen with the alternate screen, which it lacks: what was there comes back afterwards."""

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
    """A program on a terminal of its own. Used in `with`, which ends the program if it still runs.

    size is columns and lines. env is added to this process's environment; None as a value takes the variable
    away. Output is read and queries are answered all the time, whether or not a test is waiting.
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
        self._ended = False  # nothing more will be read

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

    # -- looking

    @property
    def pid(self) -> int:
        """The program's process id; it leads a session and a process group of its own."""
        return self._process.pid

    @property
    def output(self) -> bytes:
        """Every byte that the program has written so far."""
        with self._news:
            return bytes(self._received)

    def screen(self) -> str:
        """What is on the screen: its lines without trailing blanks."""
        with self._news:
            return self._text()

    def reversed_text(self) -> str:
        """What stands on the screen in reverse video: the row at a list's cursor, a button that has the focus."""
        with self._news:
            rows = self._screen.buffer
            return "".join(cell.data for y in sorted(rows) for _, cell in sorted(rows[y].items()) if cell.reverse)

    @property
    def modes_after(self) -> list[Any]:
        """The terminal's modes (as `termios.tcgetattr` gives them) when the program had ended."""
        if self._modes_after is None:
            raise RuntimeError("not known: wait_exit() first, and not after hang_up()")
        return self._modes_after

    # -- driving

    def press(self, *keys: str) -> None:
        """Press keys: "down", "f1", "ctrl+p", …; anything else is typed as text.

        A terminal sends alt+x as escape and x, so that escape has to come last: wait for its effect.
        """
        if "escape" in keys[:-1]:
            raise ValueError("press escape last: with a key behind it, it is alt and that key")
        self._send(b"".join(_key_bytes(key) for key in keys))

    def resize(self, columns: int, lines: int) -> None:
        """Make the terminal another size; the program gets SIGWINCH."""
        with self._news:
            self._size = columns, lines
            self._screen.resize(lines, columns)
        self._set_size((columns, lines))

    def hang_up(self) -> None:
        """Close the terminal, as a lost SSH connection does: SIGHUP, and end of input."""
        self._close_slave()
        self._close_master()

    # -- waiting

    def wait_for(self, regex: str, timeout: float = 15) -> str:
        """Wait until regex is found on a painted screen (`^` and `$` are ends of lines, `.` any character).

        Returns that screen. AssertionError with the screen after timeout seconds.
        """
        pattern = re.compile(regex, re.MULTILINE | re.DOTALL)
        return self._wait(lambda text: pattern.search(text) is not None, f"{regex!r} did not appear", timeout)

    def wait_seen(self, regex: str, timeout: float = 15) -> str:
        """Wait until regex is on the screen, painted to its end or not: to measure how soon, not to press keys."""
        pattern = re.compile(regex, re.MULTILINE | re.DOTALL)
        complaint = f"{regex!r} did not appear"
        return self._wait(lambda text: pattern.search(text) is not None, complaint, timeout, painted=False)

    def wait_gone(self, regex: str, timeout: float = 15) -> str:
        """Wait until regex is not, or no longer, on the screen, and return that screen."""
        pattern = re.compile(regex, re.MULTILINE | re.DOTALL)
        return self._wait(lambda text: pattern.search(text) is None, f"{regex!r} did not go away", timeout)

    def wait_in_field(self, label: str, timeout: float = 15) -> str:
        """Wait until the field right behind label (a regex) has the terminal's cursor: what is typed goes there.

        Letters that come with a tab, or soon after it, would still go into the field before. A field keeps the cursor
        when what has no cursor gets the focus.
        """
        pattern = re.compile(rf"{label}\s+\S*\s*\Z")

        def met(_text: str) -> bool:
            cursor = self._screen.cursor
            return pattern.search(self._screen.display[cursor.y][: cursor.x]) is not None

        return self._wait(met, f"the field behind {label!r} did not get the cursor", timeout)

    def wait_quiet(self, quiet: float = 0.3, timeout: float = 15) -> str:
        """Wait until nothing has been written for `quiet` seconds.

        That what was pressed has had its effect does not follow: a program that gets no processor is quiet too.
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
        """Wait until the program has ended; its exit status, or minus the signal that ended it."""
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout} s\n{self._framed()}") from None
        if self._slave >= 0:
            self._modes_after = termios.tcgetattr(self._slave)
            self._close_slave()  # now the last one of them, so that the reader comes to an end
            self._reader.join(GRACE)
        return status

    # -- how

    def _wait(self, met: Callable[[str], bool], complaint: str, timeout: float, *, painted: bool = True) -> str:
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                if met(self._text()):
                    if not painted:
                        return self._text()
                    # Half of it may still be the screen before, which would be answered with the wrong key.
                    text = self._painted()
                    if met(text):
                        return text
                left = deadline - time.monotonic()
                if left <= 0 or self._ended:
                    break
                self._news.wait(min(left, 0.5))
                if self._process.poll() is not None and self._slave >= 0:
                    # Its last words may still be on their way; with our end closed, the reader meets the end.
                    self._modes_after = termios.tcgetattr(self._slave)
                    self._close_slave()
        status = self._process.poll()
        if status is not None:
            state = f"and the program has ended with status {status}"
        else:
            state = "and nothing more can be read" if self._ended else f"after {timeout} s"
        raise AssertionError(f"{complaint} {state}\n{self._framed()}")

    def _painted(self) -> str:
        """The screen when nothing more is being written to it, or at the latest after PAINTING seconds."""
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
        finally:  # also when pyte gives up on what it was fed: a wait must not go on
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _received_now(self) -> bytes:
        """The next output; nothing when there will be none."""
        ready, _, _ = select.select([self._master, self._wake_reader], [], [])
        if self._wake_reader not in ready:
            with contextlib.suppress(OSError):  # EIO: nobody has the other end open any more
                return os.read(self._master, 65536)
        return b""

    def _take(self, data: bytes) -> None:
        self._received += data
        data = self._held + data
        incomplete = INCOMPLETE.search(data)
        whole = data[: incomplete.start()] if incomplete else data
        self._held = data[len(whole) :]
        position = 0
        for query in QUERY.finditer(whole):
            self._draw(whole[position : query.start()])  # a cursor report tells where it is at this moment
            self._send(self._answer(query))
            position = query.end()
        self._draw(whole[position:])

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
        with contextlib.suppress(OSError):  # the program has gone: the next wait will tell
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
            os.write(self._wake, b"x")  # a descriptor that somebody is reading from does not really close
            self._reader.join()
            os.close(self._master)
            self._master = -1


def _environment(env: Mapping[str, str | None]) -> dict[str, str]:
    hidden = {"COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "TMUX", "STY"}
    merged: dict[str, str | None] = {k: v for k, v in os.environ.items() if k not in hidden}
    merged |= {"TERM": "xterm-256color", **env}
    return {name: value for name, value in merged.items() if value is not None}
