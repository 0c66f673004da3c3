"""A backup: the whole database in one file, as it was at one moment, while everybody goes on using it.

It is a read of the database. Nothing of it is left that is not whole: it is written under an unfinished name, which
is given its own at the end, and taken away where there is none.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from magetui.backends.backup import BackupFailedError, BackupJob, BackupOptions, BackupProgress
from magetui.engine.errors import LockTimeoutError, MagetuiError, RefusedError, StateError, UsageError
from magetui.engine.preflight import pooled
from magetui.engine.runs.actions import record_backup
from magetui.engine.runs.journals import operator
from magetui.engine.target.target import database_file
from magetui.engine.workspace import Workspace
from magetui.model.sessions import Session
from magetui.protocol.requests import NAME_LIMIT

PRIVATE = 0o600
UNFINISHED = ".unfinished"
ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"  # the only lock that a backup has to wait for


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """What the operator said of a backup: `output` None is a name of our own in the current directory.

    `anyway`: begin even where the disk may turn out too small. `pg_dump` None is the one on PATH.
    """

    output: Path | None = None
    pg_dump: str | None = None
    lock_timeout_ms: int = 10_000
    anyway: bool = False
    of: str | None = None  # the database's redacted URL, where somebody was shown it


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup: an absolute path, and what to type to restore it, in which no credential stands."""

    file: Path
    bytes: int
    elapsed_ms: int
    restore: str
    database: str  # the URL, redacted
    dialect: str
    unrecorded: str | None = None  # why `runs` will not tell of it, as a sentence


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A backup before it is made: its file, what that takes at most, and what the disk has left, in bytes."""

    file: Path
    most: int
    free: int
    dialect: str
    database: str  # the URL, redacted

    @property
    def fits(self) -> bool:
        return self.most <= self.free


def foresee_backup(workspace: Workspace, request: BackupRequest) -> Foreseen:
    """What a backup would be; nothing is written. Raises as `make_backup`, but not for a disk with too little room."""
    file = _destination(workspace, request.output)
    try:
        job = _job(workspace, request)
        free = shutil.disk_usage(file.parent).free
    except BackupFailedError as error:
        raise _explained(workspace, error, request) from None
    except OSError as error:
        raise MagetuiError(f"The backup cannot be written to {file}: {error.strerror}.") from error
    return Foreseen(file, job.most, free, workspace.backend.name, workspace.target.redacted)


def make_backup(
    workspace: Workspace, request: BackupRequest, told: Callable[[BackupProgress], None] = lambda _progress: None
) -> Backup:
    """Back the database up; `told` hears how far it has come, and what it raises ends the backup.

    Raises `RefusedError` where there is a file already, too little room or another database than was shown,
    `UsageError` for a place that cannot be, `LockTimeoutError`, `ConnectError`, and `MagetuiError` for what else may
    go wrong. Then there is no file.
    """
    started = time.monotonic()
    if request.of is not None:
        workspace.require_target(request.of)
    file = _destination(workspace, request.output)
    try:
        job = _job(workspace, request)
        if not request.anyway:
            _require_room(file.parent, job.most)
        with _written(file) as unfinished:
            job.write(unfinished, told)
    except BackupFailedError as error:
        raise _explained(workspace, error, request) from None
    except OSError as error:
        raise MagetuiError(f"The backup cannot be written to {file}: {error.strerror}. Nothing was left.") from error
    made = Backup(
        file=file,
        bytes=file.stat().st_size,
        elapsed_ms=int((time.monotonic() - started) * 1000),
        restore=job.restore_command(file),
        database=workspace.target.redacted,
        dialect=workspace.backend.name,
    )
    try:
        record_backup(workspace, made.file, _megabytes(made.bytes), made.elapsed_ms)
    except StateError as error:
        return replace(made, unrecorded=f"It is not on record: {error.path} cannot be written.")
    return made


def _job(workspace: Workspace, request: BackupRequest) -> BackupJob:
    name = f"magetui backup {operator()}"[:NAME_LIMIT]
    options = BackupOptions(request.lock_timeout_ms, name, request.pg_dump)
    with workspace.reading() as connection:
        pooler = workspace.backend.server(connection).pooler
        objection = pooled(pooler) if pooler is not None else None
        if objection is not None:
            raise RefusedError(f"{objection} There is no backup, and no file was left.")
        return workspace.backend.backup(connection, workspace.target.url, options)


def _destination(workspace: Workspace, output: Path | None) -> Path:
    if output is None:
        database = database_file(workspace.target.url)
        known_as = database.stem if database is not None else workspace.target.url.database
        moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        name = re.sub(r"[^\w.-]", "_", known_as or workspace.backend.name)
        output = Path(f"{name}-{moment}{workspace.backend.backup_suffix}")
    file = output.expanduser().absolute()
    if file.is_dir():
        raise UsageError(f"{file} is a directory; --output wants the name of a file in it.")
    if not file.parent.is_dir():
        raise UsageError(f"There is no directory {file.parent} to write the backup to.")
    _require_new(file)
    return file


def _require_new(file: Path) -> None:
    if os.path.lexists(file):
        raise _taken(file)


def _taken(file: Path) -> RefusedError:
    return RefusedError(
        f"There is a file {file} already, and a backup overwrites nothing. Choose another file (--output)."
    )


def _require_room(folder: Path, most: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < most:
        raise RefusedError(
            f"The disk of {folder} has {_megabytes(free)} left, and the database takes {_megabytes(most)}. Nothing was "
            "written. Choose a larger disk with --output; or say --anyway, since a compressed dump is often smaller: "
            "should the disk fill up, the dump is taken away again."
        )


def _megabytes(count: int) -> str:
    return f"{count / 1024 / 1024:,.1f} MB"


@contextmanager
def _written(file: Path) -> Iterator[Path]:
    """An empty file to be filled, for its owner's eyes alone, which becomes `file` at the end, or goes."""
    unfinished = file.with_name(file.name + UNFINISHED)
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except FileExistsError:
        raise RefusedError(
            f"There is a file {unfinished}: another backup is being written there, or one was killed. If none is, "
            "delete it."
        ) from None
    try:
        os.close(descriptor)
        yield unfinished
        _give_name(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def _give_name(unfinished: Path, file: Path) -> None:
    """Call it `file` too, or raise `RefusedError`: renaming it would overwrite what has come there meanwhile."""
    try:
        os.link(unfinished, file)
    except FileExistsError:
        raise _taken(file) from None
    except OSError:  # a file system without hard links: there the name is taken first, by a file of ours
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        except FileExistsError:
            raise _taken(file) from None
        try:
            unfinished.rename(file)
        except OSError:
            file.unlink(missing_ok=True)
            raise


def _explained(workspace: Workspace, error: BackupFailedError, request: BackupRequest) -> MagetuiError:
    message = workspace.target.clean(error.message)
    if error.cause == "tool":
        return MagetuiError(message)
    if error.cause != "lock-timeout":
        return MagetuiError(f"{message.rstrip('.')}. There is no backup, and no file was left.")
    return LockTimeoutError(
        f"{message} It was not to be read within {request.lock_timeout_ms / 1000:g} s. There is no backup, and no file "
        "was left. 'magetui locks' shows who is in the way; --lock-timeout-seconds waits longer.",
        _in_the_way(workspace),
    )


def _in_the_way(workspace: Workspace) -> tuple[Session, ...]:
    """The sessions that keep readers out: those that hold such a lock, then those that wait for one."""
    with workspace.reading() as connection:
        sessions = workspace.backend.sessions(connection)
    if workspace.backend.name == "sqlite":
        return sessions
    holding = [one for one in sessions if any(held.mode == ACCESS_EXCLUSIVE for held in one.holds)]
    waiting = [one for one in sessions if one.waits_for is not None and one.waits_for.mode == ACCESS_EXCLUSIVE]
    return (*holding, *(one for one in waiting if one not in holding))
