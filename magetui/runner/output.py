"""What scripts and env.py print during a run, as events of its journal. A journal never grows with endless output.

The first `FIRST_BYTES` are recorded line by line. After that the last lines are held back, and recorded at moments that
become rarer: so a journal has the beginning of the output, its end, and what was last printed for those who watch.
"""

from __future__ import annotations

import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress

from magetui.protocol.events import Event, OutputPrinted, OutputSkipped
from magetui.protocol.journal import Journal, now

LINE_LIMIT = 20_000  # characters of a line
LONGEST_SECRET = 4_000  # characters: a line is never cut inside of a secret
FIRST_BYTES = 1 << 20
LAST_BYTES = 1 << 16  # that are held back
PAUSE_SECONDS, PAUSE_FACTOR = 10.0, 0.1  # between two moments: as a share of the time since the start
CHUNK = 1 << 16


def capture_output(journal: Journal) -> Callable[[], None]:
    """Write all output of this process to the journal. Returns the function that ends the capture."""
    read_end, write_end = os.pipe()
    os.dup2(write_end, 1)
    os.dup2(write_end, 2)
    os.close(write_end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # not the default for a pipe, and output must appear at once
    ended = threading.Event()
    thread = threading.Thread(target=_follow, args=(read_end, journal, ended), name="output", daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        for descriptor in (1, 2):
            with suppress(OSError):  # a script has closed it
                os.close(descriptor)
        thread.join(timeout=2)

    return end


def _follow(descriptor: int, journal: Journal, ended: threading.Event) -> None:
    """Record what comes from the descriptor, until it ends; or, if others hold it open, what has come until `ended`."""
    lines, output = Lines(journal.clean), Output(journal)
    while True:
        readable, _, _ = select.select([descriptor], [], [], 0.2 if ended.is_set() else output.pause)
        chunk = os.read(descriptor, CHUNK) if readable else b""
        for line in lines.of(chunk):
            output.add(line)
        if (readable and not chunk) or (ended.is_set() and not readable):
            break
        output.record_held()
    for line in lines.rest():
        output.add(line)
    output.record_held(now_or_never=True)


class Lines:
    """Makes lines from bytes as they come. Each is cut at `LINE_LIMIT`, after `clean` has hidden secrets in it."""

    def __init__(self, clean: Callable[[str], str]) -> None:
        self._clean = clean
        self._held = bytearray()
        self._left_out = 0  # bytes of the present line that were not held

    def of(self, chunk: bytes) -> Iterator[str]:
        *complete, rest = chunk.split(b"\n")
        for part in complete:
            self._hold(part)
            yield from self.rest(even_empty=True)
        self._hold(rest)

    def rest(self, *, even_empty: bool = False) -> Iterator[str]:
        """Yield the line that has no end, if there is one."""
        if self._held or even_empty:
            line, self._held = self._cut(), bytearray()
            yield line
        self._left_out = 0

    def _hold(self, part: bytes) -> None:
        room = max(0, LINE_LIMIT + LONGEST_SECRET - len(self._held))
        self._held += part[:room]
        self._left_out += len(part[room:])

    def _cut(self) -> str:
        written = self._held.decode(errors="replace").rstrip("\r")
        text = self._clean(written)
        if self._left_out:
            text = text[:-LONGEST_SECRET]  # a part of a secret may be at its end
        if not self._left_out and len(text) <= LINE_LIMIT:
            return text
        shown = text[:LINE_LIMIT]
        return f"{shown} … {len(written) + self._left_out - len(shown):,} characters more"


class Output:
    """Records lines, or holds them back."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._recorded = 0  # bytes
        self._held: deque[str] = deque()
        self._held_bytes = self._skipped_bytes = self._skipped = 0
        self._started = time.monotonic()
        self._next = 0.0

    @property
    def pause(self) -> float | None:
        """Return the seconds until the next moment at which lines are recorded; None while none are held back."""
        return max(0.0, self._next - time.monotonic()) if self._held else None

    def add(self, line: str) -> None:
        size = len(line.encode(errors="replace"))
        if self._recorded + size <= FIRST_BYTES:
            self._recorded += size
            self._append(OutputPrinted(at=now(), text=line))
            return
        self._recorded = FIRST_BYTES
        if not self._held:
            self._set_next()
        self._held.append(line)
        self._held_bytes += size
        while self._held_bytes > LAST_BYTES:
            dropped = len(self._held.popleft().encode(errors="replace"))
            self._held_bytes -= dropped
            self._skipped_bytes += dropped
            self._skipped += 1

    def record_held(self, *, now_or_never: bool = False) -> None:
        """Record the lines that are held back, if it is time."""
        if not (self._held or self._skipped) or not (now_or_never or time.monotonic() >= self._next):
            return
        if self._skipped:
            self._append(OutputSkipped(at=now(), lines=self._skipped, bytes=self._skipped_bytes))
        for line in self._held:
            self._append(OutputPrinted(at=now(), text=line))
        self._held.clear()
        self._held_bytes = self._skipped_bytes = self._skipped = 0

    def _set_next(self) -> None:
        moment = time.monotonic()
        self._next = moment + max(PAUSE_SECONDS, (moment - self._started) * PAUSE_FACTOR)

    def _append(self, event: Event) -> None:
        with suppress(OSError):  # the disk is full: read on, or the script blocks on its output
            self._journal.append(event)
