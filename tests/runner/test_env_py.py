"""An `env.py` that makes its URL, chooses its version table, and does what it likes with the process around it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from magetui.engine.project.env_py import read_env_text
from tests.runner.test_templates import goes_up_and_down
from tests.support.alembic_project import AlembicProject, failing_in_the_middle, linear, make_project
from tests.support.command import Magetui, Outcome
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.journals import journal, named
from tests.support.templates import make_from_template

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("real_starts")]

NOWHERE = "driver://user:pass@localhost/dbname"  # as 'alembic init' writes it
SET_URL = 'context.config.set_main_option("sqlalchemy.url", os.environ["SHOP_URL"].replace("%", "%%"))\n'


def with_env(directory: Path, url: str, before: str, *changes: tuple[str, str]) -> AlembicProject:
    """A project of three revisions whose env.py begins with `before`, after its imports, and has `changes`."""
    project = make_project(directory, linear(3), url)
    env = project.directory / "migrations" / "env.py"
    text = env.read_text()
    for old, new in (("from sqlalchemy import engine", "import os, sys\nfrom sqlalchemy import engine"), *changes):
        assert old in text, text
        text = text.replace(old, new)
    place = text.index("if context.config.config_file_name")
    env.write_text(text[:place] + before + text[place:])
    return project


def sentence(outcome: Outcome) -> str:
    return " ".join((outcome.stdout + outcome.stderr).split())


def test_a_url_that_env_py_takes_from_the_environment(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = with_env(tmp_path / "project", NOWHERE, SET_URL)
    monkeypatch.setenv("SHOP_URL", sqlite_database.url)
    goes_up_and_down(magetui, project, sqlite_database)
    told = magetui("diagnose", "--json", cwd=project.directory).json["target"]
    assert told["source"] == f"made by env.py in {project.directory / 'migrations'}"


def test_a_url_that_env_py_makes_is_shown_and_kept_without_its_password(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, monkeypatch: pytest.MonkeyPatch, state_dir: Path
) -> None:
    project = with_env(tmp_path / "project", NOWHERE, 'print(os.environ["SHOP_URL"], flush=True)\n' + SET_URL)
    monkeypatch.setenv("SHOP_URL", pg_database.url)
    done = magetui("migrate", "--yes", cwd=project.directory)
    assert done.status == 0, done
    password = pg_database.url.split("@")[0].rpartition(":")[2]
    told = [
        magetui(*words, cwd=project.directory) for words in (("diagnose",), ("plan", "rollback", "--revision", "-1"))
    ]
    kept = "".join(path.read_text() for path in state_dir.rglob("*") if path.is_file())
    for text in (str(done), *map(str, told), kept):
        assert password not in text
    assert "***@127.0.0.1" in kept


def test_a_url_that_nobody_has_written_yet(magetui: Magetui, tmp_path: Path) -> None:
    project = with_env(tmp_path / "project", NOWHERE, "")
    told = magetui("diagnose", cwd=project.directory)
    assert told.status == 3, told
    assert f"sqlalchemy.url in {project.ini} is still the text that 'alembic init' wrote" in sentence(told)


def test_env_py_wins_over_a_literal_url_and_that_is_said(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = SqliteDatabase(tmp_path / "stale.db")
    project = with_env(tmp_path / "project", stale.url, SET_URL)
    monkeypatch.setenv("SHOP_URL", sqlite_database.url)
    told = magetui("diagnose", "--json", cwd=project.directory).json["target"]
    assert told["url"] == sqlite_database.url
    assert told["source"].endswith(f"; sqlalchemy.url in {project.ini} is another one")


def test_a_placeholder_that_is_no_url_of_a_database_gives_way_to_env_py(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = with_env(tmp_path / "project", "scheme://localhost/airflow", SET_URL)  # as Airflow ships it
    monkeypatch.setenv("SHOP_URL", sqlite_database.url)
    assert magetui("migrate", "--yes", cwd=project.directory).status == 0
    assert sqlite_database.current == ["rev3"]
    monkeypatch.setenv("SHOP_URL", NOWHERE)
    told = magetui("diagnose", cwd=project.directory)
    assert told.status == 3, told
    assert "There is no database kind or driver 'scheme'" in sentence(told)


def test_an_env_py_that_fails_is_told_without_secrets_and_with_a_way_out(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    fails = 'raise RuntimeError("no vault for postgresql://shop:hunter22@db/shop")\n'
    project = with_env(tmp_path / "project", NOWHERE, fails + SET_URL)
    told = magetui("diagnose", cwd=project.directory)
    assert told.status == 3, told
    assert "could not be asked for it (RuntimeError: no vault for postgresql://shop:***@db/shop)" in sentence(told)
    assert "Give the database with --url" in sentence(told)
    assert "hunter22" not in str(told)
    assert magetui("history", cwd=project.directory).status == 0
    assert magetui("--url", sqlite_database.url, "diagnose", cwd=project.directory).status == 3


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("sys.exit(3)", "it ended the process with status 3"),
        ("os._exit(0)", "the process ended without an answer"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_an_env_py_that_ends_before_it_connects(magetui: Magetui, tmp_path: Path, does: str, said: str) -> None:
    project = with_env(tmp_path / "project", NOWHERE, f"{does}\n")
    assert f"could not be asked for it ({said})" in sentence(magetui("diagnose", cwd=project.directory))


def test_asking_env_py_writes_nothing_and_connects_to_nothing(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = SET_URL + (
        "import sqlalchemy as sa\n"
        "for engine in (sa.create_engine(os.environ['SHOP_URL']), sa.create_engine('sqlite:///oops.db')):\n"
        "    with engine.begin() as connection:\n"
        "        connection.execute(sa.text('create table oops (id int)'))\n"
        "    sa.MetaData().create_all(engine)\n"
    )
    project = with_env(tmp_path / "project", NOWHERE, writes)
    monkeypatch.setenv("SHOP_URL", sqlite_database.url)
    told = magetui("diagnose", "--json", cwd=project.directory)
    assert told.json["target"]["url"] == sqlite_database.url, told
    assert not sqlite_database.path.exists()
    assert not list(project.directory.glob("*.db"))


def test_an_env_py_for_sql_files_alone_is_asked_without_a_file_being_written(magetui: Magetui, tmp_path: Path) -> None:
    project = with_env(
        tmp_path / "project",
        NOWHERE,
        "if not context.is_offline_mode():\n    sys.exit('only with --sql')\n",
        ("context.configure(url=", "context.configure(version_table='v', output_buffer=open('out.sql', 'w'), url="),
    )
    told = magetui("diagnose", cwd=project.directory)
    assert told.status == 3, told
    assert not list(project.directory.rglob("*.sql"))


VERSION_TABLES = {
    "a constant": ("", "version_table='history'"),
    "a name": ("TABLE = 'history'\n", "version_table=TABLE"),
    "made": ("TABLE = ''.join(['his', 'tory'])\n", "version_table=TABLE"),
    "options": ("", "**{'version_table': 'history'}"),
}


@pytest.mark.parametrize("way", VERSION_TABLES)
def test_a_version_table_of_its_own_is_the_one_that_is_looked_at(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, way: str
) -> None:
    before, told = VERSION_TABLES[way]
    project = with_env(
        tmp_path / "project", sqlite_database.url, before, ("configure(connection=", f"configure({told}, connection=")
    )
    assert magetui("migrate", "--revision", "rev2", "--yes", cwd=project.directory).status == 0
    assert sqlite_database.rows("select version_num from history") == [("rev2",)]
    found = magetui("diagnose", "--json", cwd=project.directory).json
    assert (found["current"], found["pending"]) == (["rev2"], ["rev3"])
    assert magetui("rollback", "--revision", "base", "--yes", cwd=project.directory).status == 0
    assert magetui("stamp", "rev1", "--yes", cwd=project.directory).status == 0
    assert sqlite_database.rows("select version_num from history") == [("rev1",)]


def test_a_version_table_in_a_schema_of_its_own(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    pg_database.rows("create schema bookkeeping")
    options = "version_table='history', version_table_schema='bookkeeping', connection="
    project = with_env(tmp_path / "project", pg_database.url, "", ("configure(connection=", f"configure({options}"))
    assert magetui("migrate", "--revision", "rev2", "--yes", cwd=project.directory).status == 0
    assert pg_database.rows("select version_num from bookkeeping.history") == [("rev2",)]
    found = magetui("diagnose", "--json", cwd=project.directory).json
    assert (found["current"], found["pending"]) == (["rev2"], ["rev3"])
    assert [finding["code"] for finding in found["findings"]] == ["behind"]


def test_a_step_that_fails_leaves_those_before_it_where_each_has_a_transaction(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    options = "transaction_per_migration=True, connection="
    project = with_env(tmp_path / "project", sqlite_database.url, "", ("configure(connection=", f"configure({options}"))
    script = next(project.versions.glob("rev3_*"))
    script.write_text(
        script.read_text()
        .replace('op.drop_table("t3")', "pass")
        .replace("def upgrade():", "def upgrade():\n    op.drop_table('no_such')")
    )
    done = magetui("migrate", "--yes", "--json", cwd=project.directory)
    assert done.status == 1, done
    assert done.json["current_after"] == ["rev2"]
    assert sqlite_database.current == ["rev2"]


NASTY = """\
import logging, sys, os
print("printed before")
print("complained", file=sys.stderr)
os.system("echo said by a shell")
logging.basicConfig(stream=sys.stdout, force=True)
logging.disable(logging.CRITICAL)
for name in list(logging.root.manager.loggerDict):
    logging.getLogger(name).handlers = [logging.NullHandler()]
