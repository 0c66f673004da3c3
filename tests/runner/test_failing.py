"""A revision that fails in the middle of an upgrade: all is as it was, and the script's line is named."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from magetui.engine.errors import MagetuiError
from magetui.engine.runs import follow, start
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.journals import journal
from tests.support.mage import HEAD, SCRIPTS, migrate_with_alembic
from tests.support.readings import make_plan

pytestmark = pytest.mark.slow

WRONG = 'op.add_column("no_such_table", sa.Column("extra", sa.Integer))'


def third(lines: str) -> Revision:
    return Revision(id="rev3", down="rev2", message="Create t3 and fail", upgrade=lines)


def broken_project(directory: Path, database: Database, lines: str) -> AlembicProject:
    """rev1 and rev2 are good; rev3's upgrade is `lines`."""
    return make_project(directory, (*linear(2), third(lines)), database.url)


def line_of(path: Path, words: str) -> int:
    return next(n for n, line in enumerate(path.read_text().splitlines(), start=1) if words in line)


def prepare(database: Database, magetui: Magetui, project: AlembicProject) -> str:
    """rev1 is applied and its table has rows; the content as it is then."""
    done = magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes")
    assert done.status == 0, done
    database_rows = "INSERT INTO t1 (id, name) VALUES (1, 'one'), (2, 'two')"
    if isinstance(database, SqliteDatabase):
        with closing(sqlite3.connect(database.path)) as connection:
            connection.execute(database_rows)
            connection.commit()
    else:
        database.rows(database_rows)
    return database.content


@pytest.mark.parametrize(
    ("lines", "words", "said"),
    [
        pytest.param(
            f'op.create_table("t3", sa.Column("id", sa.Integer))\nop.drop_table("t1")\n{WRONG}',
            "no_such_table",
            "no_such_table",
            id="statement",
        ),
        pytest.param(
            'op.create_table("t3", sa.Column("id", sa.Integer))\n'
            'op.execute("UPDATE t1 SET name = \'gone\'")\nraise ValueError("not with this data")',
            "raise ValueError",
            "ValueError: not with this data",
            id="python",
        ),
        pytest.param(
            'op.create_table("t3", sa.Column("id", sa.Integer))\nraise SystemExit(3)',
            "raise SystemExit",
            "ended the process with status 3",
            id="exit",
        ),
    ],
)
def test_failing_revision_leaves_the_database_as_it_was_and_its_line_is_named(
    database: Database, magetui: Magetui, tmp_path: Path, lines: str, words: str, said: str
) -> None:
    project = broken_project(tmp_path / "project", database, lines)
    before = prepare(database, magetui, project)

    failed = magetui("--config", project.ini, "migrate", "--yes")
    assert failed.status == 1, failed
    assert "rolled back upgrade   rev2" in failed.stdout
    assert "stopped     upgrade   rev3" in failed.stdout
    assert said in failed.stdout
    script = project.versions / third(lines).file_name
    assert f"At {script}, line {line_of(script, words)}." in failed.stdout
    assert "The database is unchanged. Current revision: rev1." in failed.stdout
    assert database.content == before

    found = magetui("--config", project.ini, "diagnose", "--json")
    assert found.json["current"] == ["rev1"]
    assert [f["code"] for f in found.json["findings"]] == ["behind"]


def test_first_migrate_that_fails_leaves_an_empty_database(
    database: Database, magetui: Magetui, tmp_path: Path
) -> None:
    project = broken_project(tmp_path / "project", database, WRONG)
    failed = magetui("--config", project.ini, "migrate", "--yes", "--json")
    assert failed.status == 1, failed
    assert failed.json["unchanged"] is True
    assert failed.json["current_after"] == []
    found = magetui("--config", project.ini, "diagnose", "--json")
    assert [f["code"] for f in found.json["findings"]] == ["empty-database"]


def test_mended_script_migrates_to_the_end_afterwards(database: Database, magetui: Magetui, tmp_path: Path) -> None:
    project = broken_project(tmp_path / "project", database, WRONG)
    prepare(database, magetui, project)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 1
    mended = third('op.create_table("t3", sa.Column("id", sa.Integer))')
    project.add(mended)
    done = magetui("--config", project.ini, "migrate", "--yes")
    assert done.status == 0, done
    assert database.current == ["rev3"]


@pytest.fixture
def broken_mage(mage_home: Path, tmp_path: Path) -> Path:
    """Mage as it is installed, but its last revision but one fails after it has made its table."""
    home = tmp_path / "site-packages"
    package, theirs = home / "mage_ai", mage_home / "mage_ai"
    package.mkdir(parents=True)
    for entry in theirs.iterdir():
        if entry.name != "orchestration":
            (package / entry.name).symlink_to(entry)
    shutil.copytree(mage_home / SCRIPTS, home / SCRIPTS)
    script = home / SCRIPTS / "versions" / "0227396a216c_add_userproject_table.py"
    text = script.read_text()
    assert "\n\n\ndef downgrade" in text
    script.write_text(text.replace("\n\n\ndef downgrade", f"\n    {WRONG}\n\n\ndef downgrade", 1))
    return home


