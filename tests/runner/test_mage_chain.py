"""Mage's real chain, all of it, up and down, on each kind of database."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from magetui.engine.diagnosis.diagnosis import Diagnosis
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.journals import journal, named
from tests.support.mage import COUNT, HEAD, migrate_with_alembic
from tests.support.readings import diagnose

pytestmark = pytest.mark.slow


def state(diagnosis: Diagnosis) -> tuple[tuple[str, ...], int, str]:
    """On PostgreSQL, Mage's rollbacks leave enum types behind, which are told first."""
    others = (finding.code for finding in diagnosis.findings if finding.code != "leftover-type")
    return diagnosis.current, len(diagnosis.pending), next(others)


@pytest.mark.timeout(600)
def test_forty_revisions_up_in_one_run_and_down_one_by_one(
    database: Database, mage_home: Path, magetui: Magetui
) -> None:
    workspace = Workspace(Selection(url=database.url, mage_path=str(mage_home)))
    assert state(diagnose(workspace)) == ((), COUNT, "empty-database")

    up = magetui("--mage-path", mage_home, "--url", database.url, "migrate", "--yes", "--json")
    assert up.status == 0, up
    assert up.json["outcome"] == "done"
    assert up.json["current_before"] == []
    assert up.json["current_after"] == [HEAD]
    assert len(up.json["steps"]) == COUNT
    assert {step["state"] for step in up.json["steps"]} == {"done"}
    assert state(diagnose(workspace)) == ((HEAD,), 0, "up-to-date")

    ids = [revision.revision for revision in workspace.chain.revisions]
    parents = {r.revision: r.down_revisions for r in workspace.chain.revisions}
    assert len(ids) == COUNT
    current: tuple[str, ...] = (HEAD,)
    for down in range(1, COUNT + 1):
        back = magetui(
            "--mage-path", mage_home, "--url", database.url, "rollback", "--revision", "-1", "--yes", "--json"
        )
        assert (back.status, back.json["outcome"], back.json["error"]) == (0, "done", None), back
        current = parents[current[0]]
        assert back.json["current_after"] == list(current)
        assert database.current == list(current)
        expected = "behind" if current else "empty-version-table"
        assert state(diagnose(workspace)) == (current, down, expected)
    assert current == ()

    command = magetui("--mage-path", mage_home, "--url", database.url, "diagnose")
    assert command.status == 3
    assert "empty-version-table" in command.stdout
    beyond = magetui("--mage-path", mage_home, "--url", database.url, "rollback", "--revision", "-1", "--yes")
    assert beyond.status == 4
    assert "there is nothing to go back from" in beyond.stderr


@pytest.mark.every_version
def test_migrate_makes_the_schema_that_alembic_alone_makes(
    database: Database, mage_home: Path, magetui: Magetui, tmp_path: Path
) -> None:
    done = magetui("--mage-path", mage_home, "--url", database.url, "migrate", "--yes")
    assert done.status == 0, done
    assert f"Done. Current revision: {HEAD}." in done.stdout
    if isinstance(database, SqliteDatabase):
        other = SqliteDatabase(tmp_path / "other.db")
        migrate_with_alembic(other.url, mage_home)
        sql = "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2"
        # Alembic's batch operations write a table's constraints in no fixed order.
        ours, theirs_ = (
            [(*row[:2], sorted(line.strip(" \t,") for line in str(row[2]).split("\n"))) for row in one.rows(sql)]
            for one in (database, other)
        )
        assert ours == theirs_
    else:
        theirs = PostgresDatabase(database.server, database.server.create_database().rpartition("/")[2])
        migrate_with_alembic(theirs.url, mage_home)
        assert database.content == theirs.content
        database.server.drop_database(theirs.name)


