"""Sentences that people found untrue in a drill, each on the broken database of its case."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.drill.cases import CASES, Place
from tests.support.command import Magetui, Outcome
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.tui.conftest import OpenScreen, agree

pytestmark = pytest.mark.slow


@pytest.fixture
def place(
    request: pytest.FixtureRequest,
    magetui: Magetui,
    tmp_path: Path,
    pg_database: PostgresDatabase,
    sqlite_database: SqliteDatabase,
) -> Place:
    """The broken database of the case that the test names."""
    [case] = [case for case in CASES if case.name == request.param]
    database: Database = pg_database if case.dialect == "postgresql" else sqlite_database
    return case.build(magetui, tmp_path / "project", database)


def said(place: Place, *arguments: object) -> str:
    """Return what a command prints, on one line."""
    done: Outcome = place.magetui("--config", place.project.ini, "--url", place.database.url, *arguments)
    return " ".join(f"{done.stdout} {done.stderr}".split())


@pytest.mark.parametrize("place", ["two rows in the version table"], indirect=True)
def test_rows_that_contradict_each_other_lead_to_a_stamp_and_not_to_a_branch(place: Place) -> None:
    for verb in (("migrate",), ("rollback", "--revision", "-1"), ("rollback", "--revision", "b001@-1")):
        told = said(place, "plan", *verb)
        assert "has 2 rows (b001, b003), and not all of them can be right: one includes another." in told
        assert "Stamp the right revision first: magetui stamp R" in told


@pytest.mark.parametrize("place", ["a table of which only the copy is left"], indirect=True)
def test_a_table_of_which_only_the_copy_exists_is_not_said_to_be_there(place: Place, open_terminal: OpenScreen) -> None:
    terminal = open_terminal("--config", place.project.ini)
    terminal.wait_for("LEFTOVER TABLE")
    terminal.press("e")
    terminal.wait_for(r"book is gone, and only its copy _alembic_tmp_book exists\.")
    terminal.wait_for(r"X \(Clean up\) gives the copy its name back\.")
    terminal.press("G")
    terminal.wait_for(r"! table book +2 columns +only in the copy _alembic_tmp_book")
    terminal.press("v")
    terminal.wait_for(r"Of a table that is gone, the copy exists: _alembic_tmp_book\. See X \(Clean up\)\.")


@pytest.mark.parametrize("place", ["an invalid index"], indirect=True)
def test_an_invalid_index_is_not_said_to_be_missing(place: Place, open_terminal: OpenScreen) -> None:
    terminal = open_terminal("--config", place.project.ini)
    terminal.wait_for("INVALID INDEX")
    terminal.press("e")
    terminal.wait_for(r"X \(Clean up\)\s+plans what to do with the invalid index ix_loan_book\.")
    terminal.wait_for("X Clean up")
    terminal.press("g")
    terminal.wait_for(r"! SQL +CREATE INDEX CONCURRENTLY +ix_loan_book is invalid")


@pytest.mark.parametrize("place", ["the version table in another schema"], indirect=True)
def test_a_schema_without_tables_is_not_said_to_have_others(place: Place, open_terminal: OpenScreen) -> None:
    terminal = open_terminal("--config", place.project.ini)
    terminal.wait_for(r"VERSION TABLE ELSEWHERE · next c  connect to the schema library")
    terminal.press("e")
    terminal.wait_for(r"none of the tables of the scripts\. Tables with their names\s+exist in library\.")
    assert "Nothing can be verified here. None of the" in said(place, "verify", "--yes")


@pytest.mark.parametrize("place", ["half of a downgrade"], indirect=True)
def test_a_missing_table_has_no_lock_and_the_error_of_the_server(place: Place) -> None:
    told = said(place, "plan", "rollback", "--revision", "-1")
    with pytest.raises(Exception, match='table "reminder" does not exist'):
        place.sql("DROP TABLE reminder")
    assert 'The error would be: table "reminder" does not exist' in told
    locks = re.search(r"locks access exclusive on (.*?) fails", told)
    assert locks is not None and "reminder" not in locks[1], told


@pytest.mark.parametrize("place", ["the row of the version table is deleted"], indirect=True)
def test_a_stamp_is_not_asked_for_before_its_verification_is_over(place: Place, open_terminal: OpenScreen) -> None:
    terminal = open_terminal("--config", place.project.ini)
    terminal.wait_for("EMPTY VERSION TABLE · next s")
    terminal.press("s")
    terminal.wait_for("Do it?.*⏎ Do it")
    terminal.press("v")
    terminal.wait_for(r"The verification comes first\..*⏎ Do it")
    terminal.press("enter")
    terminal.wait_for("replaying 3 revisions|The live schema equals")
    terminal.press("enter")  # too early to be an answer to the stamp
    terminal.wait_for("The live schema equals the schema of b003")
    agree(terminal)
    terminal.wait_for("Current revision: b003")


@pytest.mark.parametrize("place", ["a session that is idle in a transaction"], indirect=True)
def test_rows_that_a_session_has_not_committed_are_no_loss_of_nothing(place: Place) -> None:
    assert isinstance(place.database, PostgresDatabase)
    rollback = ("plan", "rollback", "--revision", "-1")
    with place.database.session("INSERT INTO loan (book_id) VALUES (1)", "nightly") as session:
        told = said(place, *rollback)
        assert "loses no committed rows: the dropped tables and columns are empty" in told
        assert f"loses what {session.get_backend_pid()} has written there and may commit" in told
    with place.database.session("SELECT * FROM loan", "reporting"):
        assert "loses no rows: the dropped tables and columns are empty" in said(place, *rollback)
