"""The processes that have a SQLite database locked: SQLite knows of no sessions, but Linux of file locks.

/proc/locks lists them with process, device, inode and bytes (proc_locks(5)), and the bytes tell what a lock
is for: fileformat2.html of sqlite.org ("The Lock-Byte Page") and walformat.html ("Locks"). Without /proc, or
where the locks were taken in another PID namespace, nothing is known and nothing is said.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection

from magetui.model.sessions import HeldLock, Session

PROC = Path("/proc")
LOCK_LINE = re.compile(r"\d+: \S+ +\S+ +(READ|WRITE) +(\d+) +([0-9a-f]+):([0-9a-f]+):(\d+) +(\d+) +(\d+|EOF)")
SHARED_BYTE = 0x40000002  # of the database file, the first of 510: write-locked while changes go into the file
WAL_WRITE_BYTE = 120  # of the wal-index (-shm): write-locked by the one that writes
WAL_OPEN_BYTE = 128  # of the wal-index: read-locked by whoever has it open, busy or not

_File = tuple[int, int]  # device and inode


def sessions(connection: Connection) -> tuple[Session, ...]:
    """The other processes that hold a lock on the database's file or its wal-index, by pid.

    `holds` has the file's name and the mode, 'READ' or 'WRITE'; 'WRITE' is what keeps other writers out.
    `state` is 'writing', 'reading' or, where the lock only says that a database in WAL mode is open, 'open'.
    `application` is the command's name, or the script or module that a Python runs: never more of the
    command line, which may carry credentials.
    """
    path = next((row[2] for row in connection.exec_driver_sql("pragma database_list") if row[1] == "main"), "")
    if not path:
        return ()
    wal_index = Path(f"{path}-shm")
    held: dict[int, set[tuple[str, str]]] = {}
    states: dict[int, set[str]] = {}
    for pid, file, mode, first in _locks((Path(path), wal_index)):
        held.setdefault(pid, set()).add((file.name, mode))
        states.setdefault(pid, set()).add(_state(mode, first, file == wal_index, wal_index.exists()))
    found = []
    for pid in sorted(held):
        if pid != os.getpid():
            state = next(state for state in ("writing", "reading", "open") if state in states[pid])
            found.append(
                Session(
                    pid=pid,
                    user=_user(pid),
                    application=_application(pid),
                    client=None,
                    state=state,
                    query=None,
                    transaction_ms=None,
                    query_ms=None,
                    holds=tuple(HeldLock(name, mode) for name, mode in sorted(held[pid])),
                )
            )
    return tuple(found)


def _locks(paths: tuple[Path, ...]) -> Iterator[tuple[int, Path, str, int]]:
    """(process, file, 'READ' or 'WRITE', first byte) of every lock held on one of the files."""
    try:
        lines = (PROC / "locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return
    files = {key: path for path in paths for key in _keys(path)}
    for line in lines:
        match = LOCK_LINE.match(line)  # which lines of waiting processes, marked by an arrow, do not
        if match is not None:
            mode, pid, major, minor, inode, first, _last = match.groups()
            path = files.get((os.makedev(int(major, 16), int(minor, 16)), int(inode)))
            if path is not None and int(pid) > 0:
                yield int(pid), path, mode, int(first)


def _keys(path: Path) -> Iterator[_File]:
    """What /proc/locks may call the file: on Btrfs and overlays, stat() tells another device than it does.

    The file is opened with O_PATH: closing any other descriptor would drop this process' own locks on it.
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
    """The command's name; of a Python, the name of the script or module it runs."""
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
