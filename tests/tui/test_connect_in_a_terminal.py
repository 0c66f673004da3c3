"""The connect screen: from one database to another, by name, by URL and with a password, without losing the first."""

from __future__ import annotations

import re
import stat
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.mage import HEAD
from tests.support.postgres import HOST, PASSWORD, USER
from tests.support.terminal import Terminal
from tests.support.waiting import eventually
from tests.tui.conftest import BEFORE_HEAD, OpenScreen, set_back

pytestmark = pytest.mark.slow

FOOTER = "Connect.*URL or password"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Where a password is kept, for a command to print."""
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    return file


def bare(database: PostgresDatabase) -> str:
    """Its URL without the password."""
    return f"postgresql://{USER}@{HOST}:{database.server.port}/{database.name}"


def tried_at(terminal: Terminal) -> str:
    """When the attempt was made whose failure is told."""
    told = re.search(r"NOT CONNECTED +at ([\d:]{8})", terminal.screen())
    assert told is not None, terminal.screen()
    return told[1]


def test_from_a_file_to_production_by_name_and_back_with_all_that_can_go_wrong_on_the_way(
    mage: PostgresDatabase,
    mage_sqlite_url: str,
    open_screen: OpenScreen,
    own: Path,
    kept: Path,
    state_dir: Path,
) -> None:
    set_back(mage)
    own.write_text(
        "lock_timeout_seconds = 7\n"
        '[keys]\nmigrate = "M"\nconnect = "o"\n'
        f'[targets.prod-eu]\nurl = "{bare(mage)}"\npassword_command = ["cat", "{kept}"]\nproduction = true\n'
        'colour = "red"\ndescription = "Orchestration, Frankfurt"\n'
        f'[targets.locked]\nurl = "{bare(mage)}"\npassword_command = "cat {kept}.not-there"\n'
        f'[targets.bare]\nurl = "{bare(mage)}"\n'
    )
    terminal = open_screen(mage_sqlite_url, until="UP TO DATE")
    terminal.press("o")
    listed = terminal.wait_for(FOOTER)
    start = mage_sqlite_url.removeprefix("sqlite:///")[:40]
    for line in (rf"Initial database\n +{start}", r"prod-eu +PRODUCTION +mage@", r"locked +PRODUCTION"):
        assert re.search(line, listed), listed

    # A command that fails says so here; what was typed is kept, and so is the database.
    terminal.press(*"lock", "enter")
    failed = terminal.wait_for(r"NOT CONNECTED +at [\d:]{8}\s+The\s+password_command\s+of\s+target\s+locked\s+failed:")
    assert "find or URL  lock" in failed
    assert f"now {start}" in failed
    terminal.press("escape")
    terminal.wait_for(r"^ magetui  /.*UP TO DATE")
    terminal.press("o")
    terminal.wait_for(FOOTER)

    # A server that wants a password gets it typed, and a wrong one can be typed again.
    terminal.press(*"bare", "enter")
    terminal.wait_for(r"NOT CONNECTED .*needs\s+a\s+password,\s+and\s+none\s+is\s+known")
    terminal.press(*"wrong-one", "enter")
    terminal.wait_for(r"password\s+authentication\s+failed")
    first = tried_at(terminal)
    eventually(lambda: f"{datetime.now():%H:%M:%S}" > first)  # by which the two attempts are told apart
    terminal.press("enter")  # the same once more: that it was tried again is seen
    terminal.wait_gone(f"at {first}")
    terminal.wait_for(r"password\s+authentication\s+failed")
    assert tried_at(terminal) > first
    terminal.press(*PASSWORD, "enter")
    terminal.wait_for(r"BEHIND BY 1 · next M.*")
    assert "bare  PRODUCTION" in terminal.screen().splitlines()[0]  # another name of the same database

    # By its name, with the password of its command; a change wants the name typed though nothing is lost.
    terminal.press("o")
    terminal.wait_for(FOOTER)
    terminal.press(*"prod", "enter")
    terminal.wait_for(r"^ magetui  prod-eu  PRODUCTION  mage@")
    terminal.wait_for("BEHIND BY 1 · next M")
    terminal.press("M")
    asked = terminal.wait_for("This is prod-eu, which is PRODUCTION. To continue, type the database's name:")
    assert "Migrate   prod-eu  PRODUCTION" in asked
    assert "lock timeout 7 " in asked
    terminal.press(*"mag", "enter")
    terminal.wait_for("'mag' is not the database's name")
    assert mage.current == [BEFORE_HEAD]
    terminal.press("ctrl+u")  # alone: a key with a meaning is acted on after the letters that come with it
    terminal.wait_gone(r"^ mag ")
    terminal.press(*mage.name, "enter")
    terminal.wait_for("DONE")
    assert mage.current == [HEAD]
    terminal.press("escape")
    terminal.wait_for("UP TO DATE")

    # Back to the database of the start.
    terminal.press("o")
    terminal.wait_for(FOOTER)
    terminal.press(*"mage-ai.db", "enter")
    terminal.wait_for(r"^ magetui  /")
    terminal.press("q")
    assert terminal.wait_exit() == 0
    assert PASSWORD.encode() not in terminal.output
    recent = state_dir / "recent.json"
    assert stat.S_IMODE(recent.stat().st_mode) == 0o600
    assert PASSWORD not in recent.read_text()
    assert bare(mage) in recent.read_text()


def test_at_200_by_60_a_recent_target_is_found_again_and_a_slow_command_does_not_hold_up_the_screen(
    mage: PostgresDatabase,
    mage_sqlite_url: str,
    open_screen: OpenScreen,
    own: Path,
    tmp_path: Path,
) -> None:
    own.write_text(
        f'[targets.slow]\nurl = "{bare(mage)}"\npassword_command = "sleep 60"\n[targets.bare]\nurl = "{bare(mage)}"\n'
    )
    other = SqliteDatabase(tmp_path / "other.db")
    other.rows("create table t (id integer)")
    # A password that is missing from the start is asked for at once.
    terminal = open_screen(mage_sqlite_url, "--target", "bare", until="CANNOT CONNECT · next c", size=(200, 60))
    terminal.wait_for("next c  type the password")
    terminal.press("c")
    terminal.wait_for("NOT CONNECTED .* needs a password")
    terminal.press(*PASSWORD, "enter")
    terminal.wait_for("UP TO DATE.*source target bare of")
    terminal.press("c")
    terminal.wait_for(FOOTER)
    terminal.press(other.url, "enter")
    terminal.wait_for("NO VERSION TABLE")

    terminal.press("c")
    terminal.wait_for("Recent.*other.db +.*from the connect screen")
    terminal.press(*"slow", "enter")
    terminal.wait_for("connecting to mage@")
    terminal.press("ctrl+u")  # what follows is seen long before the command is given up on, after 30 s
    terminal.wait_for("find or URL  The database's URL")
    terminal.press(*"other")
    terminal.wait_for(r"find or URL  other")
    terminal.press("enter")
    terminal.wait_for("NO VERSION TABLE.*source the recent targets")

    # What is typed of a password is not seen, and escape leaves everything as it was.
    terminal.press("c")
    terminal.wait_for(FOOTER)
    terminal.press(*"postgresql://mage:verysecret@nowhere")
    terminal.wait_for(r"postgresql://mage:•{18}$")
    terminal.press("escape")
    terminal.wait_for("4 Log")
    assert "other.db" in terminal.screen().splitlines()[0]
    for secret in (b"verysecret", PASSWORD.encode()):
        assert secret not in terminal.output
    terminal.press("q")
    assert terminal.wait_exit() == 0


def test_what_a_projects_file_may_not_say_is_told_on_the_screen(
    mage_sqlite_url: str, open_screen: OpenScreen, own: Path, tmp_path: Path
) -> None:
    (tmp_path / "magetui.toml").write_text("python = './evil'\n")
    terminal = open_screen(mage_sqlite_url, until="Configuration.*'python' is ignored", size=(120, 40))
    terminal.press("c")
    terminal.wait_for(FOOTER)
    assert "'python' is ignored" not in terminal.screen(), "a notice does not cover the screen that is opened"
    terminal.press("escape")
    terminal.wait_for("4 Log.* config ")
    terminal.wait_for("UP TO DATE")


def test_two_keys_lead_to_the_schema_that_has_the_version_table(
    mage: PostgresDatabase, open_screen: OpenScreen
) -> None:
    mage.rows("CREATE SCHEMA empty")
    url = f"{mage.url}?options=-csearch_path%3Dempty"
    terminal = open_screen(url, until="VERSION TABLE ELSEWHERE.*next c")
    terminal.press("c")
    terminal.wait_for("Other schemas of this database")
    terminal.press("enter")
    terminal.wait_for(rf"UP TO DATE\s+current {HEAD}")


def test_f5_reads_the_state_of_every_database_in_the_list(
    open_terminal: OpenScreen, magetui: Magetui, own: Path, tmp_path: Path
) -> None:
    places = {name: SqliteDatabase(tmp_path / f"{name}.db") for name in ("first", "second")}
    project = make_project(tmp_path / "project", linear(3), places["first"].url)
    for name, until in (("first", "head"), ("second", "rev1")):
        done = magetui("--config", project.ini, "--url", places[name].url, "migrate", "--yes", "--revision", until)
        assert done.status == 0, done
    urls = {**{name: place.url for name, place in places.items()}, "away": "postgresql://mage@127.0.0.1:9/away"}
    own.write_text("".join(f'[targets.{n}]\nurl = "{url}"\nconfig = "{project.ini}"\n' for n, url in urls.items()))
    terminal = open_terminal("--target", "first")
    terminal.wait_for("UP TO DATE")
    terminal.press("c")
    assert "BEHIND" not in terminal.wait_for("f5 States")
    terminal.press("f5")
    terminal.wait_for(r"^ +away +CANNOT CONNECT ")
    terminal.wait_for(r"^ +first +UP TO DATE .*^ +second +BEHIND BY 2 ")
    terminal.press(*"sec", "enter")
    terminal.wait_for(r"^ magetui +second .*BEHIND BY 2")
