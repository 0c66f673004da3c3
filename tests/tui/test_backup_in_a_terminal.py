"""Backing up from the screen, on a real terminal: what the file restores, and that nothing half is ever left."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.backups import contents, dumped, typed
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.mage import HEAD
from tests.support.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.conftest import A_JOB, ASKED, BEFORE_HEAD, LOCK_TIMEOUT, NAME_ASKED, OpenScreen, consent, edit

pytestmark = pytest.mark.slow

COPIED = re.compile(rb"\x1b\]52;c;([A-Za-z0-9+/=]+)\x07")
LOCK = "LOCK TABLE role IN ACCESS EXCLUSIVE MODE"
AT_IT = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'magetui backup%'"


@pytest.fixture
def terminal(mage: PostgresDatabase, open_screen: OpenScreen) -> Terminal:
    """The program, open on `mage`, with the server's own pg_dump on PATH."""
    path = f"{mage.server.bin}:{os.environ['PATH']}"
    return open_screen(mage.url, until="UP TO DATE", PATH=path)


def write_to(terminal: Terminal, file: str, timeout: int = 10) -> None:
    """From the main or the plan screen: a backup to a file in the program's folder, consented to.

    It gives up on a lock after `timeout` seconds, a field that is two behind the file's.
    """
    terminal.press("B")
    terminal.wait_for(rf"Write the backup\?   {ASKED}")
    edit(terminal)
    terminal.press(*file)
    terminal.wait_for(f"file +{re.escape(file)} *$")
    terminal.wait_for("Press enter to check the fields")
    if timeout != 10:
        terminal.press("tab", "tab")
        terminal.wait_in_field(LOCK_TIMEOUT)
        terminal.press(*str(timeout))
        terminal.wait_for(rf"lock timeout +{timeout} ")
    terminal.press("enter")
    terminal.wait_for(rf"Write the backup\?   {ASKED}")
    terminal.press("enter")


def copied(terminal: Terminal) -> str:
    """What the program last gave to the clipboard."""
    found: list[bytes] = eventually(lambda: COPIED.findall(bytes(terminal.output)))
    return base64.b64decode(found[-1]).decode()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file())


def test_what_the_screen_has_backed_up_is_restored_by_the_command_that_y_copies(
    mage: PostgresDatabase, terminal: Terminal, tmp_path: Path
) -> None:
    mage.rows("INSERT INTO role (name) SELECT 'role ' || n FROM generate_series(1, 300) n")
    before = dumped(mage, schema_only=True), dumped(mage, schema_only=False)
    terminal.press("B")
    terminal.wait_for(r"database  [\d.]+ (kB|MB) on the server, indexes included")
    terminal.wait_for(r"\d+ (GB|MB|TB) free on the disk of")
    assert not files_in(tmp_path)
    terminal.press("escape")
    terminal.wait_for("4 Log")
    write_to(terminal, "kept.dump")
    terminal.wait_for("DONE")
    terminal.wait_for(r"To restore it into a new database")
    terminal.press("y")
    command = copied(terminal)
    assert command.startswith("createdb ")
    restored = PostgresDatabase(mage.server, f"{mage.name}_restored")
    try:
        typed(command, mage.server)
        assert (dumped(restored, schema_only=True), dumped(restored, schema_only=False)) == before
    finally:
        mage.server.drop_database(restored.name)
    assert files_in(tmp_path) == ["kept.dump"]
    terminal.press("escape")
    terminal.wait_for("4 Log")
    terminal.press("4")
    terminal.wait_for(r"backup +/")


def test_a_sqlite_file_is_backed_up_only_after_enter_on_the_button(
    mage_sqlite_url: str, open_screen: OpenScreen, tmp_path: Path
) -> None:
    database = SqliteDatabase(tmp_path / "mage-ai.db")
    database.rows("INSERT INTO role (name) VALUES ('it''s é'), (NULL)")
    before = contents(database.path)
    terminal = open_screen(mage_sqlite_url, until="UP TO DATE")
    terminal.press("B")
    terminal.wait_for(rf"Write the backup\?   {ASKED}")
    terminal.press("y")
    terminal.wait_quiet()
    terminal.press("escape")
    terminal.wait_for("4 Log")
    assert files_in(tmp_path) == ["mage-ai.db"]
    write_to(terminal, "kept.db")
    terminal.wait_for("DONE")
    assert contents(tmp_path / "kept.db") == before
    terminal.press("y")
    database.rows("DELETE FROM role")
    subprocess.run(["/bin/sh", "-c", copied(terminal)], check=True, timeout=20)
    assert contents(database.path) == before


