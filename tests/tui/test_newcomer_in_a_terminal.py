"""What somebody stumbled over who had never seen the screen: each thing is said, and the keys that are named act."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.tui.conftest import ASKED, NAME_ASKED, OpenScreen, agree, edit

pytestmark = pytest.mark.slow


def test_a_plan_that_will_fail_names_the_keys_that_repair_and_they_act(open_terminal: OpenScreen) -> None:
    terminal = open_terminal("demo", "half-applied")
    terminal.wait_for("EVIDENCE CONTRADICTS", 30)
    terminal.press("m")
    terminal.wait_for(NAME_ASKED)
    told = " ".join(terminal.screen().split())
    assert "To complete it, f (Finish) does the missing operations. To take it back, U (Undo) reverses" in told
    terminal.press("tab")
    terminal.wait_for("i Options")
    terminal.press("f")
    terminal.wait_for("finish the partially applied revision")


def test_the_story_of_a_practice_incident_ends_with_the_recovery(open_terminal: OpenScreen) -> None:
    terminal = open_terminal("demo", "half-applied")
    story = "The machine ran out of memory"
    terminal.wait_for(rf"{story}.*EVIDENCE CONTRADICTS", 30)
    for key, done in (("f", "Current revision: c46b8f03e7d1"), ("m", "Current revision: f7502be6a9c4")):
        terminal.press(key)
        agree(terminal)
        terminal.wait_for(done)
        terminal.press("escape")
        terminal.wait_for("4 Log")
    terminal.wait_for("UP TO DATE")
    terminal.wait_gone(story)


def test_no_next_step_is_named_while_the_schema_is_being_checked(open_terminal: OpenScreen) -> None:
    terminal = open_terminal("demo", "half-applied")
    terminal.wait_for("EVIDENCE CONTRADICTS", 30)
    drawn = terminal.output.decode(errors="replace")
    before, _, _ = drawn.partition("EVIDENCE CONTRADICTS")
    assert "checking the schema" in before
    assert "clean up what earlier runs left" not in before


def test_a_database_that_is_away_offers_only_keys_that_work_without_it(
    tmp_path: Path, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", linear(2), "sqlite://")
    terminal = open_terminal("--config", project.ini, "--url", "postgresql://nobody@127.0.0.1:1/none")
    terminal.wait_for("CANNOT CONNECT")
    terminal.wait_for(r"Cannot use the database\s+postgresql://nobody@127\.0\.0\.1:1/none \(from --url\)")
    keys = terminal.wait_for(r"^r Read again  c Connect .* q Quit").splitlines()[-1]
    assert not re.search("Migrate|Stamp|Roll back|Locks", keys)
    terminal.press("m")
    terminal.wait_for(r"There is no plan\. Cannot use the database.*r Read again")
    terminal.press("c")
    terminal.wait_for("^ Connect .*find or URL")


def test_the_plan_of_a_stamp_remembers_the_verification_before_it(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", linear(3), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev2", "--yes").status == 0
    sqlite_database.rows("update alembic_version set version_num = 'rev3'")
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("EVIDENCE CONTRADICTS")
    terminal.press("e")
    terminal.wait_for("v verifies rev2")
    terminal.press("v")
    terminal.wait_for("Compared at")
    terminal.press("escape")
    terminal.wait_for("s Stamp")
    terminal.press("s")
    terminal.wait_for(r"At \d\d:\d\d:\d\d the schema was equal to what rev2 makes\. v verifies it again\.")
    agree(terminal)
    terminal.wait_for("Current revision: rev2")
    terminal.press("escape")
    terminal.wait_for("4 Log")
    terminal.press("s")  # something was run since
    terminal.wait_for(rf"There is nothing to do|{ASKED}|{NAME_ASKED}")
    assert "the schema was equal" not in terminal.screen()


def test_a_missing_revision_leads_from_the_plan_to_the_list_of_revisions(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("UP TO DATE")
    terminal.press("s")
    edit(terminal)
    terminal.press("ctrl+u")
    terminal.wait_for("revision +lock timeout")
    terminal.press(*"nowhere", "enter")
    terminal.wait_for(r"There is no revision 'nowhere' .* 2\s+\(Revisions\) lists all")
    terminal.press("2")
    terminal.wait_for("━2 Revisions")


def test_locks_of_a_plan_that_is_blocked_starts_at_the_blocker(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    with pg_database.session("SELECT * FROM t1", "aaa"), pg_database.session("SELECT * FROM t2", "blocker"):
        terminal = open_terminal("--config", project.ini)
        terminal.wait_for("UP TO DATE")
        terminal.press("b")
        terminal.wait_for(ASKED)
        terminal.press("l")
        terminal.wait_for(r"2 sessions.*─\d+ blocker─")


def test_enter_that_is_too_early_is_told_so(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("EMPTY DATABASE")
    terminal.press("m")
    terminal.wait_for("Do it?")
    terminal.press("x", "enter")  # a letter, and enter that ends a text
    terminal.wait_for("That was too early to be an answer: press enter again.")
    assert sqlite_database.rows("select name from sqlite_master") == []
    terminal.wait_quiet()
    agree(terminal)
    terminal.wait_for("Current revision: rev2")
