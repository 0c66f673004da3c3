"""What a plan says beforehand: whom it locks out, what it loses, what would stop it; looking changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from magetui.engine.plan import make_plan
from magetui.engine.preview.preview import Preview, preview_plan
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.text import preview as previews
from tests.support.alembic_project import Revision, make_project
from tests.support.blocked import Sessions, sessions
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.every_version

FROM_ROLES = "117f8c3b9c42"  # before role and permission got their owners
FROM_STATUS = "e7beb59b44f9"  # before a value was added to blockrunstatus


@pytest.fixture
def mage(postgres: PostgresServer, mage_pg_url: str) -> PostgresDatabase:
    return PostgresDatabase(postgres, mage_pg_url.rpartition("/")[2])


@pytest.fixture
def crowd(mage: PostgresDatabase) -> Iterator[Sessions]:
    with sessions(mage) as made:
        yield made


def foretold(url: str, verb: str, revision: str, **selection: str) -> Preview:
    workspace = Workspace(Selection(url=url, trust=True, **selection))  # type: ignore[arg-type]
    with open_reading(workspace) as reading:
        return preview_plan(reading, make_plan(reading, verb, revision))  # type: ignore[arg-type]


def said(preview: Preview) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    for heading, text in previews.overview(preview):
        lines.setdefault(heading, []).append(text)
    return lines


@pytest.mark.slow
def test_rollback_names_the_tables_it_locks_and_the_values_it_loses(mage: PostgresDatabase, mage_home: str) -> None:
    mage.rows('INSERT INTO "user" (id) VALUES (1)')
    mage.rows(
        "INSERT INTO role (name, user_id) SELECT 'r' || i, CASE WHEN i <= 7 THEN 1 END FROM generate_series(1, 20) i"
    )
    mage.rows("ANALYZE")
    lines = said(foretold(mage.url, "rollback", FROM_ROLES, mage_path=str(mage_home)))
    assert lines["locks"][0].startswith("access exclusive on role (20 rows), user (1 row), ")
    assert lines["loses"] == ["column role.user_id, set in 7 rows"]
    assert lines["first"] == ["'magetui backup' saves the data that would be lost"]


@pytest.mark.slow
def test_rollback_that_a_row_would_stop_says_so_beforehand(mage: PostgresDatabase, mage_home: str) -> None:
    mage.rows("INSERT INTO block_run (block_uuid, status) VALUES ('b', 'CONDITION_FAILED')")
    lines = said(foretold(mage.url, "rollback", FROM_STATUS, mage_path=str(mage_home)))
    assert lines["fails"] == [
        "unless you first change the 1 row that has 'CONDITION_FAILED' in block_run.status: this value is removed"
    ]


def test_planning_changes_nothing_and_gets_past_every_lock_but_the_strongest(
    mage: PostgresDatabase, mage_home: str, crowd: Sessions
) -> None:
    mage.rows("INSERT INTO role (name) SELECT 'r' || i FROM generate_series(1, 20) i")
    before = mage.content
    tables = mage.rows("SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables WHERE schemaname = 'public'")
    # This lock lets ACCESS SHARE pass and nothing else (manual, table 13.2).
    crowd.holding(f"LOCK TABLE {tables[0][0]} IN EXCLUSIVE MODE")
    preview = foretold(mage.url, "rollback", "base", mage_path=str(mage_home))
    assert [loss.rows for loss in preview.losses.known if loss.table == "role" and loss.exact] == [20]
    assert all(one.holders for step in preview.steps for one in step.effects if one.effect.table == "role")
    assert mage.content == before


@pytest.mark.slow
def test_what_a_step_cannot_take_back_or_does_not_do_is_warned_of(pg_database: PostgresDatabase, tmp_path) -> None:  # type: ignore[no-untyped-def]
    revisions = [
        Revision("rev1", None, "One", 'op.create_table("item", sa.Column("id", sa.Integer, primary_key=True))'),
        Revision(
            "rev2",
            "rev1",
            "Two",
            'op.add_column("item", sa.Column("n", sa.Integer, nullable=False))\n'
            'with op.get_context().autocommit_block():\n    op.execute("VACUUM item")',
        ),
    ]
    project = make_project(tmp_path / "project", revisions, pg_database.url)
    pg_database.rows("CREATE TABLE item (id integer PRIMARY KEY)")
    pg_database.rows("INSERT INTO item SELECT generate_series(1, 200000)")
    pg_database.rows("ANALYZE item")
    pg_database.rows("CREATE TABLE alembic_version (version_num varchar(32))")
    pg_database.rows("INSERT INTO alembic_version VALUES ('rev1')")
    preview = foretold(pg_database.url, "migrate", "head", config=str(project.ini))
    [step] = preview.steps
    assert preview.fails == ("at rev2: item has 200,000 rows, and the new column n may not be null and has no default",)
    assert step.warnings == (
        "A part of it runs outside the transaction, and cannot be rolled back. The part before it is committed then, "
        "and stays if a later part fails.",
        "It reads all of item, a large table, while nobody can use it.",
    )


def test_a_rollback_says_which_enum_value_it_leaves(pg_database: PostgresDatabase, tmp_path: Path) -> None:
    revisions = [
        Revision("rev1", None, "One", "op.execute(\"CREATE TYPE state AS ENUM ('new')\")"),
        Revision("rev2", "rev1", "Two", "op.execute(\"ALTER TYPE state ADD VALUE 'late'\")", "pass"),
    ]
    project = make_project(tmp_path / "project", revisions, pg_database.url)
    pg_database.rows("CREATE TYPE state AS ENUM ('new', 'late')")
    pg_database.rows("CREATE TABLE alembic_version (version_num varchar(32))")
    pg_database.rows("INSERT INTO alembic_version VALUES ('rev2')")
    [step] = foretold(pg_database.url, "rollback", "rev1", config=str(project.ini)).steps
    assert "The value 'late' stays in the enum type state. A later migration fails on it." in step.warnings


@pytest.mark.slow
def test_sqlite_rollback_says_what_it_loses(mage_sqlite_url: str, mage_home: str) -> None:
    database = SqliteDatabase(mage_sqlite_url.removeprefix("sqlite:///"))  # type: ignore[arg-type]
    database.rows("INSERT INTO role (name, user_id) VALUES ('r', 1)")
    lines = said(foretold(mage_sqlite_url, "rollback", FROM_ROLES, mage_path=str(mage_home)))
    assert lines == {
        "loses": ["column role.user_id, set in 1 row"],
        "first": ["'magetui backup' saves the data that would be lost"],
    }
