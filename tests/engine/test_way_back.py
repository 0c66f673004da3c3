"""The release of the newest revisions is gone, and the database still rolls back: the run kept their scripts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.alembic_project import linear, make_project, table
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.mage import SCRIPTS

pytestmark = pytest.mark.slow


def schema_of(database: Database) -> object:
    return (
        database.rows("SELECT sql FROM sqlite_master ORDER BY 1") if database.dialect == "sqlite" else tables(database)
    )


def tables(database: Database) -> list[tuple[str, ...]]:
    """The columns of all tables. A downgrade of Mage leaves its enum types."""
    return database.rows(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' "
        "ORDER BY 1, 2"
    )


def kept(state_dir: Path) -> list[Path]:
    return sorted((state_dir / "runs").glob("*.scripts.json"))


def test_revisions_whose_scripts_are_gone_roll_back_with_those_that_the_run_kept(
    magetui: Magetui, tmp_path: Path, database: Database, state_dir: Path
) -> None:
    project = make_project(tmp_path / "project", linear(4), database.url)
    common = ("--config", project.ini)
    assert magetui(*common, "migrate", "--revision", "rev2", "--yes").status == 0
    at_rev2 = schema_of(database)
    assert magetui(*common, "migrate", "--yes").status == 0
    for script in [*project.ini.parent.rglob("rev3*.py"), *project.ini.parent.rglob("rev4*.py")]:
        script.unlink()
    [finding] = [
        one for one in magetui(*common, "diagnose", "--json").json["findings"] if one["severity"] == "critical"
    ]
    assert (finding["code"], finding["facts"]["kept_by_runs"]) == ("unknown-revision", [2])
    assert "it can be rolled back without that version: 'magetui rollback --revision rev2'." in finding["message"]
    planned = magetui(*common, "plan", "rollback", "--revision", "rev2")
    assert planned.status == 0, planned
    said = " ".join(planned.stdout.split())
    assert "The project does not have rev4, rev3 any more. Their scripts are taken from the record of run 2" in said
    assert "DROP TABLE t4" in planned.stdout
    done = magetui(*common, "rollback", "--revision", "rev2", "--yes")
    assert done.status == 0, done
    assert database.current == ["rev2"]
    assert schema_of(database) == at_rev2
    assert all(file.stat().st_mode & 0o077 == 0 for file in kept(state_dir))


def test_a_script_that_is_not_what_was_applied_is_not_run(
    magetui: Magetui, tmp_path: Path, database: Database, state_dir: Path
) -> None:
    project = make_project(tmp_path / "project", linear(2), database.url)
    common = ("--config", project.ini)
    assert magetui(*common, "migrate", "--yes").status == 0
    for script in project.ini.parent.rglob("rev2*.py"):
        script.unlink()
    [file] = kept(state_dir)
    document = json.loads(file.read_text())
    for script in document["scripts"]:
        script["text"] += "\n# changed"
    file.write_text(json.dumps(document))
    refused = magetui(*common, "rollback", "--revision", "rev1", "--yes")
    assert refused.status == 4, refused
    assert "which the chain does not have" in refused.stderr
    assert database.current == ["rev2"]


def test_scripts_of_another_database_are_not_taken(
    magetui: Magetui, tmp_path: Path, database: Database, pg_database: PostgresDatabase
) -> None:
    project = make_project(tmp_path / "project", linear(2), database.url)
    common = ("--config", project.ini)
    assert magetui(*common, "migrate", "--yes").status == 0
    for script in project.ini.parent.rglob("rev2*.py"):
        script.unlink()
    pg_database.rows("CREATE TABLE alembic_version (version_num varchar(32))")
    pg_database.rows("INSERT INTO alembic_version VALUES ('rev2')")
    refused = magetui(*common, "--url", pg_database.url, "rollback", "--revision", "rev1", "--yes")
    assert refused.status == 4, refused


def test_scripts_of_another_project_in_the_same_database_are_not_taken(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    shop = make_project(tmp_path / "shop", linear(2), database.url)
    assert magetui("--config", shop.ini, "migrate", "--yes").status == 0
    blog = make_project(tmp_path / "blog", linear(2), database.url)
    env = blog.ini.parent / "migrations" / "env.py"
    env.write_text(env.read_text().replace("configure(", 'configure(version_table="blog_version", '))
    [gone] = blog.ini.parent.rglob("rev2*.py")
    gone.unlink()
    database.rows("CREATE TABLE blog_version (version_num varchar(32))")
    database.rows("INSERT INTO blog_version VALUES ('rev2')")
    refused = magetui("--config", blog.ini, "rollback", "--revision", "rev1", "--yes")
    assert refused.status == 4, refused
    assert "which the chain does not have" in refused.stderr
    assert database.rows("SELECT * FROM t2") == []


def test_pruned_records_take_their_scripts_with_them(
    magetui: Magetui, tmp_path: Path, database: Database, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "project", linear(2), database.url)
    common = ("--config", project.ini)
    assert magetui(*common, "migrate", "--revision", "rev1", "--yes").status == 0
    assert magetui(*common, "migrate", "--yes").status == 0
    assert len(kept(state_dir)) == 2
    monkeypatch.setenv("MAGETUI_KEEP_RUNS", "1")
    assert magetui("runs", "--prune").status == 0
    assert len(kept(state_dir)) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("mage_importable")
def test_the_last_two_revisions_of_a_removed_release_of_mage_roll_back(
    magetui: Magetui, tmp_path: Path, mage_home: Path, pg_database: PostgresDatabase
) -> None:
    newer = ("--mage-path", mage_home, "--url", pg_database.url)
    assert magetui(*newer, "migrate", "--revision", "42a14d6143f1", "--yes").status == 0
    before = tables(pg_database)
    assert magetui(*newer, "migrate", "--yes").status == 0
    home = tmp_path / "older"
    shutil.copytree(mage_home / SCRIPTS, home / SCRIPTS)
    for file in (mage_home / "mage_ai").glob("*.py"):
        shutil.copy(file, home / "mage_ai")
    for revision in ("39d36f1dab73", "0227396a216c"):
        [script] = (home / SCRIPTS).rglob(f"{revision}*.py")
        script.unlink()
    older = ("--mage-path", home, "--url", pg_database.url)
    assert magetui(*older, "diagnose").status == 3
    done = magetui(*older, "rollback", "--revision", "42a14d6143f1", "--yes")
    assert done.status == 0, done
    assert pg_database.current == ["42a14d6143f1"]
    assert tables(pg_database) == before


def test_an_unknown_revision_is_found_on_another_branch_of_the_repository(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)

    def git(*arguments: str) -> None:
        name = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
        subprocess.run(["git", *name, *arguments], cwd=project.ini.parent, check=True, capture_output=True)

    git("init", "-b", "main")
    git("add", ".")
    git("commit", "-m", "Two revisions")
    git("checkout", "-b", "feature")
    script = project.add(table(3))
    git("add", ".")
    git("commit", "-m", "Add rev3")
    git("tag", "v3")
    git("checkout", "main")
    assert not script.exists()
    sqlite_database.rows("CREATE TABLE alembic_version (version_num varchar(32))")
    sqlite_database.rows("INSERT INTO alembic_version VALUES ('rev3')")
    found = magetui("--config", project.ini, "diagnose", "--json").json["findings"]
    [finding] = [one for one in found if one["code"] == "unknown-revision"]
    assert "The repository has it, on feature, v3: " in finding["message"]
    assert f"{script.name}, commit {finding['facts']['commit']} of " in finding["message"]
    assert finding["facts"]["refs"] == ["feature", "v3"]


def test_a_script_that_was_edited_after_it_was_applied_is_named(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = make_project(tmp_path / "project", linear(2), database.url)
    common = ("--config", project.ini)
    assert magetui(*common, "migrate", "--yes").status == 0
    [script] = project.ini.parent.rglob("rev2*.py")
    script.write_text(script.read_text().replace('"name"', '"title"'))
    found = magetui(*common, "diagnose", "--json").json["findings"]
    [edited] = [one for one in found if one["code"] == "script-edited"]
    assert edited["message"] == "The script of rev2 was edited after run 1 had applied it to this database."
    assert edited["facts"] == {"revisions": ["rev2"], "runs": [1]}


def test_an_unknown_revision_is_found_in_an_installed_package(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    environment = tmp_path / "environment"
    packaged = make_project(environment / "lib" / "python3.11" / "site-packages" / "shop", linear(3), "sqlite://")
    (environment / "bin").mkdir()
    (environment / "bin" / "python").symlink_to(sys.executable)
    sqlite_database.rows("CREATE TABLE alembic_version (version_num varchar(32))")
    sqlite_database.rows("INSERT INTO alembic_version VALUES ('rev3')")
    python = ("--python", environment / "bin" / "python")
    found = magetui("--config", project.ini, *python, "diagnose", "--json").json["findings"]
    [finding] = [one for one in found if one["code"] == "unknown-revision"]
    [script] = packaged.ini.parent.rglob("rev3*.py")
    assert f"The installed package shop has it: {script}." in finding["message"]
