"""The journal: one JSON object a line, appended by the child, followed by everybody else.

A lock on the open file says that the child lives. It belongs to the open file description, which the child inherits,
so there is no moment at which a run has begun and nobody holds it; and the kernel lets go of it however the child
ends. A line is one `write` to a file opened for appending, so a reader never sees half an event, except the last
after a crash of the machine, which it passes over.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from magetui.protocol import events
from magetui.protocol.redaction import redact

PRIVATE = 0o600


def now() -> str:
    """This moment, ISO 8601 in UTC, to the millisecond."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """The writing end, shared by the child's threads; what it writes is searched for `secrets` first."""

    def __init__(self, descriptor: int, secrets: tuple[str, ...]) -> None:
        self._descriptor = descriptor
        self._secrets = secrets
        self._lock = threading.Lock()

    def hide(self, secrets: tuple[str, ...]) -> None:
        """Search what is written from here on for these too."""
        self._secrets = (*self._secrets, *secrets)

    def append(self, event: events.Event) -> None:
        """Write an event, whole or not at all. Raises `OSError` where it cannot be written: the disk is full."""
        line = events.encode(event, lambda text: redact(text, self._secrets)) + "\n"
        with self._lock:
            size = os.fstat(self._descriptor).st_size
            try:
                data = line.encode()
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError as error:
                os.ftruncate(self._descriptor, size)  # half a line would swallow the next event
                raise OSError(error.errno, f"The run's record cannot be written: {error.strerror}") from error


def create(path: Path) -> int:
    """Make a new journal and lock it; the descriptor is for the child to inherit.

    Raises `FileExistsError` where there is one of that name, `OSError` where it cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # the file system of a network, say, has no locks to give
        path.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The journal of somebody else's run, to append a line to. Raises `OSError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_alive(path: Path) -> bool:
    """Whether the child that writes this journal is still there."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


class Reader:
    """The reading end: remembers how far it has read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[events.Event]:
        """The events appended since the last call."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                try:
                    event = events.decode(line.decode())
                except ValueError:  # an event of a later version, or a line cut short by a crash of the machine
                    continue
                yield event
