"""What a revision is and does, and which one the schema fits, on a real terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, linear, make_project
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.mage import HEAD, migrate_with_alembic
from tests.support.terminal import Terminal
from tests.tui.conftest import ASKED, OpenScreen

pytestmark = pytest.mark.slow

BEHIND = "42a14d6143f1"
EVIL = r"evil[bold]\x1b[31m\x07red"


def test_a_revision_is_read_through_by_keys_alone(terminal: Terminal) -> None:
    terminal.press("enter")
    opened = terminal.wait_for(r"creates index ix_generic_job_status on generic_job \(status\)")
    assert re.search(rf"{HEAD}  Create GenericJob", opened)
    assert re.search(r"follows +0227396a216c", opened)
    assert re.search(r"followed by nothing: it is a head", opened)
    assert re.search(r"head of +mage-ai 0\.9\.77 to 0\.9\.80", opened)
    assert re.search(r"^ Up\W+creates type jobtype \('CANCEL_PIPELINE_RUN'\)", opened, re.MULTILINE)
    terminal.press("n")
    terminal.wait_for(r"^ Down\W+drops index ix_generic_job_status of generic_job")
    terminal.press("n")
    terminal.wait_for(r"^ Evidence\W+applied: all that a schema can still show of it exists\W+there +table generic_job")
    terminal.press("S")
    terminal.wait_for(r"^ SQL\W+Up\W+CREATE TYPE jobtype AS ENUM")
    terminal.press("n")
    terminal.wait_for(r"^ Source.*^ from alembic import op")
    terminal.press("N")
    terminal.wait_for(r"^ SQL\W+Up\W+CREATE TYPE jobtype AS ENUM")
    terminal.press("g")
    terminal.wait_for(r"followed by")
    terminal.press("escape")
    terminal.wait_for("2 Revisions")


def test_an_emptied_current_revision_is_found_again_by_the_schema(
    pg_database: PostgresDatabase, mage_home: Path, open_screen: OpenScreen
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, BEHIND)
    pg_database.rows("delete from alembic_version")
    terminal = open_screen(pg_database.url, until="EMPTY VERSION TABLE")
    terminal.wait_for(rf"matches\W+{BEHIND}")
    terminal.press("s")
    terminal.wait_for(rf"^ revision {BEHIND} ")
    terminal.wait_for(ASKED)
    terminal.press("escape")
    terminal.wait_for("2 Revisions")
    terminal.press("e")
    said = terminal.wait_for(rf"{BEHIND}  Update token column type +● applied +2 of 2 += match")
    assert f"The schema matches {BEHIND}, but there is no current revision." in said
    assert f"If that is right, s (Stamp) for {BEHIND} sets the current revision." in said
    assert "f Finish" not in terminal.wait_for("s Stamp"), "no revision is partially applied"
    terminal.press("D")
    said = terminal.wait_for(rf"The schema matches {BEHIND} \(Update token column type\)\.")
    unwrapped = " ".join(said.split())
    assert "The version table is empty, so a migration would start with the first revision." in unwrapped
    assert "This is evidence, not proof" in said
    assert "this key sets the current revision" in unwrapped
    assert "magetui" not in said.partition("Evidence")[2], "flags are for the command line"
    terminal.press("escape")
    terminal.wait_for("SCHEMA SAYS")
    terminal.press("G")
    terminal.wait_for("c07a23ff782b  Add initial tables")
    terminal.press("g")
    terminal.wait_for(rf"{HEAD}  Create GenericJob +○ not applied +0 of 5")
    terminal.press("enter")
    terminal.wait_for(rf"^ {HEAD}  Create GenericJob")
    terminal.press("n", "n")
    terminal.wait_for(r"missing: not applied\W+missing +table generic_job")
    terminal.press("escape")
    terminal.wait_for("^ Evidence")
    assert pg_database.rows("select * from alembic_version") == []


def test_what_cannot_be_read_is_a_sentence_and_the_revision_is_shown(tmp_path: Path, open_terminal: OpenScreen) -> None:
    project = make_project(tmp_path / "project", linear(2), "postgresql://mage:hidden@127.0.0.1:1/mage")
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("CANNOT CONNECT")
    terminal.press("e")
    terminal.wait_for(r"The schema could not be examined\..*Check the\s+host and port")
    terminal.press("escape")
    terminal.wait_for("4 Log")
    terminal.press("2")
    terminal.wait_for("━2 Revisions")
    terminal.wait_for("Create t2")
    terminal.press("enter")
    terminal.wait_for(r"creates table t2 \(2 columns\)")
    terminal.wait_for(r"drops table t2")
    terminal.press("n", "n")
    terminal.wait_for(r"^ Evidence\W+Cannot use the database")
    assert b"hidden" not in terminal.output


def test_escape_codes_and_markup_in_a_script_are_shown_as_text(
    tmp_path: Path, open_terminal: OpenScreen, sqlite_database: SqliteDatabase
) -> None:
    script = Revision(
        "rev1",
        None,
        "Evil",
        upgrade=f'op.create_table("{EVIL}", sa.Column("id", sa.Integer))\nop.execute("UPDATE t SET a = \'{EVIL}\'")',
    )
    project = make_project(tmp_path / "project", [script], sqlite_database.url)
    [path] = project.versions.glob("*.py")
    path.write_text(path.read_text() + f"# {EVIL}".encode().decode("unicode_escape") + "\n")
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("EMPTY DATABASE")
    terminal.press("2")
    terminal.wait_for("Evil")
    terminal.press("enter")
    terminal.wait_for(rf"creates table {re.escape(EVIL)} \(1 column\)")
    terminal.wait_for(rf"runs SQL: UPDATE t SET a = '{re.escape(EVIL)}'")
    terminal.wait_for("nothing: it only sets the current revision")
    terminal.press("G")
    terminal.wait_for(rf"^ # {re.escape(EVIL)}")
    assert b"\x1b[31m\x07" not in terminal.output
