"""The processes that have a SQLite database locked. SQLite knows no sessions, but Linux knows file locks.

/proc/locks lists each lock with its process, device, inode and bytes (proc_locks(5)). The bytes tell the purpose of a
lock: see fileformat2.html ("The Lock-Byte Page") and walformat.html ("Locks") of sqlite.org. Without /proc, or if the
processes run in another PID namespace, nothing is known and the list is empty.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import Connection

from magetui.backends.sqlite.files import DATABASE_LIST_SQL, main_file
from magetui.model.sessions import HeldLock, Session

PROC = Path("/proc")
LOCK_LINE = re.compile(r"\d+: \S+ +\S+ +(READ|WRITE) +(\d+) +([0-9a-f]+):([0-9a-f]+):(\d+) +(\d+) +(\d+|EOF)")
SHARED_BYTE = 0x40000002  # the first of 510 bytes of the database file that are write-locked during a write
WAL_WRITE_BYTE = 120  # a byte of the wal-index (-shm) that the writer write-locks
WAL_OPEN_BYTE = 128  # a byte of the wal-index that every process with the database open read-locks

_File = tuple[int, int]  # device and inode


def sessions(connection: Connection) -> tuple[Session, ...]:
    """Return the other processes that hold a lock on the database's file or its wal-index, by pid.

    `holds` has the file's name and the mode, 'READ' or 'WRITE'; a 'WRITE' lock keeps other writers out. `state` is
    'writing', 'reading' or 'open'; 'open' means that the lock only shows an open database in WAL mode. `application` is
    the command's name, or the script or module that Python runs. It never has more of the command line, which may
    contain credentials.
    """
    path = main_file(connection.exec_driver_sql(DATABASE_LIST_SQL))
    if not path:
        return ()
    wal_index = Path(f"{path}-shm")
    held: dict[int, set[tuple[str, str]]] = {}
    states: dict[int, set[str]] = {}
    for pid, file, mode, first in _locks((Path(path), wal_index)):
        held.setdefault(pid, set()).add((file.name, mode))
        states.setdefault(pid, set()).add(_state(mode, first, file == wal_index, wal_index.exists()))
    return tuple(
        Session(
            pid=pid,
            user=_user(pid),
            application=_application(pid),
            client=None,
            state=next(state for state in ("writing", "reading", "open") if state in states[pid]),
            query=None,
            transaction_ms=None,
            query_ms=None,
            holds=tuple(HeldLock(name, mode) for name, mode in sorted(held[pid])),
        )
        for pid in sorted(held)
        if pid != os.getpid()
    )


def _locks(paths: tuple[Path, ...]) -> Iterator[tuple[int, Path, str, int]]:
    """Yield (process, file, 'READ' or 'WRITE', first byte) for every lock that is held on one of the files."""
    try:
        lines = (PROC / "locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return
    files = {key: path for path in paths for key in _keys(path)}
    for line in lines:
        match = LOCK_LINE.match(line)  # does not match a waiting process, whose line has an arrow
        if match is not None:
            mode, pid, major, minor, inode, first, _last = match.groups()
            path = files.get((os.makedev(int(major, 16), int(minor, 16)), int(inode)))
            if path is not None and int(pid) > 0:
                yield int(pid), path, mode, int(first)


def _keys(path: Path) -> Iterator[_File]:
    """Yield the device and inode that /proc/locks may show for the file.

    On Btrfs and overlays, stat() reports another device than /proc/locks. The file is opened with O_PATH, because
    closing any other descriptor of the file would drop this process's own locks on it.
    """
    try:
        descriptor = os.open(path, os.O_PATH)
    except OSError:
        return
    try:
        status = os.fstat(descriptor)
        yield status.st_dev, status.st_ino
        facts = (PROC / "self" / "fdinfo" / str(descriptor)).read_text(encoding="ascii")
        mounts = (PROC / "self" / "mountinfo").read_text(encoding="utf-8", errors="replace")
    finally:
        os.close(descriptor)
    mount = re.search(r"^mnt_id:\s*(\d+)", facts, re.MULTILINE)
    if mount and (line := re.search(rf"^{mount[1]} \d+ (\d+):(\d+) ", mounts, re.MULTILINE)):
        yield os.makedev(int(line[1]), int(line[2])), status.st_ino


def _state(mode: str, first: int, on_wal_index: bool, wal: bool) -> str:
    if on_wal_index:
        if first == WAL_OPEN_BYTE:
            return "open"
        return "writing" if mode == "WRITE" and first == WAL_WRITE_BYTE else "reading"
    if mode == "WRITE":
        return "writing"
    return "open" if wal and first >= SHARED_BYTE else "reading"


def _user(pid: int) -> str | None:
    try:
        owner = (PROC / str(pid)).stat().st_uid
    except OSError:
        return None
    try:
        return pwd.getpwuid(owner).pw_name
    except KeyError:
        return str(owner)


def _application(pid: int) -> str | None:
    """Return the command's name; for Python, the name of the script or module that it runs."""
    try:
        command = (PROC / str(pid) / "comm").read_text(encoding="utf-8", errors="replace").strip()
        words = (PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    if not command.startswith("python"):
        return command
    following = iter(words[1:])
    for word in following:
        if word in ("-W", "-X", "--check-hash-based-pycs"):
            next(following, None)
        elif word == "-m":
            return next(following, command)
        elif word.startswith("-c"):
            return command
        elif word and not word.startswith("-"):
            return Path(word).name
    return command
