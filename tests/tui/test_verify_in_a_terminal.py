"""Verifying on the screen: asked before anything is built, told in full, offered before a stamp, stopped by leaving."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.mage import HEAD
from tests.support.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.conftest import ASKED, BEFORE_HEAD, NAME_ASKED, OpenScreen, agree, set_back

pytestmark = pytest.mark.slow

REPLAYING_SQL = "select pid from pg_stat_activity where application_name like 'magetui replay%'"


def test_verify_asks_first_and_tells_every_difference(mage: PostgresDatabase, terminal: Terminal) -> None:
    mage.rows("drop index ix_user_email")
    before = mage.content
    terminal.press("v")
    terminal.wait_for(ASKED)
    terminal.press("y", "v")
    terminal.wait_quiet()
    terminal.wait_for(ASKED)
    terminal.press("escape")
    terminal.wait_for("2 Revisions")
    terminal.press("v")
    terminal.wait_for("one transaction that is never committed")
    terminal.resize(40, 10)
    terminal.wait_for(r"Too small to\s+show")
    terminal.press("enter")  # blind, which is no consent
    terminal.wait_quiet()
    terminal.resize(80, 24)
    agree(terminal)
    terminal.wait_for(rf"The live schema has \d+ differences? from the schema of {HEAD} ", 30)
    terminal.wait_for(rf"^ Verify  {HEAD}  1 difference: 1 missing ")
    terminal.wait_for(r"EXPECTED ─+ LIVE .*^ +user\W+- index ix_user_email +unique: email +missing")
    mage.rows('create unique index ix_user_email on "user" (email)')
    terminal.press("r")
    agree(terminal)
    terminal.wait_for(rf"The live schema equals the schema of {HEAD} ", 30)
    mage.rows("drop index ix_user_email")
    assert mage.content == before


def test_a_stamp_offers_to_verify_its_revision_first(mage: PostgresDatabase, open_screen: OpenScreen) -> None:
    set_back(mage)
    terminal = open_screen(mage.url, until="BEHIND BY 1")
    terminal.press("s")
    terminal.wait_for("Which revision is the database at")
    terminal.press(*HEAD, "enter")
    terminal.wait_for(rf"doubt +The schema does not match {HEAD}\. The schema matches\s+{BEFORE_HEAD}")
    terminal.wait_for(rf"tab and v verify first that the schema is what {HEAD} makes")
    terminal.wait_for(NAME_ASKED)
    terminal.press("tab")
    terminal.wait_for("v Verify")
    terminal.press("v")
    terminal.wait_for("The verification comes first")
    screen = terminal.wait_for(ASKED)
    assert "type the database's name" not in screen  # one question at a time
    terminal.press("l")
    terminal.wait_for("^ Locks")
    terminal.press("escape")  # enter that is meant for the verification must not answer another question
    terminal.wait_for("The verification comes first")
    assert "type the database's name" not in terminal.wait_for(ASKED)
    terminal.press("escape")  # no verification
    terminal.wait_for(NAME_ASKED)
    terminal.press("tab")
    terminal.wait_for("v Verify")
    terminal.press("v")
    terminal.wait_for("The verification comes first")
    agree(terminal)
    terminal.wait_for(r"^ +generic_job\W+- the table +exists +missing", 30)
    terminal.wait_for(rf"The schema contradicts this stamp\. To continue, type the database's name:\s+{mage.name}")
    assert mage.current == [BEFORE_HEAD]
    terminal.press("escape")
    terminal.wait_for("2 Revisions")
    terminal.press("m")
    terminal.wait_for("migrate from")
    assert "v Verify" not in terminal.screen()


def test_read_only_says_where_else_it_could_be_built(mage: PostgresDatabase, open_screen: OpenScreen) -> None:
    terminal = open_screen(mage.url, "--read-only", until="UP TO DATE")
    terminal.press("v")
    terminal.wait_for("Nothing was verified")
    terminal.wait_for("--scratch-url")


def test_leaving_the_screen_stops_the_replay(
    pg_database: PostgresDatabase, open_terminal: OpenScreen, magetui: Magetui, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", (table(1),), pg_database.url)
    assert magetui("migrate", "--yes", "--config", project.ini).status == 0
    project.add(Revision("rev2", "rev1", "Sleep", 'op.execute("SELECT pg_sleep(50)")'))
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("BEHIND BY 1")
    terminal.press("s")
    terminal.wait_for("Which revision is the database at")
    terminal.press(*"rev2", "enter")
    terminal.wait_for("v verifies first")
    terminal.wait_for(ASKED)
    terminal.press("v")
    terminal.wait_for("scratch schema")
    agree(terminal)
    eventually(lambda: pg_database.rows(REPLAYING_SQL), 30)
    terminal.press("escape")
    eventually(lambda: not pg_database.rows(REPLAYING_SQL), 20)
    terminal.wait_for("2 Revisions")
