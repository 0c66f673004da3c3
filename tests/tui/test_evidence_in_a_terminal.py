"""The evidence on a real terminal: the verdict in view, each revision expected against live, and keys that act."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.mage import migrate_with_alembic
from tests.support.terminal import Terminal
from tests.tui.conftest import OpenScreen

pytestmark = pytest.mark.slow

BEFORE_PARTIAL, PARTIAL = "117f8c3b9c42", "526c4523d5d5"
VERDICT = rf"{PARTIAL} is partially applied: 2 of 7 operations done\."
STEP = r"Don't migrate yet: f \(Finish\) completes it, U \(Undo\) takes it back\."


@pytest.fixture
def partial(pg_database: PostgresDatabase, mage_home: Path) -> PostgresDatabase:
    """Mage's database, where a run added two of the columns of its last revision and stopped."""
    migrate_with_alembic(pg_database.url, mage_home, BEFORE_PARTIAL)
    pg_database.rows("alter table permission add column user_id integer, add column entity_name varchar(255)")
    return pg_database


def evidence_of(open_screen: OpenScreen, database: PostgresDatabase, **options: object) -> Terminal:
    terminal = open_screen(database.url, until="EVIDENCE CONTRADICTS", **options)
    terminal.press("e")
    terminal.wait_for("SCHEMA SAYS")
    return terminal


def test_a_partially_applied_revision_is_shown_expected_against_live(
    partial: PostgresDatabase, open_screen: OpenScreen
) -> None:
    terminal = evidence_of(open_screen, partial)
    said = terminal.wait_for(rf"^ Evidence .* current {BEFORE_PARTIAL}.*{VERDICT}.*{STEP}")
    assert re.search(rf"REVISION +SCHEMA SAYS +FOUND.*{PARTIAL}  .*◐ partial +2 of 7", said, re.MULTILINE | re.DOTALL)
    assert re.search(rf"─{PARTIAL} ─+ EXPECTED ─+ LIVE ─", said)
    assert re.search(r"^ {4,}permission\.user_id +INTEGER, null +INTEGER, null", said, re.MULTILINE)
    assert re.search(r"^ +- permission\.entity_type +VARCHAR\(255\),.* missing", said, re.MULTILINE)
    terminal.press("j")
    terminal.wait_for(rf"▶ {BEFORE_PARTIAL}  .*● applied +1 of 1.*─{BEFORE_PARTIAL} ─+ EXPECTED")
    terminal.press("G")  # the verdict stays in view
    said = terminal.wait_for(r"─c07a23ff782b ─+ EXPECTED")
    assert re.search(rf"{VERDICT}.*{STEP}", said, re.DOTALL)
    terminal.press("enter")
    terminal.wait_for("^ c07a23ff782b  Add initial tables")


def test_the_details_name_keys_that_act_there(partial: PostgresDatabase, open_screen: OpenScreen) -> None:
    terminal = evidence_of(open_screen, partial)
    terminal.press("D")
    terminal.wait_for(r"done +adds permission\.user_id \(INTEGER, null\).*missing +adds permission\.options")
    told = " ".join(terminal.screen().split())
    assert "To complete it, f (Finish) does the missing operations. To take it back, U (Undo) reverses" in told
    terminal.press("U")
    terminal.wait_for("^ Undo")
    terminal.wait_for(f"undo the partially applied revision {PARTIAL}")
    terminal.press("escape")
    terminal.wait_for("SCHEMA SAYS")  # the details are closed


def test_on_a_wide_terminal_the_operations_are_beside_the_list(
    partial: PostgresDatabase, open_screen: OpenScreen
) -> None:
    terminal = evidence_of(open_screen, partial, size=(160, 40))
    terminal.wait_for(rf"REVISION .*FOUND .*─{PARTIAL} ─+ EXPECTED")
    terminal.resize(80, 24)
    terminal.wait_for(rf"FOUND\s*$.*^ ─{PARTIAL} ─+ EXPECTED")


def test_undo_is_not_offered_if_only_values_of_enum_types_are_done(
    pg_database: PostgresDatabase, mage_home: Path, open_screen: OpenScreen
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, "7ac6fed06918")
    pg_database.rows("alter type scheduletype add value 'API'")
    terminal = open_screen(pg_database.url, until="LEFTOVER VALUE")
    terminal.press("e")
    said = terminal.wait_for(r"is partially applied: .* f \(Finish\) completes it\.")
    assert "U (Undo)" not in said
    assert "U Undo" not in terminal.wait_for("f Finish")


def test_v_verifies_the_revision_at_the_cursor_if_the_schema_matches_it(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", linear(3), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev2", "--yes").status == 0
    sqlite_database.rows("update alembic_version set version_num = 'rev3'")
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("EVIDENCE CONTRADICTS")
    terminal.press("e")
    terminal.wait_for("The schema matches rev2, not the current revision rev3.")
    terminal.wait_for("v verifies rev2")
    terminal.press("v")
    terminal.wait_for("^ Verify  rev2  equal")
    terminal.press("escape")
    terminal.wait_for("v verifies rev2")
    terminal.press("g")  # the schema does not match rev3, which is the current revision
    terminal.wait_for("v verifies rev3")
    terminal.press("v")
    terminal.wait_for(r"^ Verify  rev3  1 difference: 1 missing")
    terminal.wait_for(r"EXPECTED ─+ LIVE .*^ +t3\W+- the table +exists +missing")
    terminal.press("e")
    terminal.wait_for("^ Evidence")
