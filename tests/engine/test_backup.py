"""A backup of PostgreSQL is the complete database, or there is none: its restored copy is compared."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import quote

import pytest

from magetui.backends.backup import BackupProgress
from magetui.backends.postgresql import dump
from magetui.engine.errors import LockTimeoutError, MagetuiError
from tests.support.backups import back_up, dumped, left_in, typed
from tests.support.databases import PostgresDatabase
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


@pytest.mark.parametrize("name", ['mage\'s \\ "db" latin', "-x", "--help"])
def test_database_of_another_locale_and_an_awkward_name_is_restored_as_it_was(
    on_path: PostgresServer, tmp_path: Path, name: str
) -> None:
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
