"""One table in full: its columns, keys and locks, and its first rows, which are read on request and kept nowhere.

Also the ways there, find and the palette, and what the keys copy.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.terminal import Terminal
from tests.tui.conftest import OpenScreen

pytestmark = pytest.mark.slow

MARKER = "ROWMARKER"
UNDERLINED = rb"\x1b\[[0-9;]*1;4[;m]"  # bold and underlined
USERS = (
    f"INSERT INTO \"user\" (username, password_hash) SELECT '{MARKER}' || n, 'HASHMARKER' FROM generate_series(1, 60) n"
)
INVALID_INDEX = 'CREATE UNIQUE INDEX CONCURRENTLY never_built ON "user" ((1))'


@pytest.fixture
def users(mage: PostgresDatabase) -> Iterator[PostgresDatabase]:
    """Mage's database with sixty users."""
    mage.rows(USERS)
    yield mage


def open_table(terminal: Terminal, name: str) -> str:
    """Find a table in the Schema pane and open it."""
    terminal.wait_for(r"19 tab")
    terminal.press("3")
    terminal.wait_for(r"━ *3 Schema")
    terminal.press("/")
    terminal.wait_for(r"^.*find")
    terminal.press(*name)
    terminal.wait_for(rf"{name} +\d+ of 19")
    terminal.press("enter")
    terminal.wait_for("m Migrate")  # the list has the focus
    terminal.press("g", "enter")
    return terminal.wait_for(rf"public\.{name} .+COLUMN +TYPE")


def copied(terminal: Terminal) -> str:
    """Return the last text that went to the clipboard."""
    return base64.b64decode(re.findall(rb"\x1b\]52;c;([^\x07\x1b]*)", terminal.output)[-1]).decode()


