"""Rows that lie in wait: values that a terminal would obey, values without end, names that need quotes, credentials."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from magetui.backends import backend_for
from magetui.engine.table import first_rows
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.schema import Binary, FirstRows, Hidden, Table
from tests.faults.hostile_database import TRAPPED, lay_traps
from tests.faults.test_escape_codes import HOSTILE, OBEYED
from tests.support.alembic_project import linear, make_project
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.terminal import Terminal

pytestmark = pytest.mark.slow

NAME = "%(name)s {name} '\"; drop table t1; --"
QUOTED = '"' + NAME.replace('"', '""') + '"'
PATHS = {"as it comes": '"$user", public', "their names first": "public, pg_catalog"}
OSC = re.compile(rb"\x1b\]0;owned")


def read(url: str, table: Table) -> FirstRows:
    return first_rows(Workspace(Selection(url=url), {}), table)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_reading_rows_runs_no_function_of_a_lesser_role(pg_database: PostgresDatabase, path: str) -> None:
    lay_traps(pg_database)
    pg_database.rows(f"alter database {pg_database.name} set search_path = {path}")
    pg_database.rows("insert into other.words values (null)")
    before = len(pg_database.server.log)
    backend = backend_for(make_url(pg_database.url))
    try:
        with backend.reader(make_url(pg_database.url), "test").connect() as connection:
            tables = backend.tables(connection)
            found = {table.name: backend.first_rows(connection, table) for table in tables}
    finally:
        pg_database.rows("drop event trigger if exists waits")
    assert {name: rows.problem for name, rows in found.items() if rows.problem} == {}
    assert found["t1"].rows == (("1", "a", "base1"), ("2", "b", "sad"))
    log = pg_database.server.log[before:]
    assert [line for line in log.splitlines() if TRAPPED in line] == []


def test_a_policy_that_would_hide_rows_is_reported(pg_database: PostgresDatabase) -> None:
    pg_database.rows("create table t (id integer); alter table t enable row level security; insert into t values (1)")
    pg_database.rows("create role reader_of_policies login password 'x'; grant select on t to reader_of_policies")
    url = make_url(pg_database.url).set(username="reader_of_policies", password="x")
    try:
        found = read(url.render_as_string(hide_password=False), Table("public", "t", None, None))
        assert found.problem == "a row security policy of the table hides rows from this role"
        pg_database.rows("alter table t disable row level security; revoke select on t from reader_of_policies")
        found = read(url.render_as_string(hide_password=False), Table("public", "t", None, None))
        assert found.problem == "this role may not read the table"
    finally:
        pg_database.rows("drop owned by reader_of_policies; drop role reader_of_policies")


def test_values_of_postgresql_are_cut_by_the_server(pg_database: PostgresDatabase) -> None:
    pg_database.rows(
        f"create table {QUOTED} (id bigint, note text, data bytea, doc jsonb, api_key text, {QUOTED} varchar, gone int)"
    )
    pg_database.rows(f"alter table {QUOTED} drop column gone")
    pg_database.rows(
        f"insert into {QUOTED} select 1, repeat('é', 2000000), decode(repeat('ab', 1000), 'hex'), "
        f"jsonb_build_object('a', repeat('x', 1000)), 'KEYMARKER', ''"
    )
    pg_database.rows(f"insert into {QUOTED} select n from generate_series(2, 51) n")
    found = read(pg_database.url, Table("public", NAME, None, None))
    assert found.columns == ("id", "note", "data", "doc", "api_key", NAME)
    first, *others = found.rows
    assert first == ("1", "é" * 41, Binary("ab" * 16, 1000), '{"a": "' + "x" * 34, Hidden(), "")
    assert (len(others), others[-1], found.has_more) == (49, ("50", None, None, None, None, None), True)


def test_values_of_sqlite_are_cut_by_sqlite(sqlite_database: SqliteDatabase) -> None:
    sqlite_database.rows(f"create table {QUOTED} (id, note, data, api_token, {QUOTED})")
    sqlite_database.rows(
        f"insert into {QUOTED} "
        "values (1, printf('%.*c', 3000000, 'x'), zeroblob(5000), 'KEYMARKER', cast(x'61ff' as text))"
    )
    sqlite_database.rows(f"insert into {QUOTED} values (2.5, 'b 1', x'', null, null)")
    found = read(sqlite_database.url, Table(None, NAME, None, None))
    assert found.columns == ("id", "note", "data", "api_token", NAME)
    assert found.rows == (
        ("1", "x" * 41, Binary("00" * 16, 5000), Hidden(), "a\udcff"),
        ("2.5", "b 1", Binary("", 0), None, None),
    )
    assert found.has_more is False


def test_the_screen_shows_control_characters_of_values_as_text(
    pg_database: PostgresDatabase, magetui: Magetui, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", linear(1), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    pg_database.rows(f'create table a0 (id integer, "{HOSTILE}" text)')
    pg_database.rows(f"insert into a0 values (1, E'a\\nb{HOSTILE}')")
    with Terminal(Magetui.command("--config", project.ini), (120, 30), {}, tmp_path) as terminal:
        terminal.wait_for("a0")
        terminal.press("3")
        terminal.wait_for("━ *3 Schema")
        terminal.press("enter")
        terminal.wait_for(r"public\.a0.+COLUMN")
        terminal.press("space")
        screen = terminal.wait_for(re.escape(r"a\nbx\x1b]0;owned\x07\x9b31m\x08"))
        assert OBEYED.search(screen) is None
        assert OSC.search(terminal.output) is None