def test_the_plan_that_would_lose_rows_offers_a_backup_and_is_there_again_afterwards(
    mage: PostgresDatabase, terminal: Terminal, tmp_path: Path
) -> None:
    mage.rows(A_JOB)
    terminal.press("b")
    terminal.wait_for(r"first +a backup \(B\) saves the data that would be lost")
    terminal.wait_for(NAME_ASKED)
    terminal.press("tab")
    terminal.wait_for("B Back up")
    write_to(terminal, "before.dump")
    terminal.wait_for("DONE")
    terminal.press("escape")
    terminal.wait_for(f"rollback from {HEAD} to {BEFORE_HEAD}: 1 step")
    consent(terminal, mage.name)
    terminal.wait_for(rf"DONE\s+Current revision: {BEFORE_HEAD}")
    assert (tmp_path / "before.dump").stat().st_size > 1_000


def test_a_backup_goes_on_behind_other_screens_and_is_cancelled_by_a_key(
    mage: PostgresDatabase, terminal: Terminal, tmp_path: Path
) -> None:
    with mage.session(LOCK):
        write_to(terminal, "kept.dump", timeout=60)
        terminal.wait_for(r"0 B of at most [\d.]+ (kB|MB)")
        assert files_in(tmp_path) == ["kept.dump.unfinished"]
        terminal.press("escape")
        terminal.wait_for("4 Log")
        terminal.press("q")
        terminal.wait_for(r"A backup is being written\. Quit")
        terminal.press("B")
        terminal.wait_for("x Cancel backup")
        terminal.press("x")
        terminal.wait_for(r"NO BACKUP\W+The backup was cancelled\. It left no file\.")
    assert not files_in(tmp_path)
    eventually(lambda: not mage.rows(AT_IT))  # a server sees a client's end a little later
    terminal.press("escape")
    terminal.wait_for("4 Log")
    terminal.press("4")
    terminal.wait_for(r"backup +The backup was cancelled\. It left no file\.")


@pytest.mark.parametrize("way", ["ctrl+c", "the line drops"])
def test_leaving_while_a_backup_is_written_leaves_no_half_file(
    way: str, mage: PostgresDatabase, terminal: Terminal, tmp_path: Path
) -> None:
    with mage.session(LOCK):
        write_to(terminal, "kept.dump", timeout=60)
        terminal.wait_for(r"0 B of at most")
        eventually(lambda: mage.rows(AT_IT))
        if way == "ctrl+c":
            terminal.press("ctrl+c")
            terminal.wait_for(r"A backup is being written\. Quit")
            assert files_in(tmp_path) == ["kept.dump.unfinished"]
            terminal.press("ctrl+c")
            assert terminal.wait_exit(15) == 0
            assert re.search(r"The backup was cancelled\. It left no file\.", terminal.screen())
        else:
            terminal.hang_up()
            terminal.wait_exit(15)
        assert not files_in(tmp_path)
        eventually(lambda: not mage.rows(AT_IT))


def test_who_is_in_the_way_of_a_backup_is_said_when_it_gives_up(
    mage: PostgresDatabase, terminal: Terminal, tmp_path: Path
) -> None:
    with mage.session(LOCK) as holder:
        write_to(terminal, "kept.dump", timeout=1)
        terminal.wait_for(rf"NO BACKUP.*blocked by {holder.info.backend_pid}  mage  mage-server")
    assert not files_in(tmp_path)


def test_what_stands_in_the_way_of_a_backup_is_said_before_it_is_begun(
    mage: PostgresDatabase, open_screen: OpenScreen, tmp_path: Path
) -> None:
    (tmp_path / "taken.dump").write_text("yesterday's")
    nowhere = tmp_path / "programs"
    nowhere.mkdir()
    (nowhere / "sh").symlink_to("/bin/sh")
    terminal = open_screen(mage.url, until="UP TO DATE", PATH=str(nowhere))
    terminal.press("B")
    terminal.wait_for(r"Cannot back up: pg_dump is not on PATH")
    terminal.press("i", "tab")
    terminal.wait_in_field("pg_dump")
    terminal.press(str(mage.server.bin / "pg_dump"), "enter")
    terminal.wait_for(r"Write the backup\?")
    edit(terminal)
    terminal.press(*"taken.dump")
    terminal.wait_for("Press enter to check the fields")
    terminal.press("enter")
    terminal.wait_for(r"Cannot back up: The file\s.*already\s+exists.*overwrites\s+nothing")
    terminal.press("y", "enter")
    terminal.wait_quiet()
    assert (tmp_path / "taken.dump").read_text() == "yesterday's"


def test_a_disk_that_may_be_too_small_is_asked_about(
    mage_sqlite_url: str, open_screen: OpenScreen, tmp_path: Path
) -> None:
    free = os.statvfs(tmp_path)
    with (tmp_path / "mage-ai.db").open("r+b") as file:
        file.truncate(free.f_bavail * free.f_frsize + 2**30)  # all of it a hole
    terminal = open_screen(mage_sqlite_url, until="4 Log")
    terminal.press("B")
    terminal.wait_for(rf"The disk may be too small\.\s+Write the backup anyway\?   {ASKED}")
    terminal.press("escape")
    terminal.wait_for("4 Log")
    assert files_in(tmp_path) == ["mage-ai.db"]
