"""A backup of SQLite is the complete database, or there is none; and a backup's file overwrites nothing."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from magetui.backends.backup import BackupProgress
from magetui.engine.errors import LockTimeoutError, MagetuiError, RefusedError, UsageError
from tests.support.backups import back_up, contents, left_in
from tests.support.databases import SqliteDatabase


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_restored_sqlite_database_is_the_one_that_was_backed_up(
    mage_sqlite_url: str, tmp_path: Path, journal: str
) -> None:
    database = SqliteDatabase(tmp_path / "mage-ai.db")
    database.rows(f"PRAGMA journal_mode = {journal}")
    database.rows("INSERT INTO role (name) VALUES ('it''s é'), (NULL)")
    before = contents(database.path)
    folder = tmp_path / "back ups"
    folder.mkdir()
    heard: list[BackupProgress] = []
    with closing(sqlite3.connect(database.path)) as mage:  # goes on using it, and has not committed
        mage.execute("INSERT INTO role (name) VALUES ('not yet')")
        made = back_up(mage_sqlite_url, heard.append, output=folder / "mage.db")
    assert contents(made.file) == before
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["mage.db"]
    assert heard[-1].written == heard[-1].most

    database.rows("DELETE FROM role")
    beside = database.path.with_name("mage-ai.db-wal")
    beside.write_bytes(b"what a killed process left")
    subprocess.run(["/bin/sh", "-c", made.restore], check=True, timeout=20)
    assert not beside.exists()
    assert contents(database.path) == before


@pytest.mark.slow
def test_locked_sqlite_file_ends_the_backup_after_the_lock_timeout(
    sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    with closing(sqlite3.connect(sqlite_database.path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockTimeoutError, match="locked by somebody who writes"):
            back_up(sqlite_database.url, output=tmp_path / "copy.db", lock_timeout_ms=100)
        writer.execute("ROLLBACK")
    assert [path.name for path in left_in(tmp_path)] == ["data.db"]


def test_damaged_sqlite_file_is_not_called_a_backup(sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer, name text)")
    sqlite_database.rows("CREATE INDEX ix ON role (name)")
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.executemany("INSERT INTO role VALUES (?, ?)", [(n, f"name {n}") for n in range(2_000)])
        connection.commit()
        [(page,)] = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix'").fetchall()
        [(size,)] = connection.execute("PRAGMA page_size").fetchall()
    with sqlite_database.path.open("r+b") as file:
        file.seek((page - 1) * size + 8)
        file.write(b"\xff" * 64)
    with pytest.raises(MagetuiError, match="fails SQLite's integrity check"):
        back_up(sqlite_database.url, output=tmp_path / "copy.db")
    assert [path.name for path in left_in(tmp_path)] == ["data.db"]


def test_sqlite_database_that_is_not_there_is_said(sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    with pytest.raises(MagetuiError, match=f"There is no file {sqlite_database.path}"):
        back_up(sqlite_database.url, output=tmp_path / "copy.db")
    with pytest.raises(MagetuiError, match="in memory alone"):
        back_up("sqlite://", output=tmp_path / "copy.db")
    assert not left_in(tmp_path)


# -- the file


def no_hard_links(*_: object) -> None:
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_file_system_without_hard_links_takes_a_backup_too(
    sqlite_database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    monkeypatch.setattr(os, "link", no_hard_links)
    made = back_up(sqlite_database.url, output=tmp_path / "copy.db")
    assert SqliteDatabase(made.file).content == sqlite_database.content
    assert sorted(path.name for path in left_in(tmp_path)) == ["copy.db", "data.db"]


def test_what_is_there_is_never_overwritten(
    sqlite_database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    output = tmp_path / "copy.db"
    output.write_text("yesterday's")
    with pytest.raises(RefusedError, match="overwrites nothing"):
        back_up(sqlite_database.url, output=output)
    assert output.read_text() == "yesterday's"

    later = tmp_path / "later.db"

    def somebody_is_first(_progress: BackupProgress) -> None:
        later.write_text("somebody's")

    with pytest.raises(RefusedError, match="overwrites nothing"):
        back_up(sqlite_database.url, somebody_is_first, output=later)
    assert later.read_text() == "somebody's"

    monkeypatch.setattr(os.path, "lexists", lambda _path: False)  # as it was a moment before somebody came
    for linked in (os.link, no_hard_links):
        monkeypatch.setattr(os, "link", linked)
        with pytest.raises(RefusedError, match="overwrites nothing"):
            back_up(sqlite_database.url, output=later)
        assert later.read_text() == "somebody's"

    unfinished = tmp_path / "third.db.unfinished"
    unfinished.write_text("another is at it")
    with pytest.raises(RefusedError, match="or a killed backup left it"):
        back_up(sqlite_database.url, output=tmp_path / "third.db")
    assert unfinished.read_text() == "another is at it"


def test_disk_with_too_little_room_is_refused_before_anything_is_written(
    sqlite_database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=100))
    with pytest.raises(RefusedError, match=r"has 0.0 MB left.*--anyway"):
        back_up(sqlite_database.url, output=tmp_path / "copy.db")
    assert [path.name for path in left_in(tmp_path)] == ["data.db"]
    assert back_up(sqlite_database.url, output=tmp_path / "copy.db", anyway=True).file.exists()


def test_place_that_cannot_be_is_wrong_usage(sqlite_database: SqliteDatabase, tmp_path: Path) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    for output, sentence in ((tmp_path, "is a directory"), (tmp_path / "no" / "copy.db", "There is no directory")):
        with pytest.raises(UsageError, match=sentence):
            back_up(sqlite_database.url, output=output)


def test_what_is_raised_while_it_is_told_ends_the_backup_and_leaves_nothing(
    sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")

    def cancelled(_progress: BackupProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(sqlite_database.url, cancelled, output=tmp_path / "copy.db")
    assert [path.name for path in left_in(tmp_path)] == ["data.db"]
