"""A backup is the database, whole, or there is none: what it restores is compared, and what fails leaves nothing."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest

from magetui.backends.backup import BackupProgress
from magetui.backends.postgresql import dump
from magetui.engine.backup import Backup, BackupRequest, make_backup
from magetui.engine.errors import LockTimeoutError, MagetuiError, RefusedError, UsageError
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.databases import PER_DUMP, PostgresDatabase, SqliteDatabase
from tests.support.postgres import PASSWORD, PostgresServer, installation
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

FILL = """
INSERT INTO role (name) SELECT 'role ' || n FROM generate_series(1, 300) n;
INSERT INTO oauth2_access_token (token, expires) VALUES (repeat('é\\''"%', 900), now());
CREATE SCHEMA "odd ""schema";
CREATE TABLE "odd ""schema"."Strange table" (id serial PRIMARY KEY, doc jsonb, raw bytea);
INSERT INTO "odd ""schema"."Strange table" (doc, raw) VALUES ('{"a": [1, null]}', '\\x00ff'), (NULL, NULL);
"""


def back_up(url: str, told: Callable[[BackupProgress], None] = lambda _: None, **request: object) -> Backup:
    return make_backup(Workspace(Selection(url=url), {}), BackupRequest(**request), told)  # type: ignore[arg-type]


def dumped(database: PostgresDatabase, schema_only: bool) -> str:
    """The schema or the rows, as pg_dump writes them; rows do not come back in the order of their pages, so sorted."""
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
    """Run what was printed, as the operator would: PostgreSQL's programs on PATH, the password in PGPASSWORD."""
    environment = {"PATH": f"{server.bin}:/usr/bin:/bin", "PGPASSWORD": PASSWORD}
    done = subprocess.run(
        ["/bin/sh", "-c", command], env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done


@pytest.fixture
def on_path(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    """The server's own pg_dump is the one on PATH."""
    monkeypatch.setenv("PATH", f"{postgres.bin}:/usr/bin:/bin")
    return postgres


def test_pg_dump_that_does_not_hear_is_killed_and_what_ended_the_backup_is_what_is_said(
    pg_database: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf, pid = tmp_path / "pg_dump", tmp_path / "pid"
    deaf.write_text(
        "#!/bin/sh\n"
        "[ \"$1\" = --version ] && exec echo 'pg_dump (PostgreSQL) 99.1'\n"
        f"trap '' TERM\necho $$ > {pid}.made && mv {pid}.made {pid}\nexec sleep 600\n"
    )
    deaf.chmod(0o755)

    def cancelled(_progress: BackupProgress) -> None:
        if pid.exists():
            monkeypatch.setattr(dump, "END_SECONDS", 0.2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        back_up(pg_database.url, cancelled, output=tmp_path / "copy.dump", pg_dump=str(deaf))
    assert not Path("/proc", pid.read_text().strip()).exists()
    assert not list(tmp_path.glob("copy.dump*"))


@pytest.mark.every_version
def test_restored_database_is_the_one_that_was_backed_up(
    on_path: PostgresServer, mage_pg_url: str, tmp_path: Path
) -> None:
    database = PostgresDatabase(on_path, mage_pg_url.rpartition("/")[2])
    database.rows(FILL)
    schema, rows = dumped(database, schema_only=True), dumped(database, schema_only=False)
    heard: list[BackupProgress] = []
    folder = tmp_path / "it's here"
    folder.mkdir()
    made = back_up(database.url, heard.append, output=folder / "mage.dump")
    assert made.file == folder / "mage.dump"
    assert made.bytes == made.file.stat().st_size > 1_000
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert list(folder.iterdir()) == [made.file]
    assert all(0 <= one.written <= one.most for one in heard)
    there = {name for (name,) in database.rows("SELECT schemaname || '.' || tablename FROM pg_tables")}
    assert 'odd "schema.Strange table' in there
    named = {one.table for one in heard if one.table is not None}
    assert named, heard
    assert named <= there

    restored = PostgresDatabase(on_path, f"{database.name}_restored")
    try:
        typed(made.restore, on_path)
        assert dumped(restored, schema_only=True) == schema
        assert dumped(restored, schema_only=False) == rows
        assert restored.rows("SELECT count(*) FROM role") == [(300,)]
    finally:
        on_path.drop_database(restored.name)


def test_database_of_another_locale_and_an_awkward_name_is_restored_as_it_was(
    on_path: PostgresServer, tmp_path: Path
) -> None:
    name = 'mage\'s \\ "db" latin'
    quoted = name.replace('"', '""')
    on_path.execute(
        "postgres",
        f"CREATE DATABASE \"{quoted}\" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
    )
    restored = f"{name}_restored"
    try:
        on_path.execute(name, "CREATE TABLE t AS SELECT 'é' AS word")
        made = back_up(on_path.url(name), output=tmp_path / "mage.dump")
        typed(made.restore, on_path)
        assert on_path.execute(restored, "SELECT word FROM t") == [("é",)]
        shown = "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = %s"
        assert on_path.execute("postgres", shown, (restored,)) == [("LATIN1", "C")]
    finally:
        on_path.drop_database(restored)
        on_path.drop_database(name)


@pytest.mark.parametrize("where", ["socket", "options", "in the query"])
def test_everything_that_the_url_says_reaches_pg_dump(
    on_path: PostgresServer, pg_database: PostgresDatabase, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pg_database.rows("CREATE TABLE t AS SELECT 1 AS n")
    password = quote(PASSWORD, safe="")
    url = {
        "socket": on_path.socket_url(pg_database.name),
        "options": f"{pg_database.url}?options=-c%20search_path%3Dpublic&sslmode=prefer&application_name=mine",
        "in the query": f"postgresql://{pg_database.url.rpartition('@')[2].join(('mage@', ''))}?password={password}",
    }[where]
    monkeypatch.setenv("PGPASSWORD", "another one, which must not win")
    made = back_up(url, output=tmp_path / "mage.dump")
    assert PASSWORD not in made.restore
    assert password not in made.restore
    try:
        typed(made.restore, on_path)
        assert on_path.execute(f"{pg_database.name}_restored", "SELECT n FROM t") == [(1,)]
    finally:
        on_path.drop_database(f"{pg_database.name}_restored")


def test_password_of_the_environment_is_used_where_the_url_has_none(
    on_path: PostgresServer, pg_database: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = f"postgresql://mage@{pg_database.url.rpartition('@')[2]}"
    assert back_up(url, output=tmp_path / "mage.dump").file.exists()


def test_restored_name_does_not_hide_that_the_first_restore_failed(
    on_path: PostgresServer, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    """The command stops where the new database is there already: nothing is ever restored over something."""
    made = back_up(pg_database.url, output=tmp_path / "mage.dump")
    on_path.create_database(f"{pg_database.name}_restored")
    try:
        with pytest.raises(AssertionError, match="already exists"):
            typed(made.restore, on_path)
    finally:
        on_path.drop_database(f"{pg_database.name}_restored")


@pytest.mark.every_version
def test_table_locked_by_somebody_ends_the_backup_after_the_lock_timeout(
    on_path: PostgresServer, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    pg_database.rows("CREATE TABLE role (id int); CREATE TABLE other (id int)")
    with pg_database.session("LOCK TABLE role IN ACCESS EXCLUSIVE MODE") as holder:
        with pytest.raises(LockTimeoutError, match=r"within 0\.3 s") as raised:
            back_up(pg_database.url, output=tmp_path / "mage.dump", lock_timeout_ms=300)
        assert [session.pid for session in raised.value.sessions] == [holder.info.backend_pid]
    assert raised.value.status == 5
    assert not left_in(tmp_path)
    ours = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'magetui%'"
    eventually(lambda: not pg_database.rows(ours))  # a server notices a moment later that a client has left


def test_table_that_may_not_be_read_is_said_in_the_words_of_the_server(
    on_path: PostgresServer, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    pg_database.rows("CREATE TABLE secret (id int); CREATE ROLE reader LOGIN PASSWORD 'only$reads'")
    try:
        url = f"postgresql://reader:only$reads@{pg_database.url.rpartition('@')[2]}"
        with pytest.raises(MagetuiError, match="permission denied for table secret") as raised:
            back_up(url, output=tmp_path / "mage.dump")
        assert raised.value.status == 1
    finally:
        pg_database.rows("DROP ROLE reader")
    assert not left_in(tmp_path)


@pytest.mark.every_version
def test_server_that_goes_down_leaves_no_half_a_file(
    on_path: PostgresServer, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    pg_database.rows("CREATE TABLE role AS SELECT n FROM generate_series(1, 1000) n")

    def stop(_progress: BackupProgress) -> None:
        pids = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'magetui backup%'"
        pg_database.rows(pids)

    with (
        pg_database.session("LOCK TABLE role IN ACCESS EXCLUSIVE MODE"),
        pytest.raises(MagetuiError, match=r"pg_dump failed: .*There is no backup, and no file was left") as raised,
    ):
        back_up(pg_database.url, stop, output=tmp_path / "mage.dump")
    assert raised.value.status == 1
    assert not left_in(tmp_path)


def test_pg_dump_that_is_not_there_or_too_old_or_something_else_is_said_with_what_to_install(
    postgres: PostgresServer, pg_database: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "mage.dump"
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    install = r"postgresql-client-18.*--pg-dump"
    with pytest.raises(MagetuiError, match=f"pg_dump is not on PATH.*{install}"):
        back_up(pg_database.url, output=output)
    with pytest.raises(MagetuiError, match="There is no program /no/pg_dump"):
        back_up(pg_database.url, output=output, pg_dump="/no/pg_dump")
    older = str(installation(16) / "bin" / "pg_dump")
    with pytest.raises(MagetuiError, match=rf"is PostgreSQL 18.*is version 16\..*newer than itself\. .*{install}"):
        back_up(pg_database.url, output=output, pg_dump=older)
    with pytest.raises(MagetuiError, match=f"is no pg_dump.*{install}"):
        back_up(pg_database.url, output=output, pg_dump="/bin/echo")
    assert not output.exists()
    named = back_up(pg_database.url, output=output, pg_dump=str(postgres.bin / "pg_dump"))
    assert str(postgres.bin / "pg_restore") in named.restore  # the one that fits, too


# -- SQLite


def contents(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


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


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()]


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
    with pytest.raises(RefusedError, match="or one was killed"):
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