@pytest.mark.every_version
def test_one_step_back_and_forth_on_the_command_line(database: Database, mage_home: Path, magetui: Magetui) -> None:
    migrate_with_alembic(database.url, mage_home)
    common = ("--mage-path", mage_home, "--url", database.url)
    down = magetui(*common, "rollback", "--revision", "-1", "--yes")
    assert down.status == 0, down
    assert "downgrade 39d36f1dab73  Create GenericJob" in down.stderr
    assert "Done. Current revision: 0227396a216c." in down.stdout
    assert database.current == ["0227396a216c"]
    behind = magetui(*common, "diagnose", "--json")
    assert behind.status == 3
    assert behind.json["pending"] == [HEAD]
    *others, last = behind.json["findings"]
    assert last["code"] == "behind"
    is_sqlite = isinstance(database, SqliteDatabase)
    assert last["next"] == ("migrate" if is_sqlite else "clean"), "what would fail is not what comes next"
    if is_sqlite:
        assert others == []
        return
    # On PostgreSQL, Mage's rollback leaves the enum types behind, on which its migrate fails.
    assert [finding["code"] for finding in others] == ["leftover-type", "leftover-type"]
    assert {finding["facts"]["name"] for finding in others} == {"public.jobstatus", "public.jobtype"}
    planned = magetui(*common, "plan", "migrate", "--json").json
    assert [re.findall("the enum type (\\w+) exists already", one) for one in planned["fails"]] == [
        ["jobtype"],
        ["jobstatus"],
    ]
    for finding in others:
        assert finding["facts"]["revisions"] == [HEAD]
        database.rows(finding["facts"]["sql"])
    up = magetui(*common, "migrate", "--yes")
    assert up.status == 0, up
    assert database.current == [HEAD]


def test_stamp_back_and_forth_touches_the_current_revision_alone(
    database: Database, mage_home: Path, magetui: Magetui, state_dir: Path
) -> None:
    migrate_with_alembic(database.url, mage_home)
    common = ("--mage-path", mage_home, "--url", database.url)

    def content() -> str | list[tuple[object, ...]]:
        if isinstance(database, SqliteDatabase):  # the current revision's page is rewritten, so that bytes may differ
            return database.rows("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2")
        return database.content

    before = content()
    for revision, current in (
        ("1a737bdee53b", ["1a737bdee53b"]),
        ("c07a", ["c07a23ff782b"]),
        ("base", []),
        ("42a14d6143f1", ["42a14d6143f1"]),
        ("head", [HEAD]),
    ):
        stamped = magetui(*common, "stamp", revision, "--yes", "--json")
        assert stamped.status == 0, stamped
        assert stamped.json["outcome"] == "done"
        assert stamped.json["current_after"] == current == database.current
    assert content() == before
    for number in range(1, 6):
        statements = named(journal(state_dir, number), "statement-started")
        assert statements
        assert all("alembic_version" in event["sql"] for event in statements)

    again = magetui(*common, "stamp", "head", "--yes")
    assert again.status == 0
    assert journal(state_dir, 6) == []  # nothing to do, so no run


def test_types_left_behind_by_a_rollback_stop_the_next_migrate_and_nothing_else_happens(
    pg_database: PostgresDatabase, mage_home: Path, magetui: Magetui
) -> None:
    migrate_with_alembic(pg_database.url, mage_home)
    common = ("--mage-path", mage_home, "--url", pg_database.url)
    assert magetui(*common, "rollback", "--revision", "base", "--yes").status == 0
    before = pg_database.content
    assert "CREATE TYPE" in before  # Mage's downgrades do not drop them

    failed = magetui(*common, "migrate", "--yes")
    assert failed.status == 1, failed
    assert "already exists" in failed.stdout
    assert "c07a23ff782b_add_initial_tables.py, line " in failed.stdout
    assert "The database is unchanged. Current revision: nothing." in failed.stdout
    assert pg_database.content == before


def test_rollback_over_the_revision_of_a_type_and_migrate_again(
    pg_database: PostgresDatabase, mage_home: Path, magetui: Magetui
) -> None:
    migrate_with_alembic(pg_database.url, mage_home)
    common = ("--mage-path", mage_home, "--url", pg_database.url)
    assert magetui(*common, "rollback", "--revision", "-1", "--yes").status == 0
    before = pg_database.content

    failed = magetui(*common, "migrate", "--yes", "--json")
    assert failed.status == 1, failed
    assert failed.json["outcome"] == "failed"
    assert 'type "jobtype" already exists' in failed.json["error"]
    assert failed.json["unchanged"] is True
    assert failed.json["current_after"] == ["0227396a216c"]
    assert pg_database.content == before