def holding(files: Path, text: str) -> list[Path]:
    return [file for file in files.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


def test_enter_opens_a_table_with_its_columns_keys_and_locks(users: PostgresDatabase, open_screen: OpenScreen) -> None:
    terminal = open_screen(users.url, until="UP TO DATE")
    screen = open_table(terminal, "user")
    assert re.search(r"^ id +integer +not null +primary +nextval", screen, re.MULTILINE)
    assert re.search(r"^ email +character varying\(255\) +unique", screen, re.MULTILINE)
    assert re.search(r"^ ix_user_username +unique +username", screen, re.MULTILINE)
    terminal.wait_for("Keys and constraints · 8")  # the last facts have come
    terminal.press("G")
    terminal.wait_for("used by +user_project")
    terminal.wait_for("no session holds a lock on it.+read the first 50 rows")
    assert MARKER not in terminal.screen()
    terminal.press("escape")
    terminal.wait_for("4 Log")


def test_the_first_rows_are_read_on_request_and_kept_nowhere(
    users: PostgresDatabase, open_screen: OpenScreen, tmp_path: Path
) -> None:
    terminal = open_screen(users.url, until="UP TO DATE")
    open_table(terminal, "user")
    terminal.press("space")
    terminal.wait_for(r"Rows · first 50 · read \d\d:.+^ +1 +20")
    for _ in range(6):
        terminal.press("right")
    terminal.wait_for(r"from column 7 of 13.+username.+\(hidden\).+ROWMARKER1\s")
    terminal.press("enter")
    terminal.wait_for(r"Row 1 of user.+password_hash +\(hidden\).+username +ROWMARKER1")
    terminal.press("escape")
    terminal.wait_for("from column 7")
    terminal.press("escape")
    terminal.wait_for("4 Log")
    terminal.press("escape")
    terminal.wait_gone(r"\d+ of 19")
    terminal.press("4")
    terminal.wait_for(r"━ *4 Log.+diagnose")
    assert MARKER not in terminal.screen()
    terminal.press("q")
    assert terminal.wait_exit() == 0
    assert holding(tmp_path, MARKER) == []
    assert b"HASHMARKER" not in terminal.output


def test_a_locked_table_shows_who_has_it_and_its_rows_are_not_waited_for(
    users: PostgresDatabase, open_screen: OpenScreen
) -> None:
    terminal = open_screen(users.url, until="UP TO DATE", size=(120, 40))
    with users.session('LOCK TABLE "user" IN ACCESS EXCLUSIVE MODE', "billing") as blocker:
        open_table(terminal, "user")
        pid = blocker.info.backend_pid
        terminal.wait_for(rf"Locks · 1 session.+{pid} +billing.+holds ACCESS EXCLUSIVE +idle\s")
        terminal.press("space")
        terminal.wait_for(r"The rows can't be read: somebody has the table locked\.")
        terminal.press("shift+tab")
        terminal.wait_quiet()
        terminal.press("G")
        terminal.wait_quiet()
        terminal.press("y")
        terminal.wait_for(rf"Copied {pid}, if")
        assert copied(terminal) == str(pid)
        terminal.press("enter")
        terminal.wait_for(rf"Session {pid}.+access exclusive on user")
        terminal.press("escape")
        terminal.wait_for("Locks · 1 session")
        blocker.rollback()
    terminal.press("r")
    terminal.wait_for("no session holds a lock on it")
    terminal.press("space")
    terminal.wait_for("Rows · first 50")
    terminal.press("l")
    terminal.wait_for("Locks +0 sessions")


def test_a_table_that_was_dropped_says_so(users: PostgresDatabase, open_screen: OpenScreen) -> None:
    terminal = open_screen(users.url, until="UP TO DATE")
    open_table(terminal, "secret")
    users.rows("DROP TABLE secret")
    terminal.press("r")
    terminal.wait_for("There is no table secret any more")
    terminal.press("space")
    terminal.press("G")
    terminal.wait_for(r"The rows can't be read: the table.+has just been dropped")


def test_an_invalid_index_says_so_in_words(users: PostgresDatabase, open_screen: OpenScreen) -> None:
    with closing(users.server.connect(users.name)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        with pytest.raises(psycopg2.errors.UniqueViolation):
            cursor.execute(INVALID_INDEX)
    terminal = open_screen(users.url, until="3 Schema", size=(120, 40))
    open_table(terminal, "user")
    terminal.wait_for("never_built +unique +INVALID")


@pytest.mark.parametrize("size", [(120, 40), (200, 60)], ids=["120x40", "200x60"])
def test_on_a_wide_terminal_columns_keys_locks_and_rows_are_side_by_side(
    users: PostgresDatabase, open_screen: OpenScreen, size: tuple[int, int]
) -> None:
    terminal = open_screen(users.url, until="UP TO DATE", size=size)
    open_table(terminal, "user")
    terminal.press("space")
    screen = terminal.wait_for("used by +user_project.+ROWMARKER|used by +user_project.+Rows · first 50")
    [top, *lines] = [line for line in screen.splitlines() if "Columns · 13" in line]
    assert not lines
    assert "Indexes · " in top
    assert ("Locks · 0 sessions" in top) is (size[0] == 200)
    for words in ("Keys and constraints · 8", "Locks · 0 sessions", "Rows · first 50"):
        assert words in screen
    terminal.resize(80, 24)
    terminal.wait_for(r"Columns · 13─+$.+Rows · first 50")
    terminal.press("q")
    terminal.wait_for("4 Log")


def test_enter_on_a_key_opens_the_table_at_its_other_end(users: PostgresDatabase, open_screen: OpenScreen) -> None:
    terminal = open_screen(users.url, until="UP TO DATE", size=(120, 40))
    open_table(terminal, "user_project")
    terminal.wait_for("refers to +user ")
    terminal.press("tab")
    terminal.wait_quiet()
    terminal.press("j", "enter")
    terminal.wait_for(r"public\.user  .+used by +user_project")
    terminal.press("escape")
    terminal.wait_for(r"public\.user_project")


def test_space_unfolds_a_table_in_the_pane_and_left_folds_it(terminal: Terminal) -> None:
    terminal.wait_for("19 tab")
    terminal.press("3")
    terminal.wait_for("▸ alembic_version")
    terminal.press("space")
    terminal.wait_for(r"▾ alembic_version.+version_num +character")
    terminal.press("j")
    terminal.press("left")
    terminal.wait_gone("version_num +character")
    terminal.press("right")
    terminal.wait_for(r"▾ alembic_version.+version_num +character")
    terminal.press("space")
    terminal.wait_gone("version_num +character")


def test_find_in_the_schema_searches_the_columns_of_tables_that_are_not_open(terminal: Terminal) -> None:
    terminal.wait_for("19 tab")
    terminal.press("3")
    terminal.wait_for("▸ alembic_version")
    terminal.press("/")
    terminal.wait_for("^.*find")
    terminal.press(*"refresh_tok")
    screen = terminal.wait_for(r"refresh_tok +1 of 19")
    assert re.search(r"▸ oauth2_access_token.+\n.+refresh_token +text", screen)
    assert "expires" not in screen, "only the columns with the text"
    assert re.search(UNDERLINED, terminal.output)
    terminal.press("escape")
    terminal.wait_for("▸ alembic_version")
    assert "refresh_token" not in terminal.screen()


def test_find_counts_the_rows_that_have_the_text(terminal: Terminal) -> None:
    terminal.wait_for("2 Revisions · 40")
    terminal.press("/")
    terminal.wait_for("^.*find")
    terminal.press(*"secret")
    terminal.wait_for(r"secret +\d+ of 40")
    terminal.press("x")
    terminal.wait_for(r"secretx +0 of 40")


def test_the_palette_opens_a_table_a_revision_and_a_run(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("UP TO DATE.+3 tab")
    for typed, found, shown in (
        ("Table t2", "Table t2", r"public\.t2.+COLUMN"),
        ("Revision rev1", "Revision rev1", "follows +nothing: it is a base"),
        ("Run 1", "Run 1", "RUN 1|Run 1"),
    ):
        terminal.press(":")
        terminal.wait_for("Search for commands")
        terminal.press(*typed)
        terminal.wait_for(rf"^ +{found}")
        terminal.press("enter")
        terminal.wait_gone("Search for commands|▔▔▔")
        terminal.wait_for(shown)
        terminal.press("escape")
        terminal.wait_for("4 Log")


def test_y_copies_the_selected_item_and_shift_y_the_complete_pane(terminal: Terminal) -> None:
    terminal.wait_for("19 tab")
    terminal.press("y")
    terminal.wait_for("Copied 39d36f1dab73, if")
    assert copied(terminal) == "39d36f1dab73"
    terminal.press("Y")
    terminal.wait_for(r"Copied the complete pane \(4\d")
    assert "42a14d6143f1" in copied(terminal)
    terminal.press("3")
    terminal.wait_for("━ *3 Schema")
    terminal.press("y")
    terminal.wait_for("Copied alembic_version,")
    assert copied(terminal) == "alembic_version"
    terminal.press("1")
    terminal.wait_for("source MAGE")
    terminal.press("y")
    terminal.wait_for("Copied up-to-date")
    assert copied(terminal).startswith("up-to-date  The current revision is the head, 39d36f1dab73.")
    terminal.press("Y")
    terminal.wait_for("Copied the complete pane")
    assert copied(terminal).startswith("UP TO DATE")
    terminal.press("e")
    terminal.wait_for("Not compared: rows, invalid indexes, other tables")
    terminal.press("y")
    terminal.wait_for("Copied 39d36f1dab73,")


def test_a_sqlite_table_shows_its_rows_too(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    sqlite_database.rows("CREATE TABLE notes (id INTEGER PRIMARY KEY, t1_id REFERENCES t1, body)")
    sqlite_database.rows("INSERT INTO notes VALUES (1, NULL, x'00ff')")
    terminal = open_terminal("--config", project.ini, size=(120, 40))
    terminal.wait_for("notes")
    terminal.press("3")
    terminal.wait_for("━ *3 Schema")
    terminal.press("j", "enter")
    terminal.wait_for(r" notes  .+refers to +t1.+Locks")
    terminal.press("space")
    terminal.wait_for(r"Rows · 1 row · read.+1 +null +\\x00ff 2 B")
