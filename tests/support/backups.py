"""Backups made as the verb makes them, and their contents."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from magetui.backends.backup import BackupProgress
from magetui.engine.backup import Backup, BackupRequest, make_backup
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.databases import PER_DUMP, PostgresDatabase
from tests.support.postgres import PASSWORD, PostgresServer


def back_up(url: str, on_progress: Callable[[BackupProgress], None] = lambda _: None, **request: object) -> Backup:
    workspace = Workspace(Selection(url=url), {})
    return make_backup(workspace, BackupRequest(**request), on_progress)  # type: ignore[arg-type]


def dumped(database: PostgresDatabase, schema_only: bool) -> str:
    """Return the schema or the rows as pg_dump writes them. The rows are sorted: a restore can change their order."""
    done = subprocess.run(
        [database.server.bin / "pg_dump", "-s" if schema_only else "-a", "-d", database.url],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    text = PER_DUMP.sub("", done.stdout)
    return text if schema_only else "\n".join(sorted(text.splitlines()))


def typed(command: str, server: PostgresServer) -> None:
    """Run a printed command as the operator would: PostgreSQL's programs on PATH, the password in PGPASSWORD."""
    environment = {"PATH": f"{server.bin}:/usr/bin:/bin", "PGPASSWORD": PASSWORD}
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]
