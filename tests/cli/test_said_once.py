"""Nothing is printed twice, and nothing empty takes room."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.waiting import eventually


@pytest.fixture
def stamped_back(magetui: Magetui, project: AlembicProject, sqlite_database: SqliteDatabase) -> tuple[object, ...]:
    """Return the flags of a database at the head whose version table says rev1."""
    flags = ("--config", project.ini, "--url", sqlite_database.url)
    assert magetui(*flags, "migrate", "--yes").status == 0
    assert magetui(*flags, "stamp", "rev1", "--yes").status == 0
    return flags


def test_a_step_that_two_findings_need_is_said_at_the_worst_one(
    magetui: Magetui, stamped_back: tuple[object, ...]
) -> None:
    told = magetui(*stamped_back, "diagnose")
    critical, behind = told.stdout.index("evidence-contradicts"), told.stdout.index("WARNING   behind")
    assert told.stdout.count("next: magetui evidence") == 1, told
    assert critical < told.stdout.index("next: magetui evidence") < behind
    document = magetui(*stamped_back, "diagnose", "--json").json
    assert [finding["next"] for finding in document["findings"]] == ["evidence", "evidence"]


def test_two_current_revisions_are_named_as_two(
    magetui: Magetui, stamped_back: tuple[object, ...], sqlite_database: SqliteDatabase
) -> None:
    sqlite_database.rows("insert into alembic_version values ('rev3')")
    told = magetui(*stamped_back, "evidence")
    assert "The current revisions are rev1 and rev3. The schema does not match them." in told.stdout, told


def test_what_is_too_much_in_the_schema_is_called_extra(
    magetui: Magetui, stamped_back: tuple[object, ...], sqlite_database: SqliteDatabase
) -> None:
    told = magetui(*stamped_back, "verify", "rev2")
    assert "  extra     table t3" in told.stdout, told
    assert "too much" not in told.stdout


def test_history_without_dates_has_no_empty_column(magetui: Magetui, project: AlembicProject) -> None:
    for file in (project.directory / "migrations" / "versions").glob("*.py"):
        file.write_text("\n".join(line for line in file.read_text().splitlines() if "Create Date" not in line))
    told = magetui("--config", project.ini, "history")
    assert told.stdout.splitlines()[0] == "head  rev3           Create t3", told


def test_the_list_of_runs_names_the_database_within_80_columns(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase
) -> None:
    assert magetui("--config", project.ini, "--url", pg_database.url, "migrate", "--yes").status == 0
    [line] = magetui("runs").stdout.splitlines()
    assert f"/{pg_database.name}  " in line[:80], line
    assert "://" not in line and "mage@" not in line[:80]


def test_a_reader_of_magetui_is_no_blocker(
    magetui: Magetui, project: AlembicProject, pg_database: PostgresDatabase
) -> None:
    flags = ("--config", project.ini, "--url", pg_database.url)
    assert magetui(*flags, "migrate", "--revision", "rev2", "--yes").status == 0
    with pg_database.session("select * from t1", "magetui"):
        assert magetui(*flags, "locks").stdout == "no other sessions\n"
        codes = [finding["code"] for finding in magetui(*flags, "diagnose", "--json").json["findings"]]
        assert codes == ["behind"]
        assert "held by" not in magetui(*flags, "plan", "rollback", "--revision", "base").stdout


def test_the_lock_holder_of_a_demo_ends_when_its_folder_is_deleted(magetui: Magetui, tmp_path: Path) -> None:
    told = magetui("demo", "locked", env={"TMPDIR": str(tmp_path)})
    pid = next(words[words.index("kill") + 1] for words in [told.stdout.split()] if "kill" in words)
    [folder] = tmp_path.glob("magetui-locked-*")
    shutil.rmtree(folder)
    eventually(lambda: not runs(pid))


def runs(pid: str) -> bool:
    """Return whether the process is there, and not a zombie. It may end between two looks at it."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return False
