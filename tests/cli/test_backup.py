"""`backup` as an operator types it: what it prints, what it keeps to itself, and what is left when it is stopped."""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.leaks import nowhere
from tests.support.live import Live
from tests.support.mage import CHECKOUT
from tests.support.postgres import PASSWORD, USER
from tests.support.terminal import Terminal
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

LOCK = "LOCK TABLE role IN ACCESS EXCLUSIVE MODE"
OURS = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'magetui%'"
WAITS = f"{OURS} AND wait_event_type = 'Lock'"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the backups go; the command line works in another folder."""
    made = tmp_path / "backups"
    made.mkdir()
    return made


@pytest.fixture
def role_table(pg_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> PostgresDatabase:
    """A database with a table `role`, whose server's own pg_dump is on PATH."""
    monkeypatch.setenv("PATH", f"{pg_database.server.bin}:/usr/bin:/bin")
    pg_database.rows("CREATE TABLE role AS SELECT n FROM generate_series(1, 1000) n")
    return pg_database


def told_of(process: int, name: str) -> list[str]:
    """What /proc tells of a process and of those it has started: their `cmdline`, or their `environ`."""
    started = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [Path("/proc", pid, name).read_text(errors="replace") for pid in (str(process), *started)]


def test_backup_is_said_with_its_size_its_time_and_the_command_that_restores_it(
    role_table: PostgresDatabase, magetui: Magetui, folder: Path
) -> None:
    done = magetui("--url", role_table.url, "backup", cwd=folder)
    assert done.status == 0, done
    [file] = folder.iterdir()
    assert re.fullmatch(rf"{role_table.name}-\d{{8}}T\d{{6}}Z\.dump", file.name)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = done.stdout.splitlines()
    assert lines[0] == f"backup    {file}"
    assert lines[1].startswith("database  postgresql://mage:***@")
    assert re.fullmatch(r"size      \d+(\.\d)? (B|kB)", lines[2])
    assert re.fullmatch(r"took      [\d.]+ m?s", lines[3])
    assert lines[4].startswith("To restore it into a new database")
    assert lines[5].startswith("createdb ")
    assert f"{role_table.name}_restored" in lines[5]
    assert lines[5].endswith(f" {file}")
    assert len(lines) == 6
    label = lines[1].removeprefix("database  postgresql://").replace(":***", "")
    assert done.stderr == f"backing up {label}; ctrl+c cancels it\n"


def test_json_document_has_the_keys_that_scripts_read(
    role_table: PostgresDatabase, magetui: Magetui, folder: Path
) -> None:
    done = magetui("--url", role_table.url, "backup", "--output", folder / "mage.dump", "--json")
    assert done.status == 0, done
    document = done.json
    assert set(document) == {"format", "file", "bytes", "elapsed_ms", "restore", "restore_problem", "database"}
    assert document["file"] == str(folder / "mage.dump")
    assert document["bytes"] == (folder / "mage.dump").stat().st_size
    assert document["database"].startswith("postgresql://mage:***@")
    again = magetui("--url", role_table.url, "backup", "--output", folder / "mage.dump", "--json")
    assert again.status == 4, again
    assert again.json["status"] == 4
    assert "overwrites nothing" in again.stderr


def test_password_is_nowhere_to_be_seen_while_it_runs_nor_left_behind(
    role_table: PostgresDatabase, magetui: Magetui, folder: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(folder))  # were there a password file with a name, it would be here
    monkeypatch.setenv("MAGE_DATABASE_CONNECTION_URL", role_table.url)
    with role_table.session(LOCK) as holder:
        live = Live(magetui.start("backup", "--output", folder / "mage.dump", "--lock-timeout-seconds", "60"))
        eventually(lambda: role_table.rows(WAITS) or live.process.poll() is not None, 30)
        ours, arguments = told_of(live.process.pid, "cmdline")
        assert "--format=custom" in arguments
        nowhere([ours, arguments])
        _, child = told_of(live.process.pid, "environ")
        assert "PGPASSFILE=" in child
        assert "PGPASSWORD=" not in child
        [meanwhile] = folder.iterdir()
        assert meanwhile.name == "mage.dump.unfinished"
        assert stat.S_IMODE(meanwhile.stat().st_mode) == 0o600
        holder.rollback()
        done = live.end()
    assert done.status == 0, done
    nowhere([done, folder, state_dir.parents[1]])
    assert [path.name for path in folder.iterdir()] == ["mage.dump"]


