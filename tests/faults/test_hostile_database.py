"""A hostile database: reading it runs nothing of its users, whatever they name it, and still tells the truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from magetui.backends import backend_for
from tests.faults.hostile_database import TRAPPED, lay_traps
from tests.support.alembic_project import AlembicProject, Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase
from tests.support.postgres import PostgresServer
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

CHAIN = (
    Revision("base1", None, "First", 'op.create_table("t1", sa.Column("id", sa.Integer))', 'op.drop_table("t1")'),
    Revision(
        "drop2", "base1", "Drop", 'op.drop_column("t1", "note")', 'op.add_column("t1", sa.Column("note", sa.Text))'
    ),
)
READING = (
    ("diagnose",),
    ("diagnose", "--read-only"),
    ("plan", "migrate"),
    ("plan", "rollback", "--revision", "base"),
    ("evidence",),
    ("history",),
    ("schema",),
    ("schema", "t1"),
    ("locks",),
)
PATHS = {"as it comes": '"$user", public', "their names first": "public, pg_catalog"}


@pytest.fixture(params=PATHS)
def hostile(request: pytest.FixtureRequest, pg_database: PostgresDatabase) -> Iterator[PostgresDatabase]:
    """A database whose owner also chose the search_path of everybody who connects."""
    lay_traps(pg_database)
    pg_database.rows(f"alter database {pg_database.name} set search_path = {PATHS[request.param]}")
    yield pg_database
    pg_database.rows("drop event trigger if exists waits")


@pytest.fixture
def project(hostile: PostgresDatabase, tmp_path: Path) -> AlembicProject:
    return make_project(tmp_path / "project", CHAIN, hostile.url)


def trapped(server: PostgresServer, before: int) -> list[str]:
    return sorted({line.partition(TRAPPED)[2].strip() for line in server.log[before:].splitlines() if TRAPPED in line})


@pytest.mark.every_version
def test_reading_as_a_superuser_runs_no_function_of_a_lesser_role(
    magetui: Magetui, hostile: PostgresDatabase, project: AlembicProject
) -> None:
    before = len(hostile.server.log)
    for verb in READING:
        done = magetui("--config", project.ini, *verb)
        assert done.status in (0, 3), done
    found = magetui("--config", project.ini, "diagnose", "--json")
    assert found.json["current"] == ["base1"]
    assert trapped(hostile.server, before) == []


def test_the_traps_work_where_nobody_is_careful(hostile: PostgresDatabase) -> None:
    before = len(hostile.server.log)
    hostile.rows("select left(nspname, 3) from pg_namespace limit 1")
    hostile.rows("select version_num::text from alembic_version")
    assert {"cast", "function left(name, integer)"} <= set(trapped(hostile.server, before))


def test_policies_of_a_table_are_no_part_of_a_count(
    magetui: Magetui, hostile: PostgresDatabase, project: AlembicProject
) -> None:
    hostile.rows("create role reader_of_rows login password 'x'")
    before = len(hostile.server.log)
    try:
        url = make_url(hostile.url).set(username="reader_of_rows", password="x").render_as_string(hide_password=False)
        done = magetui("--config", project.ini, "--url", url, "plan", "migrate", "--json")
        assert trapped(hostile.server, before) == []
    finally:
        hostile.rows("drop role reader_of_rows")
    assert done.status == 0, done
    [loss] = done.json["losses"]
    assert loss["exact"] is False
    assert "row security policy" in str(loss), loss


def test_the_screen_runs_no_function_of_a_lesser_role(
    hostile: PostgresDatabase, project: AlembicProject, tmp_path: Path
) -> None:
    before = len(hostile.server.log)
    with Terminal(Magetui.command("--config", project.ini), (80, 24), {}, tmp_path) as terminal:
        terminal.wait_for("· next [me]")
        for key, shown in (("m", "drop2"), ("l", "locks|Locks|sessions"), ("e", "base1")):
            terminal.press(key)
            terminal.wait_for(shown)
            terminal.press("escape")
            terminal.wait_for("· next [me]")
    assert trapped(hostile.server, before) == []


def test_names_print_as_the_search_path_of_the_session_spells_them(hostile: PostgresDatabase) -> None:
    with backend_for(make_url(hostile.url)).reader(make_url(hostile.url), "test").connect() as connection:
        [detail] = backend_for(make_url(hostile.url)).table_details(connection, "public", "t1")
    assert [column.type for column in detail.columns] == ["integer", "text", "mood"]
