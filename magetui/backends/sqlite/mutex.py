"""The migration mutex of a SQLite database: a file beside it, locked by whoever migrates, which tells who that is."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from magetui.model.sessions import MutexHolder


def lock_path(database: Path | None) -> Path | None:
    """The lock file of a database; None for one in memory."""
    return None if database is None else database.with_name(f"{database.name}.magetui-lock")


def holder_of(database: Path | None) -> MutexHolder | None:
    """Who holds the lock of that database now; None where it is free."""
    path = lock_path(database)
    if path is None or not path.exists():
        return None
    try:
        with path.open(errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(file.read())
    except FileNotFoundError:
        return None  # it has just been given back
    except PermissionError:
        return MutexHolder(pid=None, note=f"the lock file {path} is not yours to read")
    return None


def _holder(text: str) -> MutexHolder:
    """The holder as the lock file tells it; a disk that was full may have left the file empty or cut short."""
    try:
        told = json.loads(text)
    except json.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        return MutexHolder(pid=None)
    return MutexHolder(pid=told.get("pid"), since=told.get("since"), note=told.get("note"))


def _is_called(path: Path, descriptor: int) -> bool:
    """Whether the open file is the one of that name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


class LockFile:
    """An advisory lock on a file beside the database, which tells who holds it and since when."""

    def __init__(self, database: Path | None, note: str) -> None:
        self._path = lock_path(database)
        self._database = database
        self._note = note
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        if self._path is None:
            return True  # a database in memory has no other users
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        # Whoever released it last has unlinked it: a lock on that file excludes nobody.
        if not _is_called(self._path, descriptor):
            os.close(descriptor)
            return False
        self._give_to_its_users(descriptor)
        told = {
            "pid": os.getpid(),
            "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "note": self._note,
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(told).encode(), 0)
        self._descriptor = descriptor
        return True

    def _give_to_its_users(self, descriptor: int) -> None:
        """Let those who may use the database read and take the lock: a killed run leaves the file behind."""
        if self._database is not None and self._database.exists():
            database = self._database.stat()
            with suppress(PermissionError):  # the file is somebody else's, or that group is not one of ours
                os.fchmod(descriptor, stat.S_IMODE(database.st_mode) & 0o666)
                os.fchown(descriptor, -1, database.st_gid)

    def release(self) -> None:
        if self._descriptor is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None
