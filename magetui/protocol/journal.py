"""The journal of a run: a file with one JSON object a line, which the child process appends and all others read.

A lock on the open file says that the child lives. The lock belongs to the open file description, which the child
inherits, so a run is locked from its first moment, and the kernel releases the lock however the child ends. A line is
one `write` to a file that is opened for appending, so a reader never sees a part of an event. The only exception is
the last line after a crash of the machine, which readers ignore.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

from magetui.protocol import events
from magetui.protocol.private_files import PRIVATE, open_own
from magetui.protocol.redaction import redact

LONGEST = 32 << 20  # bytes of a line that is read; no event is as long


def now(seconds_ago: float = 0) -> str:
    """Return the UTC time `seconds_ago` as ISO 8601, to the millisecond."""
    moment = datetime.now(timezone.utc) - timedelta(seconds=seconds_ago)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds_since(moment: float) -> int:
    """Return the milliseconds since a moment of `time.monotonic`."""
    return int((time.monotonic() - moment) * 1000)


class Journal:
    """The writing end, shared by the child's threads. It removes `secrets` from the events that it writes."""

    def __init__(self, descriptor: int, secrets: tuple[str, ...]) -> None:
        self._descriptor = descriptor
        self._secrets = secrets
        self._lock = threading.Lock()

    def hide(self, secrets: tuple[str, ...]) -> None:
        """Remove these secrets too from all events written from now on."""
        self._secrets = (*self._secrets, *secrets)

    def clean(self, text: str) -> str:
        """Return the text without the secrets."""
        return redact(text, self._secrets)

    def append(self, event: events.Event) -> None:
        """Write the complete event or nothing. Raises `OSError` if it cannot be written, for example to a full disk."""
        line = events.encode(event, self.clean) + "\n"
        with self._lock:
            size = os.fstat(self._descriptor).st_size
            try:
                data = line.encode()
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError as error:
                os.ftruncate(self._descriptor, size)  # the next event would be appended to the unfinished line
                raise OSError(error.errno, f"The run's record cannot be written: {error.strerror}") from error


def create(path: Path) -> int:
    """Create a journal, lock it, and return the descriptor for the child. Raises `FileExistsError` and `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a network file system, for example, may not support locks
        path.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return descriptor


def cancel_path(path: Path) -> Path:
    """Return the file beside a journal whose existence asks the run to stop."""
    return path.with_suffix(".cancel")


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """Open the journal of another process's run, to append an event to it. Raises `OSError`."""
    os.close(open_own(path))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_held_by(path: Path, pid: int) -> bool:
    """Whether the process has the journal open. Returns True where the system does not say it (Linux does)."""
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return not Path("/proc/self/fd").exists()
    for entry in entries:
        with suppress(OSError):  # it was closed meanwhile
            if entry.samefile(path):
                return True
    return False


class Reader:
    """The reading end: it remembers how far it has read, and reads on if somebody deletes the file. Close it.

    Raises `OSError` if the file cannot be opened, or is not this user's own.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(open_own(path), "rb")
        self._offset = 0
        self.unreadable = 0  # lines that hold no event that this version knows

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @property
    def state(self) -> tuple[int, int]:
        """Return the file's size in bytes and the time of its last change, in nanoseconds."""
        found = os.fstat(self._file.fileno())
        return found.st_size, found.st_mtime_ns

    @property
    def alive(self) -> bool:
        """Whether the child that writes this journal is still alive."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return False

    def read(self) -> Iterator[events.Event]:
        """Yield the events that were appended since the last call."""
        self._file.seek(self._offset)
        while line := self._file.readline(LONGEST):
            if not line.endswith(b"\n") and len(line) < LONGEST:
                return
            self._offset += len(line)
            try:
                event = events.decode(line.decode())
            except (ValueError, RecursionError):  # of a later version, cut short by a crash, or no event at all
                self.unreadable += 1
                continue
            yield event
