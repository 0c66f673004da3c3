"""The recovery path as its user walks it: on a real pseudo-terminal, with keys, on a real database."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import psycopg2.sql
import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.mage import HEAD
from tests.support.postgres import PASSWORD
from tests.support.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.conftest import A_JOB, ASKED, BEFORE_HEAD, OpenScreen, agree, roll_back, set_back, waited

pytestmark = pytest.mark.slow

TO_BEFORE_USER_PREFERENCES = "847ea6602d6f"  # going back to it drops user.preferences


@pytest.mark.every_version
def test_open_read_the_state_roll_back_one_with_consent_see_it_in_the_log_and_quit(
    mage: PostgresDatabase, terminal: Terminal
) -> None:
    terminal.wait_for(rf"▶ ● {HEAD}")
    terminal.press("b")
    terminal.wait_for(f"rollback from {HEAD} to {BEFORE_HEAD}: 1 step")
    terminal.wait_for("DROP TABLE generic_job")
    agree(terminal)  # no table or column that it drops has a row
    terminal.wait_for(rf"DONE\s+Current revision: {BEFORE_HEAD}")
    assert mage.current == [BEFORE_HEAD]
    terminal.press("escape")
    terminal.wait_for("BEHIND BY 1")
    terminal.press("4")
    terminal.wait_for(rf"rollback +run 1: done, {HEAD} → {BEFORE_HEAD}")
    terminal.press("q")
    assert terminal.wait_exit() == 0
    assert terminal.modes_after == terminal.modes_before
    left = terminal.output.rpartition(b"\x1b[?1049l")[2]
    assert b"\x1b[?1049h" not in left, "the alternate screen is left at the end"
    assert terminal.output.rfind(b"\x1b[?25h") > terminal.output.rfind(b"\x1b[?25l"), "the cursor is back"
    for mouse in (b"1000", b"1003", b"1006"):
        on, off = terminal.output.rfind(b"\x1b[?%sh" % mouse), terminal.output.rfind(b"\x1b[?%sl" % mouse)
        assert off > on, "the mouse is the terminal's again"
    assert PASSWORD.encode() not in terminal.output


def test_a_lock_timeout_shows_live_while_it_is_waited_for(mage: PostgresDatabase, terminal: Terminal) -> None:
    with mage.session('select * from "user"') as holder:
        roll_back(terminal, mage.name, TO_BEFORE_USER_PREFERENCES, timeout=10, steps="21 steps")
        terminal.wait_for(r"WAITING +for access exclusive on user")
        terminal.wait_for(rf"{holder.info.backend_pid} +mage-server")
        first = eventually(lambda: waited(terminal, 10))
        eventually(lambda: waited(terminal, 10) > first)
        terminal.wait_for("LOCK TIMEOUT", 30)
        terminal.wait_for(rf"The database is\s+unchanged\.\s+Current\s+revision: {HEAD}")
        terminal.wait_for("next  l  see the blockers, which have to end, then   p  plan again")
        terminal.wait_for("^l Locks  p Plan again  esc Close  .*Help$")
        terminal.press("K")  # nobody is at the cursor any more
        terminal.press("l")
        terminal.wait_for(rf"Locks.*{holder.info.backend_pid} +mage-server")
        terminal.press("escape")
        terminal.wait_for("p Plan again")
    terminal.press("p")
    terminal.wait_for(f"rollback from {HEAD} to {TO_BEFORE_USER_PREFERENCES}: 21 steps")
    terminal.press("escape")
    terminal.wait_for("p Plan again")
    assert mage.current == [HEAD]
    terminal.press("escape")
    terminal.wait_for("4 Log")
    terminal.press("u")
    terminal.wait_for(rf"lock timeout.*current revision stayed {HEAD} \(wanted {TO_BEFORE_USER_PREFERENCES}\)")


def test_a_run_that_waits_is_cancelled_by_a_key_and_nothing_has_changed(
    mage: PostgresDatabase, terminal: Terminal
) -> None:
    with mage.session("select * from generic_job"):
        terminal.press("b")
        terminal.wait_for("1 step")
        agree(terminal)
        terminal.wait_for("WAITING")
        terminal.press("x")
        terminal.wait_for("CANCELLED")
        terminal.wait_for(rf"The database is\s+unchanged\.\s+Current\s+revision: {HEAD}")
        terminal.wait_for("next  p  plan again   e  compare the schema")


def test_the_line_drops_while_a_run_waits_the_run_goes_on_and_is_offered_again(
    magetui: Magetui, mage: PostgresDatabase, open_screen: OpenScreen, terminal: Terminal
) -> None:
    with mage.session("select * from generic_job") as holder:
        roll_back(terminal, mage.name, BEFORE_HEAD, timeout=120, steps="1 step")
        terminal.wait_for("WAITING")
        terminal.hang_up()
        terminal.wait_exit()
        again = open_screen(mage.url, until=r"Run 1 \(rollback\) continues")
        again.press("u")
        again.wait_for("1 on record")
        again.press("enter")
        again.wait_for("WAITING")
        holder.rollback()
        again.wait_for(rf"DONE\s+Current revision: {BEFORE_HEAD}")
    assert magetui("runs", "1", "--json").json["outcome"] == "done"


def test_no_letter_consents_and_leaving_the_plan_changes_nothing(
    mage: PostgresDatabase, open_screen: OpenScreen
) -> None:
    set_back(mage)
    terminal = open_screen(mage.url, until="BEHIND BY 1")
    terminal.press("m")
    terminal.wait_for(ASKED)
    terminal.press("y", "Y", "n", "d", "x")
    terminal.wait_quiet()
    terminal.wait_for(ASKED)
    assert mage.current == [BEFORE_HEAD]
    terminal.press("escape")
    terminal.wait_for("2 Revisions")
    assert mage.current == [BEFORE_HEAD]
    terminal.press("4")
    terminal.wait_for("diagnose")
    assert "migrate" not in terminal.screen().split("4 Log")[1].replace("m Migrate", "").replace("'migrate'", "")


def test_what_destroys_data_wants_the_databases_name_not_just_any_key(
    mage: PostgresDatabase, terminal: Terminal
) -> None:
    mage.rows(A_JOB)
    terminal.press("b")
    terminal.wait_for("This destroys data. To continue, type the database's name")
    terminal.press(*"yes", "enter")
    terminal.wait_for("'yes' is not the database's name. It is:")
    terminal.press("tab")
    terminal.wait_for("i Options")  # the field is left
    terminal.press("enter", "y", "enter")
    terminal.wait_quiet()
    assert mage.current == [HEAD]


def test_a_terminal_of_20_by_5_says_that_it_is_too_small_and_recovers_when_made_larger(
    mage: PostgresDatabase, open_screen: OpenScreen
) -> None:
    terminal = open_screen(mage.url, size=(20, 5), until="too\\s+small")
    terminal.resize(80, 24)
    terminal.wait_for("UP TO DATE")
    terminal.resize(20, 5)
    terminal.wait_for("too\\s+small")
    terminal.press("q")
    assert terminal.wait_exit() == 0


def test_at_200_by_60_all_panes_are_in_view(mage: PostgresDatabase, open_screen: OpenScreen) -> None:
    terminal = open_screen(mage.url, size=(200, 60), until="UP TO DATE")
    terminal.wait_for("generic_job")
    screen = terminal.screen()
    for words in ("UP TO DATE", "2 Revisions · 40", "3 Schema · 19 tables", "4 Log", "526c4523d5d5", "m Migrate"):
        assert words in screen


def test_every_pane_is_reached_and_filtered_by_keys_alone_at_80_by_24(
    mage: PostgresDatabase, open_screen: OpenScreen
) -> None:
    terminal = open_screen(mage.url, "--no-mouse", until="UP TO DATE")
    terminal.wait_for("3 Schema · 19 tables")
    terminal.press("3")
    terminal.wait_for("▸ backfill")
    terminal.press("/", *"oauth2_acc")  # at once: what follows the key belongs to the field
    terminal.wait_for("oauth2_acc +1 of 19")
    terminal.press("enter")
    terminal.wait_gone("pipeline_run")
    terminal.press("enter")
    terminal.wait_for(r"refresh_token +text")
    terminal.press("escape")
    terminal.wait_for(r"oauth2_acc +1 of 19")
    terminal.press("escape")
    terminal.wait_gone("1 of 19")
    terminal.press("g")
    terminal.wait_for("backfill")
    terminal.press("2")
    terminal.wait_for("Create GenericJob")
    terminal.press("/")
    terminal.wait_for("^.*find")
    terminal.press(*"zzz", "enter")
    terminal.wait_for("nothing matches 'zzz'; esc clears")
    terminal.press("escape")
    terminal.wait_for("Create GenericJob")
    terminal.press("/")
    terminal.wait_for("^.*find")
    terminal.press(*"secret", "enter")
    terminal.wait_gone("Create GenericJob")
    terminal.press("enter")
    terminal.wait_for("Revision ID: ")
    terminal.press("escape")
    terminal.wait_for("2 Revisions")
    terminal.press("1")
    terminal.wait_for("source MAGE_DATABASE_CONNECTION_URL")
    terminal.press("?")
    terminal.wait_for("The state of the database's migrations")
    terminal.press("escape")
    terminal.wait_gone("The state of the database's migrations")
    terminal.press(":")
    terminal.wait_for("Search for commands")
    terminal.press(*"locks", "enter")
    terminal.wait_for("Locks +0 sessions  0 waiting")
    assert b"\x1b[?1000h" not in terminal.output, "--no-mouse leaves the mouse to the terminal"


def test_help_says_verbs_once_and_first_where_their_keys_act(mage: PostgresDatabase, open_screen: OpenScreen) -> None:
    terminal = open_screen(mage.url, size=(100, 64), until="UP TO DATE")
    terminal.press("?")
    terminal.wait_for("The chain of migration scripts")
    verbs, _, keys = terminal.wait_for(r"q +Quit").partition("Keys")
    assert re.search(r"m +migrate +upgrade the database", verbs)
    assert "upgrade the database" not in keys
    assert re.search(r"r +read everything again", keys)
    terminal.press("escape")
    terminal.wait_gone("The chain of migration scripts")
    terminal.press("l")
    terminal.wait_for("0 sessions")
    terminal.press("?")
    assert re.search(r"Keys[\s\S]+Verbs, on the main screen", terminal.wait_for("upgrade the database"))


def test_a_host_that_never_answers_leaves_the_screen_alive(open_screen: OpenScreen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        terminal = open_screen(f"postgresql://mage:hidden@127.0.0.1:{port}/mage?connect_timeout=3", until="4 Log")
        terminal.press("?")
        terminal.wait_for("The chain of migration scripts")
        terminal.press("escape")
        terminal.wait_for("CANNOT CONNECT", 30)
        terminal.press("1")
        terminal.wait_for("timeout expired")
        assert b"hidden" not in terminal.output


def test_names_with_escape_codes_and_markup_are_shown_as_text(mage: PostgresDatabase, open_screen: OpenScreen) -> None:
    name = psycopg2.sql.Identifier("evil[bold]\x1b[31m\x07red")
    mage.server.execute(mage.name, psycopg2.sql.SQL("create table {} (id int)").format(name))
    terminal = open_screen(mage.url, until="UP TO DATE")
    terminal.press("3")
    terminal.wait_for(re.escape(r"evil[bold]\x1b[31m\x07red"))
    assert b"\x1b[31m\x07" not in terminal.output


def test_the_evidence_starts_on_the_revision_that_matches_so_that_stamp_plans_what_it_advises(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path, open_terminal: OpenScreen
) -> None:
    project = make_project(tmp_path / "project", linear(3), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev2", "--yes").status == 0
    sqlite_database.rows("update alembic_version set version_num = 'rev3'")
    terminal = open_terminal("--config", project.ini)
    terminal.wait_for("EVIDENCE CONTRADICTS")
    terminal.press("e")
    terminal.wait_for(r"s \(Stamp\) for rev2")
    terminal.press("s")
    terminal.wait_for("the current revision rev3 becomes rev2")