os.chdir("/")
sys.path.clear()
sys.argv = []
os.environ.clear()
"""
CLOSES = """\
sys.stdout.close()
sys.stderr.close()
os.close(1)
os.close(2)
"""


@pytest.mark.parametrize("more", ["", CLOSES], ids=["noisy", "closes its streams"])
def test_an_env_py_that_turns_the_process_inside_out(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase, state_dir: Path, more: str
) -> None:
    project = with_env(
        tmp_path / "project",
        sqlite_database.url,
        "",
    )
    env = project.directory / "migrations" / "env.py"
    ends = env.read_text().replace("if context.is_offline", f"{NASTY}{more}if context.is_offline")
    env.write_text(ends.replace("    fileConfig(", "    pass  # fileConfig("))
    for words in (("migrate", "--yes"), ("rollback", "--revision", "-1", "--yes")):
        done = magetui(*words, cwd=project.directory)
        assert done.status == 0, done
    assert sqlite_database.current == ["rev2"]
    printed = [event["text"] for event in named(journal(state_dir, 1), "output-printed")]
    assert {"printed before", "complained", "said by a shell"} <= set(printed)
    assert not list((state_dir / "runs").glob("*.stderr"))


def test_an_env_py_that_kills_its_process_after_the_commit_is_read_back(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = with_env(tmp_path / "project", sqlite_database.url, "")
    env = project.directory / "migrations" / "env.py"
    env.write_text(env.read_text() + "\nos._exit(7)\n")
    done = magetui("migrate", "--yes", "--json", cwd=project.directory)
    assert done.status == 1, done
    assert (done.json["outcome"], done.json["current_after"]) == ("lost", ["rev3"])


def test_what_the_text_of_an_env_py_tells(tmp_path: Path) -> None:
    file = tmp_path / "env.py"
    plain = "engine = engine_from_config(section)\ncontext.configure(connection=c)\n"

    def told(text: str) -> tuple[bool, bool]:
        file.write_text(text)
        found = read_env_text(file)
        return found.makes_url, found.configured is None

    assert told(plain) == (False, False)
    assert told("from shop.db import engine\ncontext.configure(connection=engine.connect())\n") == (True, False)
    assert told(plain + "section['sqlalchemy.url'] = url\n") == (True, False)
    assert told(plain + "context.configure(version_table='other')\n") == (False, True)
    assert told("def (") == (False, False)


def test_an_async_migration_that_fails_leaves_a_sqlite_file_as_it_was(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    url = sqlite_database.url.replace("sqlite", "sqlite+aiosqlite", 1)
    project = make_from_template(tmp_path / "project", "async", url, revisions=failing_in_the_middle())
    done = magetui("migrate", "--yes", "--json", cwd=project.directory)
    assert done.status == 1, done
    assert done.json["current_after"] == []
    assert sqlite_database.rows("select name from sqlite_master") == []


def test_an_async_migration_waits_for_the_write_lock_and_gives_up(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    url = sqlite_database.url.replace("sqlite", "sqlite+aiosqlite", 1)
    project = make_from_template(tmp_path / "project", "async", url)
    with closing(sqlite3.connect(sqlite_database.path, isolation_level=None)) as writer:
        writer.execute("begin immediate")
        done = magetui("migrate", "--yes", "--lock-timeout-seconds", "1", cwd=project.directory)
    assert done.status == 5, done
    assert sqlite_database.rows("select name from sqlite_master") == []
