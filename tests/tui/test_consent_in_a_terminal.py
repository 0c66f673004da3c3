"""Consent on the screen follows the loss, no letter gives it, and what changed in between is shown and asked again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.support.terminal import Terminal
from tests.tui.conftest import ASKED, NAME_ASKED, OpenScreen, agree, consent

pytestmark = pytest.mark.slow

DATABASE = "loyalty.db"  # its letters are keys: l, t, y
ROLES = Revision(
    "rev1",
    None,
    "Create role",
    'op.create_table("role", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20)),\n'
    '                sa.Column("entity", sa.String(20)))',
    'op.drop_table("role")',
)
INDEX = Revision(
    "rev2", "rev1", "Find roles", 'op.create_index("ix_role_name", "role", ["name"])', 'op.drop_index("ix_role_name")'
)
DROPS = Revision(
    "rev3",
    "rev2",
    "Drop entity",
    'op.drop_column("role", "entity")',
    'op.add_column("role", sa.Column("entity", sa.String(20)))',
)
SLOW_TO_TRUST = """
from magetui.tui import shell
shell.UNSEEN_SECONDS = 9.0
from magetui.__main__ import main
main()
"""


@pytest.fixture
def shop(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / DATABASE)


@pytest.fixture
def project(shop: SqliteDatabase, magetui: Magetui, tmp_path: Path) -> AlembicProject:
    """One revision is pending, which drops a column; the last one made an index."""
    project = make_project(tmp_path / "project", (ROLES, INDEX, DROPS), shop.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev2", "--yes").status == 0
    shop.rows("INSERT INTO role (name) VALUES ('admin')")
    return project


@pytest.fixture
def terminal(project: AlembicProject, open_terminal: OpenScreen) -> Iterator[Terminal]:
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 1 · next m")  # the schema has been checked
    yield terminal


def test_dropping_an_index_loses_nothing_and_takes_enter(shop: SqliteDatabase, terminal: Terminal) -> None:
    terminal.press("b")
    terminal.wait_for("rollback from rev2 to rev1: 1 step")
    screen = terminal.wait_for(ASKED)
    assert "destroy" not in screen and "loses" not in screen
    terminal.press("enter")
    terminal.wait_for(r"DONE\s+Current revision: rev1")
    assert shop.current == ["rev1"]


def test_a_migration_that_drops_values_takes_the_name_as_a_rollback_does(
    shop: SqliteDatabase, terminal: Terminal
) -> None:
    shop.rows("UPDATE role SET entity = 'pipeline'")
    terminal.press("m")
    terminal.wait_for(rf"loses +column role\.entity, set in 1 row.*This destroys data\..*{NAME_ASKED}")
    terminal.press("y", "enter")
    terminal.wait_for("'y' is not the database's name")
    assert shop.current == ["rev2"]
    terminal.press("ctrl+u")
    terminal.wait_gone("^ y *$")
    terminal.press(*DATABASE, "enter")
    terminal.wait_for(r"DONE\s+Current revision: rev3")


def test_a_name_that_is_typed_ahead_opens_nothing_and_consents_to_nothing(
    shop: SqliteDatabase, terminal: Terminal
) -> None:
    shop.rows("UPDATE role SET entity = 'pipeline'")
    terminal.press("m", *DATABASE, "enter")
    terminal.wait_for(rf"^ Migrate.*{NAME_ASKED}")
    terminal.wait_quiet()
    terminal.wait_for(rf"^ Migrate.*{NAME_ASKED}")
    assert shop.current == ["rev2"]
    terminal.press("ctrl+u")
    terminal.wait_quiet()
    terminal.press("l", "t", "B", "q")  # keys elsewhere, text here
    terminal.wait_for(r"^ ltBq *$")
    terminal.press("ctrl+u")
    terminal.wait_gone("^ ltBq")
    consent(terminal, DATABASE)
    terminal.wait_for(r"DONE\s+Current revision: rev3")


def test_tab_leaves_the_name_so_that_a_backup_can_be_made_first_and_the_plan_is_made_again(
    shop: SqliteDatabase, terminal: Terminal
) -> None:
    shop.rows("UPDATE role SET entity = 'pipeline'")
    terminal.press("m")
    terminal.wait_for(NAME_ASKED)
    terminal.press(*"loy", "tab")
    terminal.wait_for(r"tab\s+leads\s+to\s+the\s+field.*B Back up")
    terminal.press("B")
    agree(terminal)
    terminal.wait_for("DONE")
    shop.rows("UPDATE role SET entity = NULL")  # while the backup is in front
    terminal.press("escape")
    terminal.wait_for(rf"^ Migrate.*loses +no rows.*{ASKED}")
    assert shop.current == ["rev2"]


def test_enter_that_was_pressed_before_the_plan_was_complete_does_not_consent(
    shop: SqliteDatabase, terminal: Terminal
) -> None:
    terminal.press("m", "enter", "y", "enter", "enter")
    terminal.wait_for(ASKED)
    terminal.wait_quiet()
    terminal.wait_for(ASKED)
    assert shop.current == ["rev2"]


def test_enter_at_the_end_of_a_text_that_was_meant_for_a_field_does_not_consent(
    shop: SqliteDatabase, terminal: Terminal
) -> None:
    terminal.press("b")
    terminal.wait_for(ASKED)
    before = shop.content
    terminal.press(*"2v1", "enter")  # of "rev1": its other letters are keys
    terminal.press("h")
    screen = terminal.wait_for("SSH drops: cancel")  # enter was handled before
    assert "Do it?" in screen
    assert shop.content == before
    terminal.wait_for("⏎ Do it")


def test_a_plan_that_will_fail_says_why_and_takes_the_name(shop: SqliteDatabase, terminal: Terminal) -> None:
    shop.rows("ALTER TABLE role DROP COLUMN entity")
    terminal.press("m")
    terminal.wait_for(rf"fails +at rev3: role has no column entity.*This will fail\..*{NAME_ASKED}")
    terminal.wait_for('The error would be: no such column: "entity"')
    terminal.press("escape")
    assert shop.current == ["rev2"]


def test_enter_in_the_moment_in_which_the_button_appears_is_no_answer(
    shop: SqliteDatabase, project: AlembicProject, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", SLOW_TO_TRUST, "--config", str(project.ini)]
    with Terminal(command, (80, 24), {}, tmp_path) as terminal:
        terminal.wait_for("BEHIND BY 1 · next m")
        terminal.press("m")
        terminal.wait_seen("enter: yes")
        terminal.press("enter")
        terminal.wait_for(ASKED, 40)  # later: the footer has the key when it works
        assert shop.current == ["rev2"]
        terminal.press("enter")
        terminal.wait_for(r"DONE\s+Current revision: rev3")


def test_values_that_came_after_the_plan_are_shown_and_asked_about_again(
    shop: SqliteDatabase, terminal: Terminal
) -> None:
    terminal.press("m")
    terminal.wait_for(rf"loses +no rows.*{ASKED}")
    shop.rows("UPDATE role SET entity = 'pipeline'")
    terminal.press("enter")
    terminal.wait_for(
        rf"set in 1 row.*The database has changed since this plan was made\.\s+This destroys.*{NAME_ASKED}"
    )
    assert shop.current == ["rev2"]
    consent(terminal, DATABASE)
    terminal.wait_for(r"DONE\s+Current revision: rev3")


def test_a_migration_of_somebody_else_after_the_plan_leaves_nothing_to_do(
    shop: SqliteDatabase, project: AlembicProject, magetui: Magetui, terminal: Terminal
) -> None:
    terminal.press("m")
    terminal.wait_for(ASKED)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    terminal.press("enter")
    terminal.wait_for(r"nothing to do, the current revision is rev3.*There is nothing to do\.")
    terminal.press("escape")
    terminal.wait_for("UP TO DATE")


def test_losses_that_cannot_be_known_are_named_and_take_the_name(
    shop: SqliteDatabase, project: AlembicProject, magetui: Magetui, open_terminal: OpenScreen
) -> None:
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    project.add(Revision("rev4", "rev3", "Ask", 'if op.get_bind().execute(sa.text("SELECT 1")).scalar(): pass'))
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 1 · next m")
    terminal.press("m")
    terminal.wait_for(rf"loses +perhaps rows: rev4.*This may destroy data: not all losses are known\.\s.*{NAME_ASKED}")
    assert shop.current == ["rev3"]
