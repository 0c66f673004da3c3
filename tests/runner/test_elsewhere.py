"""An env.py, or a script, that works somewhere else than on what was consented to: refused, or told, never 'done'."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, linear, make_project
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase


def edit_env(project: AlembicProject, old: str, new: str) -> None:
    """Change the project's env.py, which must have `old` in it."""
    env = project.directory / "migrations" / "env.py"
    text = env.read_text()
    assert old in text, text
    env.write_text(text.replace(old, new))


def connect_elsewhere(project: AlembicProject, url: str) -> None:
    """Let env.py connect to `url`, whatever its configuration says."""
    env = project.directory / "migrations" / "env.py"
    env.write_text(
        "from alembic import context\nfrom sqlalchemy import create_engine, pool\n"
        f"engine = create_engine({url!r}, poolclass=pool.NullPool)\n"
        "with engine.connect() as connection:\n"
        "    context.configure(connection=connection)\n"
        "    with context.begin_transaction():\n"
        "        context.run_migrations()\n"
    )


def test_env_py_that_connects_to_another_file_is_refused_before_anything_is_done(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    production = SqliteDatabase(tmp_path / "production.db")
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    connect_elsewhere(project, production.url)
    done = magetui("--config", project.ini, "--url", sqlite_database.url, "migrate", "--yes")
    assert done.status == 4, done
    assert "env.py connects to another database than" in done.stdout
    assert production.rows("select name from sqlite_master") == []


def test_env_py_that_connects_to_another_database_of_the_same_server_is_refused(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    other = pg_database.server.create_database()
    project = make_project(tmp_path / "project", linear(2), pg_database.url.replace("://", "+psycopg2://", 1))
    connect_elsewhere(project, other.replace("://", "+psycopg2://", 1))
    done = magetui("--config", project.ini, "--url", pg_database.url, "migrate", "--yes")
    assert done.status == 4, done
    assert "env.py connects to another database than" in done.stdout
    name = other.rpartition("/")[2]
    assert pg_database.server.execute(name, "select count(*) from pg_tables where schemaname = 'public'") == [(0,)]
    pg_database.server.drop_database(name)


def test_env_py_whose_version_table_cannot_be_known_beforehand_is_refused(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    edit_env(
        project,
        "context.configure(connection=connection",
        "real = type(connection).__module__.startswith('sqlalchemy')\n"
        "        context.configure(version_table='mine' if real else 'alembic_version', connection=connection",
    )
    for verb in (("migrate",), ("stamp", "rev1")):
        refused = magetui("--config", project.ini, *verb, "--yes")
        assert refused.status == 4, refused
        assert (
            "env.py configures a version table of its own: mine, not alembic_version. Nothing was done."
            in refused.stdout
        )
    assert sqlite_database.rows("select name from sqlite_master") == []


def test_a_preview_connects_to_no_database(magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase) -> None:
    other = SqliteDatabase(tmp_path / "other.db")
    writes = (
        f"import sqlalchemy as sa; engine = sa.create_engine({other.url!r}); "
        "connection = engine.connect(); connection.exec_driver_sql('create table oops (id int)')"
    )
    project = make_project(tmp_path / "project", (Revision("rev1", None, "Writes", writes),), sqlite_database.url)
    plan = magetui("--config", project.ini, "plan", "migrate")
    assert plan.status == 0, plan
    assert "it would open the database" in " ".join(plan.stdout.split())
    assert not (tmp_path / "other.db").exists()
    sqlite_database.rows("create table something (id int)")
    evidence = magetui("--config", project.ini, "diagnose")
    assert evidence.status == 3, evidence
    assert not (tmp_path / "other.db").exists()


BRANCHES = (
    Revision("aa", None, "Base", "op.execute('create table aa (id int)')", "op.execute('drop table aa')"),
    Revision("b1", "aa", "Left", "op.execute('create table b1 (id int)')", "op.execute('drop table b1')"),
    Revision("c1", "aa", "Right", "op.execute('create table c1 (id int)')", "op.execute('drop table c1')"),
)


@pytest.mark.slow
def test_rollback_of_two_branches_to_where_they_part_goes_through(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = make_project(
        tmp_path / "project", BRANCHES, database.url.replace("postgresql://", "postgresql+psycopg2://")
    )
    for head in ("b1", "c1"):
        assert magetui("--config", project.ini, "migrate", "--revision", head, "--yes").status == 0
    assert sorted(database.current) == ["b1", "c1"]
    back = magetui("--config", project.ini, "rollback", "--revision", "aa", "--yes", "--json")
    assert back.status == 0, back
    assert back.json["current_after"] == ["aa"]
    assert database.current == ["aa"]


def test_stamp_of_one_branch_says_and_does_what_becomes_of_the_other(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", BRANCHES, sqlite_database.url)
    for head in ("b1", "c1"):
        assert magetui("--config", project.ini, "migrate", "--revision", head, "--yes").status == 0
    plan = magetui("--config", project.ini, "plan", "stamp", "aa")
    assert "the current revision b1, c1 becomes aa" in plan.stdout
    assert magetui("--config", project.ini, "stamp", "aa", "--yes").status == 0
    assert sqlite_database.current == ["aa"]


def test_stamp_ends_current_revisions_that_contradict_one_another(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", linear(3), sqlite_database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    sqlite_database.rows("insert into alembic_version values ('rev1')")
    found = magetui("--config", project.ini, "diagnose", "--json").json["findings"]
    assert (found[0]["code"], found[0]["next"]) == ("several-current-revisions", "stamp")
    stamped = magetui("--config", project.ini, "stamp", "rev3", "--yes")
    assert stamped.status == 0, stamped
    assert sqlite_database.current == ["rev3"]


def test_a_run_on_another_machine_is_not_signalled_from_here(magetui: Magetui, state_dir: Path) -> None:
    """A state directory on a shared volume: the journal's lock is seen, and its process number means another here."""
    bystander = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    runs = state_dir / "runs"
    runs.mkdir(parents=True)
    event = {
        "event": "run-started", "at": "2026-01-01T00:00:00.000Z", "run": 7, "verb": "migrate", "target": "rev2",
        "current": ["rev1"], "steps": [], "database": "sqlite:///x.db", "project": "p", "pid": bystander.pid,
        "user": "mage", "host": "another-pod", "lock_timeout_ms": 1000, "statement_timeout_ms": 0,
        "machine": f"{socket.gethostname()} another boot",
    }  # fmt: skip
    (runs / "7.jsonl").write_text(json.dumps(event) + "\n")
    path = str(runs / "7.jsonl")
    lock = f"import fcntl, sys; f = open({path!r}); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        refused = magetui("runs", "7", "--cancel")
        assert refused.status == 4, refused
        assert "continues on another-pod: cancel it there" in refused.stderr
        assert bystander.poll() is None
        holder.kill()
    bystander.kill()
    bystander.wait()


TENANTS = """\
from alembic import context
from sqlalchemy import engine_from_config, pool, text

section = context.config.get_section(context.config.config_ini_section, {})
engine = engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
with engine.connect() as connection:
    for tenant in ("tenant_a", "tenant_b"):
        SET_PATH
        context.configure(connection=connection, version_table_schema=VERSION_SCHEMA)
        with context.begin_transaction():
            context.run_migrations()
"""
BY_NAME = ("pass", "tenant")  # the version tables are named by schema …
BY_PATH = (
    'connection.execute(text(f"SET search_path TO {tenant}"))\n        connection.commit()',
    "None",
)  # … or found


@pytest.mark.slow
@pytest.mark.parametrize(("set_path", "schema"), [BY_NAME, BY_PATH], ids=["by name", "by search_path"])
@pytest.mark.parametrize("tenant", ["tenant_a", "tenant_b"])
def test_env_py_that_loops_over_tenants_migrates_the_one_of_the_plan_alone(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase, set_path: str, schema: str, tenant: str
) -> None:
    pg_database.rows("CREATE SCHEMA tenant_a; CREATE SCHEMA tenant_b")
    project = make_project(tmp_path / "project", linear(2), pg_database.url)
    text = TENANTS.replace("SET_PATH", set_path).replace("VERSION_SCHEMA", schema)
    (project.directory / "migrations" / "env.py").write_text(text)
    url = f"{pg_database.url}?options=-csearch_path%3D{tenant}"
    for revision in ("rev1", "rev2"):
        done = magetui("--config", project.ini, "--url", url, "migrate", "--revision", revision, "--yes")
        assert done.status == 0, done
        assert "skipped, this run is about another one" in done.stderr
    assert pg_database.rows(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname LIKE 'tenant%' AND tablename LIKE 'alembic%'"
    ) == [(tenant, "alembic_version")]
    assert pg_database.rows(f"SELECT version_num FROM {tenant}.alembic_version") == [("rev2",)]