def test_locked_table_is_status_5_and_says_who_has_it(
    role_table: PostgresDatabase, magetui: Magetui, folder: Path
) -> None:
    with role_table.session(LOCK) as holder:
        done = magetui("--url", role_table.url, "backup", "--lock-timeout-seconds", "0.5", cwd=folder)
        assert f"blocker: {holder.info.backend_pid}  mage  mage-server" in done.stderr
    assert done.status == 5, done
    assert done.stdout == ""
    assert "A table is locked" in done.stderr
    assert not list(folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_backup_that_is_stopped_is_status_130_and_leaves_neither_a_file_nor_a_session(
    role_table: PostgresDatabase, magetui: Magetui, folder: Path, number: signal.Signals
) -> None:
    with role_table.session(LOCK):
        live = Live(magetui.start("--url", role_table.url, "backup", "--lock-timeout-seconds", "60", cwd=folder))
        eventually(lambda: role_table.rows(WAITS), 30)
        assert list(folder.iterdir())
        live.interrupt(number)
        done = live.end()
        assert done.status == 130, done
        assert "cancelled. No file was left" in done.stderr
        assert done.stdout == ""
        assert not list(folder.iterdir())
        eventually(lambda: not role_table.rows(OURS))


def test_backup_that_is_killed_takes_pg_dump_with_it(
    role_table: PostgresDatabase, magetui: Magetui, folder: Path
) -> None:
    with role_table.session(LOCK) as holder:
        live = Live(magetui.start("--url", role_table.url, "backup", "--lock-timeout-seconds", "60", cwd=folder))
        eventually(lambda: role_table.rows(WAITS), 30)
        live.interrupt(signal.SIGKILL)
        live.end()
        holder.rollback()
    eventually(lambda: not role_table.rows(OURS))
    [left] = folder.iterdir()
    assert left.name.endswith(".dump.unfinished")  # nobody could take it for a backup


def test_dump_that_outgrows_its_place_is_taken_away(
    role_table: PostgresDatabase, magetui: Magetui, folder: Path
) -> None:
    role_table.rows("CREATE TABLE noise AS SELECT random() AS n FROM generate_series(1, 50_000)")
    command = f"ulimit -f 128; exec {shlex.join(magetui.command('--url', role_table.url, 'backup'))}"  # 64 kB
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done
    assert "pg_dump failed" in done.stderr
    assert "no file was left" in done.stderr
    assert not list(folder.iterdir())


def test_progress_is_one_line_that_is_written_over_on_a_terminal(
    role_table: PostgresDatabase, folder: Path, magetui: Magetui
) -> None:
    role_table.rows("INSERT INTO role SELECT n FROM generate_series(1, 200_000) n")
    with Terminal(magetui.command("--url", role_table.url, "backup"), cwd=folder, size=(100, 24)) as terminal:
        assert terminal.wait_exit() == 0
        screen = terminal.screen()
    progress = re.findall(r"^\d+ \w+ of at most \d+ \w+(?:, at table \S+)?$", screen.replace(" " * 8, ""), re.MULTILINE)
    assert len(progress) == 1, screen
    assert "createdb" in screen


def test_pg_dump_that_is_missing_is_said_with_what_to_install(
    pg_database: PostgresDatabase, magetui: Magetui, folder: Path
) -> None:
    done = magetui("--url", pg_database.url, "backup", cwd=folder, env={"PATH": str(folder)})
    assert done.status == 1, done
    assert "pg_dump is not on PATH" in done.stderr
    assert "postgresql-client-18" in done.stderr
    assert "--pg-dump" in done.stderr
    assert not list(folder.iterdir())
    named = pg_database.server.bin / "pg_dump"
    assert magetui("--url", pg_database.url, "backup", "--pg-dump", named, cwd=folder).status == 0


def test_sqlite_database_is_backed_up_while_it_is_used(
    sqlite_database: SqliteDatabase, magetui: Magetui, folder: Path
) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    done = magetui("--url", sqlite_database.url, "backup", cwd=folder)
    assert done.status == 0, done
    [file] = folder.iterdir()
    assert re.fullmatch(r"data-\d{8}T\d{6}Z\.db", file.name)
    assert "To restore it, stop Mage and every other program that uses the file. Then:" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(f"cp {file} {sqlite_database.path}")


def test_backup_is_allowed_in_read_only_mode_and_where_there_is_no_project(
    sqlite_database: SqliteDatabase, magetui: Magetui, folder: Path
) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    before = sqlite_database.content
    assert magetui("--url", sqlite_database.url, "--read-only", "backup", cwd=folder).status == 0
    assert sqlite_database.content == before


def test_large_disk_is_asked_for_where_there_is_too_little_room(
    sqlite_database: SqliteDatabase, magetui: Magetui, folder: Path
) -> None:
    sqlite_database.rows("CREATE TABLE role (id integer)")
    free = os.statvfs(folder)
    with sqlite_database.path.open("r+b") as file:
        file.truncate(free.f_bavail * free.f_frsize + 2**30)  # all of it a hole
    done = magetui("--url", sqlite_database.url, "backup", cwd=folder)
    assert done.status == 4, done
    assert "Choose a larger disk with --output" in done.stderr
    assert not list(folder.iterdir())


def test_backup_is_on_record_among_the_runs(magetui: Magetui, mage_sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    assert magetui("--url", mage_sqlite_url, "backup", "--output", file).status == 0
    listed = " ".join(magetui("runs").stdout.split())
    assert " backup done " in listed and f"mage-ai.db {file} (" in listed
    told = magetui("runs", "1").stdout
    assert f"Backup written: {file} (" in told
    assert "current" not in told


def test_a_role_that_may_not_create_databases_is_told_how_to_restore_all_the_same(
    role_table: PostgresDatabase, magetui: Magetui, folder: Path
) -> None:
    name = f"reader_of_{role_table.name}"
    role_table.rows(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
    role_table.rows(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
    try:
        done = magetui("--url", role_table.url.replace(f"//{USER}:", f"//{name}:"), "backup", cwd=folder)
        assert done.status == 0, done
        assert f"The role {name} may not create databases. Run createdb as a role that may" in done.stdout
    finally:
        role_table.rows(f"DROP OWNED BY {name}; DROP ROLE {name}")
