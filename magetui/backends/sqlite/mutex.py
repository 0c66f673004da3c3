"""The migration mutex of a SQLite database: a lock file beside the database, which names its holder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from magetui.model.sessions import MutexHolder

# In a folder where others can write, a link in place of the lock file would have us overwrite the file it leads to.
FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
LONGEST_NOTE = 10_000  # characters


def lock_path(database: Path | None) -> Path | None:
    """Return the lock file of a database; None for a database in memory."""
    return None if database is None else database.with_name(f"{database.name}.magetui-lock")


def holder_of(database: Path | None) -> MutexHolder | None:
    """Return the current holder of the database's lock; None if the lock is free."""
    path = lock_path(database)
    if path is None:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY | FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        why = f"{path} is a link, which is not followed" if is_link else f"{path} is not yours to read"
        return MutexHolder(pid=None, note=f"the lock file {why}")
    with os.fdopen(descriptor, errors="replace") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(file.read(LONGEST_NOTE))
    return None


def _holder(text: str) -> MutexHolder:
    """Return the holder that the lock file names; after a full disk the file may be empty or incomplete."""
    holder = None
    with suppress(ValueError, RecursionError):
        holder = json.loads(text)
    if not isinstance(holder, dict):
        return MutexHolder(pid=None)
    return MutexHolder(pid=holder.get("pid"), since=holder.get("since"), note=holder.get("note"))


class LockFile:
    """An advisory lock (flock) on a file beside the database; the file names the holder and the time. See `Mutex`."""

    def __init__(self, database: Path | None, note: str) -> None:
        self._path = lock_path(database)
        self._database = database
        self._note = note
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        if self._path is None:
            return True  # a database in memory has no other users
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | FLAGS, 0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                return False  # `holder_of` says that it is a link
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        # The last holder may have deleted this file while we opened it: a lock on it would exclude nobody.
        is_current = False
        with suppress(FileNotFoundError):
            found = os.fstat(descriptor)
            is_current = os.path.samestat(found, self._path.lstat()) and stat.S_ISREG(found.st_mode)
        if not is_current:
            os.close(descriptor)
            return False
        self._share_with_users(descriptor)
        holder = {
            "pid": os.getpid(),
            "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "note": self._note,
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        self._descriptor = descriptor
        return True

    def _share_with_users(self, descriptor: int) -> None:
        """Let all users of the database read and acquire the lock, because a killed run leaves the file behind."""
        if self._database is not None and self._database.exists():
            database = self._database.stat()
            with suppress(PermissionError):  # another user owns the file, or we are not in that group
                os.fchmod(descriptor, stat.S_IMODE(database.st_mode) & 0o666)
                os.fchown(descriptor, -1, database.st_gid)

    def release(self) -> None:
        if self._descriptor is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