def test_mage_revision_that_fails_leaves_the_database_as_it_was(
    database: Database, magetui: Magetui, mage_home: Path, broken_mage: Path
) -> None:
    migrate_with_alembic(database.url, mage_home, "526c4523d5d5")
    before = database.content
    failed = magetui("--mage-path", broken_mage, "--url", database.url, "migrate", "--yes")
    assert failed.status == 1, failed
    script = broken_mage / SCRIPTS / "versions" / "0227396a216c_add_userproject_table.py"
    assert f"At {script}, line {line_of(script, 'no_such_table')}." in failed.stdout
    assert "The database is unchanged. Current revision: 526c4523d5d5." in failed.stdout
    assert "rolled back upgrade   42a14d6143f1" in failed.stdout
    assert "1 more not started" in failed.stdout
    assert database.content == before
    # With the script mended, which is what a new release brings, all of it goes through.
    done = magetui("--mage-path", mage_home, "--url", database.url, "migrate", "--yes")
    assert done.status == 0, done
    assert database.current == [HEAD]


def test_failure_late_in_mages_chain_leaves_an_empty_sqlite_file_empty(
    sqlite_database: SqliteDatabase, magetui: Magetui, broken_mage: Path
) -> None:
    with closing(sqlite3.connect(sqlite_database.path)) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.commit()
    before = sqlite_database.content
    failed = magetui("--mage-path", broken_mage, "--url", sqlite_database.url, "migrate", "--yes")
    assert failed.status == 1, failed
    assert "The database is unchanged. Current revision: nothing." in failed.stdout
    assert sqlite_database.content == before


def test_what_a_revision_committed_by_itself_stays_and_is_told(
    pg_database: PostgresDatabase, magetui: Magetui, broken_mage: Path, mage_home: Path
) -> None:
    # Three of Mage's revisions add a value to an enum type in an autocommit block: that commits the rest too.
    failed = magetui("--mage-path", broken_mage, "--url", pg_database.url, "migrate", "--yes")
    assert failed.status == 1, failed
    current = pg_database.current
    assert current == ["e7beb59b44f9"]  # dfe49d040487 is the last of the three
    assert f"Part of the run was committed and stays. Current revision: {current[0]}." in failed.stdout
    assert "unchanged" not in failed.stdout
    found = magetui("--mage-path", mage_home, "--url", pg_database.url, "diagnose", "--json").json
    assert found["current"] == current
    # The value is there already, and Mage's revision does not say IF NOT EXISTS: it cannot run again.
    common = ("--mage-path", mage_home, "--url", pg_database.url)
    before = pg_database.content
    again = magetui(*common, "migrate", "--yes")
    assert again.status == 1, again
    assert 'enum label "CONDITION_FAILED" already exists' in again.stdout
    assert "The database is unchanged. Current revision: e7beb59b44f9." in again.stdout
    assert pg_database.content == before
    # Adding the value was all that the revision does: so the current revision may say that it is applied.
    assert magetui(*common, "stamp", "dfe49d040487", "--yes").status == 0
    finished = magetui(*common, "migrate", "--yes")
    assert finished.status == 0, finished
    assert pg_database.current == [HEAD]


def test_scripts_that_changed_since_the_plan_are_not_run(
    database: Database, magetui: Magetui, tmp_path: Path, state_dir: Path
) -> None:
    project = make_project(tmp_path / "project", linear(2), database.url)
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    before = database.content
    plan = make_plan(workspace, "migrate", "rev2")
    between = Revision(id="between", down="rev1", message="Slipped in", upgrade='op.drop_table("t1")')
    project.add(between)
    (project.versions / "rev2_create_t2.py").unlink()
    project.add(Revision(id="rev2", down="between", message="Create t2"))
    *_, last = follow.follow_run(os.environ, start.start_run(workspace, plan, start.Limits()))
    assert last.outcome == "refused"
    assert "The migration scripts have changed since the plan was made." in (last.error or "")
    assert not [event for event in journal(state_dir, 2) if event["event"] == "step-started"]
    assert database.content == before


def test_run_that_cannot_be_started_is_not_on_record_and_the_next_one_takes_its_number(
    sqlite_database: SqliteDatabase, magetui: Magetui, tmp_path: Path, state_dir: Path
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    selection = Selection(config=str(project.ini), trust=True)
    plan = make_plan(Workspace(selection), "migrate", None)
    moved = project.ini.rename(tmp_path / "moved.ini")
    with pytest.raises(MagetuiError, match=r"alembic\.ini"):
        start.start_run(Workspace(selection), plan, start.Limits())
    moved.rename(project.ini)
    with pytest.raises(MagetuiError, match="The interpreter /no/such/python cannot be started"):
        start.start_run(Workspace(replace(selection, python="/no/such/python")), plan, start.Limits())
    assert follow.list_runs(os.environ).records == ()
    assert list((state_dir / "runs").iterdir()) == []

    (state_dir / "runs" / "1.stderr").write_text("what an earlier run 1 complained of, whose journal was deleted\n")
    done = magetui("--config", project.ini, "migrate", "--yes", "--json")
    assert (done.status, done.json["run"], done.json["outcome"]) == (0, 1, "done"), done
