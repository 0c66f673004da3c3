"""Backups: the complete database in one file, as it was at one moment, while everybody keeps working.

An incomplete backup never stays on the disk: the file gets its final name at the end, and is deleted after an error.
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
from typing import TYPE_CHECKING

from magetui.backends.backup import BackupFailedError, BackupJob, BackupOptions, BackupProgress
from magetui.engine.errors import LockTimeoutError, MagetuiError, RefusedError, StateError, UsageError
from magetui.engine.prerequisites import pooler_problem
from magetui.engine.runs.actions import record_backup
from magetui.engine.runs.journals import operator
from magetui.engine.target.target import database_file
from magetui.protocol.journal import milliseconds_since
from magetui.protocol.private_files import PRIVATE
from magetui.protocol.requests import NAME_LIMIT

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace
    from magetui.model.sessions import Session

UNFINISHED = ".unfinished"
ACCESS_EXCLUSIVE = "ACCESS EXCLUSIVE"  # the only lock mode that blocks a backup


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """The operator's request. Without `output`, the file is named after the database and the time."""

    output: Path | None = None
    pg_dump: str | None = None  # None: the one on PATH
    lock_timeout_ms: int = 10_000
    anyway: bool = False  # even if the disk may be too small
    database: str | None = None  # the redacted URL that the operator saw, if any


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup: its absolute path, and the command that restores it, which holds no credentials."""

    file: Path
    bytes: int
    elapsed_ms: int
    restore: str
    database: str  # the URL, redacted
    dialect: str
    restore_problem: str | None = None  # the right that the role lacks to restore it, as a sentence
    unrecorded: str | None = None  # why the backup is not among the recorded runs, as a sentence


@dataclass(frozen=True, slots=True)
class BackupEstimate:
    """A backup before it is made: its file, its largest possible size, and the free space on the disk, in bytes."""

    file: Path
    max_bytes: int
    free_bytes: int
    dialect: str
    database: str  # the URL, redacted

    @property
    def fits(self) -> bool:
        return self.max_bytes <= self.free_bytes


def estimate_backup(workspace: Workspace, request: BackupRequest) -> BackupEstimate:
    """Return the file and sizes of a backup without writing. Raises as `make_backup`, except for too little space."""
    file = _destination(workspace, request.output)
    try:
        job = _job(workspace, request)
        free = shutil.disk_usage(file.parent).free
    except BackupFailedError as error:
        raise _explained(workspace, error, request) from None
    except OSError as error:
        raise MagetuiError(f"The backup cannot be written to {file}: {error.strerror}.") from error
    return BackupEstimate(file, job.most, free, workspace.backend.name, workspace.target.redacted)


def make_backup(
    workspace: Workspace, request: BackupRequest, on_progress: Callable[[BackupProgress], None] = lambda _progress: None
) -> Backup:
    """Back up the database and record the backup. An exception from `on_progress` ends the backup.

    Raises `RefusedError` if the file exists, the disk is too small or the target is not the database that the operator
    saw; `UsageError` if the path is not usable; `LockTimeoutError`, `ConnectError`, and `MagetuiError` for other
    failures. After an error there is no file.
    """
    started = time.monotonic()
    if request.database is not None:
        workspace.require_target(request.database)
    file = _destination(workspace, request.output)
    try:
        job = _job(workspace, request)
        if not request.anyway and (free := shutil.disk_usage(file.parent).free) < job.most:
            raise RefusedError(
                f"The disk of {file.parent} has {_megabytes(free)} left, and the database takes "
                f"{_megabytes(job.most)}. Nothing was written. Choose a larger disk with --output. Or give --anyway, "
                "since a compressed dump is often smaller: if the disk fills up, the dump is deleted again."
            )
        with _unfinished(file) as unfinished:
            job.write(unfinished, on_progress)
    except BackupFailedError as error:
        raise _explained(workspace, error, request) from None
    except OSError as error:
        raise MagetuiError(f"The backup cannot be written to {file}: {error.strerror}. No file was left.") from error
    backup = Backup(
        file=file,
        bytes=file.stat().st_size,
        elapsed_ms=milliseconds_since(started),
        restore=job.restore_command(file),
        database=workspace.target.redacted,
        dialect=workspace.backend.name,
        restore_problem=job.restore_problem,
    )
    try:
        record_backup(workspace, backup.file, _megabytes(backup.bytes), backup.elapsed_ms)
    except StateError as error:
        return replace(backup, unrecorded=f"The backup is not on record: {error.path} cannot be written.")
    return backup


def _job(workspace: Workspace, request: BackupRequest) -> BackupJob:
    name = f"magetui backup {operator()}"[:NAME_LIMIT]
    options = BackupOptions(request.lock_timeout_ms, name, request.pg_dump)
    with workspace.reading() as connection:
        pooler = workspace.backend.server(connection).pooler
        problem = pooler_problem(pooler) if pooler is not None else None
        if problem is not None:
            raise RefusedError(f"{problem} There is no backup, and no file was left.")
        return workspace.backend.backup(connection, workspace.target.url, options)


def _destination(workspace: Workspace, output: Path | None) -> Path:
    if output is None:
        database = database_file(workspace.target.url)
        name = database.stem if database is not None else workspace.target.url.database
        safe_name = re.sub(r"[^\w.-]", "_", name or workspace.backend.name)
        moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        output = Path(f"{safe_name}-{moment}{workspace.backend.backup_suffix}")
    file = output.expanduser().absolute()
    if file.is_dir():
        raise UsageError(f"{file} is a directory. Give --output the name of a file in it.")
    if not file.parent.is_dir():
        raise UsageError(f"There is no directory {file.parent} to write the backup to.")
    if os.path.lexists(file):
        raise _already_exists(file)
    return file


def _already_exists(file: Path) -> RefusedError:
    return RefusedError(
        f"The file {file} already exists, and a backup overwrites nothing. Choose another file (--output)."
    )


def _megabytes(count: int) -> str:
    return f"{count / 1024 / 1024:,.1f} MB"


@contextmanager
def _unfinished(file: Path) -> Iterator[Path]:
    """Yield an empty file that only its owner can read. It becomes `file` at the end, or is deleted after an error."""
    unfinished = file.with_name(file.name + UNFINISHED)
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    except FileExistsError:
        raise RefusedError(
            f"The file {unfinished} exists: another backup is writing it, or a killed backup left it. If no backup is "
            "running, delete it."
        ) from None
    try:
        os.close(descriptor)
        yield unfinished
        _publish(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)


def _publish(unfinished: Path, file: Path) -> None:
    """Give the backup its name by a hard link: a rename would overwrite. Raises `RefusedError` if the name is taken."""
    try:
        os.link(unfinished, file)
    except FileExistsError:
        raise _already_exists(file) from None
    except OSError:  # a file system without hard links: take the name first with an empty file
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
        except FileExistsError:
            raise _already_exists(file) from None
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
        f"{message} Could not read it within {request.lock_timeout_ms / 1000:g} s. There is no backup, and no file was "
        "left. 'magetui locks' shows the blockers. To wait longer, use --lock-timeout-seconds.",
        _blockers(workspace),
    )


def _blockers(workspace: Workspace) -> tuple[Session, ...]:
    """Return the sessions that block readers: those that hold ACCESS EXCLUSIVE, then those that wait for it."""
    with workspace.reading() as connection:
        sessions = workspace.backend.sessions(connection)
    if workspace.backend.name == "sqlite":
        return sessions
    holders = [session for session in sessions if any(lock.mode == ACCESS_EXCLUSIVE for lock in session.holds)]
    waiters = [s for s in sessions if s.waits_for is not None and s.waits_for.mode == ACCESS_EXCLUSIVE]
    return (*holders, *(session for session in waiters if session not in holders))
