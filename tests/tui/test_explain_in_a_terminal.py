"""A log that somebody pastes on the screen is explained, and compared with the database."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.tui.conftest import OpenScreen

pytestmark = pytest.mark.slow

LOG = """\
2026-11-30T02:11:09Z INFO  [alembic.runtime.migration] Running upgrade rev1 -> rev2, Unique
2026-11-30T02:11:09Z Traceback (most recent call last):
2026-11-30T02:11:09Z   File "/app/migrations/versions/rev2_unique.py", line 14, in upgrade
2026-11-30T02:11:09Z sqlalchemy.exc.IntegrityError: (sqlite3.IntegrityError) UNIQUE constraint failed: t1.name
2026-11-30T02:11:09Z [SQL: CREATE UNIQUE INDEX ux ON t1 (name)]
"""


def test_a_pasted_log_is_explained_and_the_next_key_is_named(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, open_terminal: OpenScreen
) -> None:
    unique = Revision("rev2", "rev1", "Unique", 'op.create_index("ux", "t1", ["name"], unique=True)')
    project = make_project(tmp_path / "project", (table(1), unique), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    sqlite_database.rows("INSERT INTO t1 (id, name) VALUES (1, 'same'), (2, 'same')")
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 1")
    terminal.press("E")
    terminal.wait_for("Paste a log of a failed migration")
    terminal.press(f"\x1b[200~{LOG}\x1b[201~")
    screen = " ".join(terminal.wait_for("would fail again").split())
    assert "The upgrade to rev2 failed" in screen
    assert "rev2 is pending, and would fail again: t1 (name) has 1 value more than once" in screen
    assert "next esc, then" in screen
    terminal.press("escape")
    terminal.wait_for("BEHIND BY 1")


def test_a_text_without_an_error_is_said_to_have_none(
    tmp_path: Path, sqlite_database: SqliteDatabase, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", (table(1),), sqlite_database.url)
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("next m")
    terminal.press("E")
    terminal.wait_for("Paste a log of a failed migration")
    terminal.press("all is well, q")
    terminal.wait_for("magetui knows no error in this log")
