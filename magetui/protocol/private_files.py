"""The operator's own files: journals and small documents, which nobody else may read, and nobody else can have planted.

The state directory may be in a place where others can write, as with a shared `XDG_STATE_HOME`. So a file counts only
if it is a plain file of this user that nobody else can write.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

PRIVATE, PRIVATE_DIRECTORY = 0o600, 0o700
LARGEST = 16 << 20  # bytes
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class ForeignFileError(PermissionError):
    """Somebody else owns the file, or can write it."""


def make_private(directory: Path) -> None:
    """Create the directory and those above it for this user alone, whatever the umask says. Raises `OSError`.

    Raises `ForeignFileError` if another user has put it there, and so decides what is in it.
    """
    if not directory.is_dir():
        if not directory.parent.is_dir():
            make_private(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir(mode=PRIVATE_DIRECTORY)
    for found in (directory.lstat(), directory.stat()):  # of a link, too
        if found.st_uid not in (0, os.geteuid()):
            raise ForeignFileError(errno.EACCES, f"it belongs to the user with the number {found.st_uid}", directory)
    if found.st_mode & OTHERS_WRITE and found.st_uid == os.geteuid():
        directory.chmod(found.st_mode & ~OTHERS_WRITE)  # made under another umask


def require_own(found: os.stat_result, path: Path) -> None:
    """Raise `ForeignFileError` unless the file is a plain file of this user that nobody else can write."""
    if not stat.S_ISREG(found.st_mode):
        raise ForeignFileError(errno.EACCES, "it is no plain file", path)
    if found.st_uid != os.geteuid():
        raise ForeignFileError(errno.EACCES, f"it belongs to the user with the number {found.st_uid}", path)
    if found.st_mode & OTHERS_WRITE:
        raise ForeignFileError(errno.EACCES, "other users can write it", path)


def open_own(file: Path) -> int:
    """Open an own file for reading, and return its descriptor. Raises `OSError`, for a link and for a foreign file."""
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        require_own(os.fstat(descriptor), file)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_document(file: Path) -> Any:
    """Return the JSON document of an own file. Raises `OSError`, `ValueError` and `RecursionError`."""
    with os.fdopen(open_own(file), encoding="utf-8") as stream:
        if os.fstat(stream.fileno()).st_size > LARGEST:
            raise ValueError("it is too large for a document of this program")
        return json.load(stream)


def write_document(file: Path, document: Any) -> None:
    """Replace the file's document in one step: a reader sees the old one or the new one. Raises `OSError`."""
    make_private(file.parent)
    unfinished = file.with_name(f"{file.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(document, stream)
        unfinished.replace(file)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
