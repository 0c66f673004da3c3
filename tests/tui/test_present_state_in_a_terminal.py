"""No screen shows an old state: after a run, on return to the front, and at any size of the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.support.terminal import Terminal
from tests.tui.conftest import ASKED, OpenScreen, agree, consent

pytestmark = pytest.mark.slow

INDEX = Revision(
    "rev2", "rev1", "Find t1", 'op.create_index("ix_t1_name", "t1", ["name"])', 'op.drop_index("ix_t1_name")'
)
MORE = Revision(
    "rev3", "rev2", "Find t1 again", 'op.create_index("ix_t1_id", "t1", ["id"])', 'op.drop_index("ix_t1_id")'
)


@pytest.fixture
def shop(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "shop.db")


@pytest.fixture
def project(shop: SqliteDatabase, magetui: Magetui, tmp_path: Path) -> AlembicProject:
    """One of three revisions is applied."""
    project = make_project(tmp_path / "project", (table(1), INDEX, MORE), shop.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    return project


@pytest.fixture
def contradicted(
    shop: SqliteDatabase, project: AlembicProject, magetui: Magetui, open_terminal: OpenScreen
) -> Terminal:
    """The program on a database at its head, without an index; the evidence for that takes some seconds."""
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    shop.rows("DROP INDEX ix_t1_name")
    script = project.versions / MORE.file_name
    script.write_text(f"{script.read_text()}\nimport time; time.sleep(5)\n")
    terminal = open_terminal("--config", project.ini)
    terminal.wait_seen("UP TO DATE · checking the schema …", 30)
    return terminal


def test_a_state_that_the_schema_contradicts_is_being_checked_first_and_its_change_is_in_the_log(
    contradicted: Terminal,
) -> None:
    screen = contradicted.wait_for("EVIDENCE CONTRADICTS · next e", 60)
    assert "checking the schema" not in screen
    contradicted.press("4")
    contradicted.wait_for("verdict +EVIDENCE CONTRADICTS, at first UP TO DATE")


def test_a_change_of_the_verdict_is_told_on_the_screen_that_is_in_front(contradicted: Terminal) -> None:
    contradicted.press("l")
    contradicted.wait_for("^ Locks")
    contradicted.wait_for(r"EVIDENCE\W+CONTRADICTS,\s+at\W+first\W+UP\W+TO\W+DATE", 60)


def test_what_has_changed_is_read_when_a_screen_comes_back_to_the_front(
    shop: SqliteDatabase, project: AlembicProject, magetui: Magetui, open_terminal: OpenScreen
) -> None:
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 2 · next m")
    terminal.press("u")
    terminal.wait_for("1 on record")
    terminal.press("enter")
    terminal.wait_for("Run 1 · migrate to rev1")
    assert magetui("--config", project.ini, "migrate", "--revision", "rev2", "--yes").status == 0
    terminal.press("escape")
    terminal.wait_for(r"2 on record.*nothing → rev1")
    terminal.press("escape")
    terminal.wait_for("BEHIND BY 1 · next m")
    terminal.press("e")
    terminal.wait_for(r"▶ rev2 .* ● applied .* = match")
    terminal.press("?")
    terminal.wait_for("Evidence is not proof")
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    terminal.press("escape")
    terminal.wait_for(r"▶ rev3 .* ● applied .* = match")
    terminal.press("escape")
    terminal.wait_for("UP TO DATE")


def test_escape_after_a_run_shows_the_main_screen_and_not_the_run_that_led_to_it(
    shop: SqliteDatabase, project: AlembicProject, open_terminal: OpenScreen
) -> None:
    shop.rows("CREATE INDEX ix_t1_name ON t1 (id)")
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for(r"BEHIND BY 2|EVIDENCE CONTRADICTS")
    terminal.press("m")
    terminal.wait_for("fails +at rev2: the index ix_t1_name exists already")
    consent(terminal, shop.path.name)
    terminal.wait_for("^ FAILED.*p Plan again")
    shop.rows("DROP INDEX ix_t1_name")
    terminal.press("p")
    terminal.wait_for(rf"migrate from rev1 to rev3.*{ASKED}")
    terminal.press("enter")
    terminal.wait_for(r"DONE\s+Current revision: rev3")
    terminal.press("escape")
    terminal.wait_for("2 Revisions.*4 Log")
    terminal.wait_for("UP TO DATE")
    assert "FAILED" not in terminal.screen()


def test_a_run_that_has_ended_does_not_continue_on_a_terminal_that_is_too_small(
    project: AlembicProject, open_terminal: OpenScreen
) -> None:
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 2 · next m")
    terminal.press("m")
    agree(terminal)
    ended = terminal.wait_for(r"DONE\s+Current revision: rev3.*esc Close")
    terminal.resize(40, 8)
    screen = " ".join(terminal.wait_for("Too small").split())
    assert "The run has ended; esc closes." in screen
    assert "continues" not in screen and "cancels" not in screen
    terminal.resize(80, 24)
    assert terminal.wait_for(r"DONE\s+Current revision: rev3.*esc Close") == ended


def test_a_key_that_is_typed_while_the_terminal_is_too_small_does_not_act_when_it_has_grown(
    shop: SqliteDatabase, project: AlembicProject, open_terminal: OpenScreen
) -> None:
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 2 · next m")
    terminal.resize(40, 8)
    terminal.wait_for("too\\s+small")
    terminal.press("m", "l", "enter")
    terminal.resize(80, 24)  # at once: the keys may still be on their way
    terminal.wait_for("2 Revisions.*4 Log")
    terminal.wait_quiet(1)
    terminal.wait_for("2 Revisions.*4 Log")
    terminal.press("m")
    terminal.wait_for(ASKED)
    terminal.resize(40, 8)
    terminal.wait_for("Too small")
    terminal.press("enter", "e")
    terminal.resize(80, 24)
    terminal.wait_for(ASKED)
    assert shop.current == ["rev1"]
