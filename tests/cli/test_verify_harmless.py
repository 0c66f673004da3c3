"""`verify` on a server with live data: whatever scripts do, however it ends, nothing is touched and nothing is left."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, Revision, linear, make_project, table
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.live import Live
from tests.support.postgres import PASSWORD, PostgresServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

SLEEPING = Revision("rev2", "rev1", "Sleep", 'op.execute("SELECT pg_sleep(50)")')
SCRATCH_SQL = "select nspname from pg_namespace where nspname like 'magetui%'"
REPLAYING_SQL = (
    "select pid from pg_stat_activity where application_name like 'magetui replay%' and query like 'SELECT pg_sleep%'"
)
# What each script would do to a table that is there; some say so in their text, some cannot be seen to.
SPOKEN = {
    "schema": 'op.add_column("t1", sa.Column("x", sa.Integer), schema="public")',
    "sql": 'op.execute("ALTER TABLE public.t1 ADD COLUMN x integer")',
    "quoted": "op.execute('DROP TABLE \"public\" . t1')",
    "foreign-key": ('op.create_table("t2", sa.Column("id", sa.Integer, sa.ForeignKey("public.t1.id")))'),
    "search-path": 'op.execute("SET search_path TO public")',
    "in-a-block": 'op.execute("DO $$ BEGIN UPDATE public.t1 SET name = null; END $$")',
    "extension": 'op.execute("CREATE EXTENSION IF NOT EXISTS plpgsql")',
    "role": 'op.execute("create role somebody")',
    "schema-made": 'op.execute("create schema somewhere")',
}
UNSPOKEN = {
    "commit": 'op.execute("UPDATE t1 SET name = null; COMMIT")',
    "committed-and-went-on": (
        "raw = op.get_bind().connection.dbapi_connection\n"
        "op.get_bind().execute(sa.text('select 1'))\n"
        "try:\n    raw.commit()\nexcept Exception:\n    pass\n"
        "raw.cursor().execute('drop table if exists ' + 'pub' + 'lic.t1')\nraw.commit()"
    ),
    "rolled-back-and-went-on": (
        "raw = op.get_bind().connection.dbapi_connection\n"
        "op.get_bind().execute(sa.text('select 1'))\n"
        "raw.rollback()\n"
        "try:\n    raw.cursor().execute('insert into t1 values (2)')\nexcept Exception:\n    pass\n"
        "raw.rollback()"
    ),
    "computed": (
        "where = op.get_bind().execute(sa.text(\"select 'pub' || 'lic'\")).scalar()\n"
        'op.execute(f"ALTER TABLE {where}.t1 ADD COLUMN x integer")'
    ),
    "caught": (
        "where = op.get_bind().execute(sa.text(\"select 'pub' || 'lic'\")).scalar()\n"
        "try:\n"
        '    op.execute(f"ALTER TABLE {where}.t1 ADD COLUMN x integer")\n'
        "except Exception:\n"
        "    pass"
    ),
    "dynamic": "op.execute(\"DO $$ BEGIN EXECUTE 'ALTER TABLE pub' || 'lic.t1 ADD COLUMN x integer'; END $$\")",
    "dynamic-drop": "op.execute(\"DO $$ BEGIN EXECUTE 'DROP TABLE pub' || 'lic.t1'; END $$\")",
    "dynamic-type": (
        "op.execute(\"DO $$ BEGIN EXECUTE 'ALTER TYPE pub' || 'lic.mood RENAME VALUE ''sad'' TO ''x'''; END $$\")"
    ),
    "committed": "op.get_bind().execute(sa.text('select 1'))\nop.get_bind().commit()",
    "committed-below": (
        "op.execute('create table left_behind (id integer)')\n"
        "op.get_bind().execute(sa.text('select 1'))\n"
        "op.get_bind().connection.dbapi_connection.commit()"
    ),
    "another-connection": (
        "op.get_bind().execute(sa.text('select 1'))\n"
        "sa.create_engine(op.get_context().config.attributes.get('x') or URL).connect()"
    ),
}

SAID = {
    "commit": "The script runs COMMIT. A replay is one transaction",
    "committed-and-went-on": "cannot execute DROP TABLE in a read-only transaction",
    "rolled-back-and-went-on": "does not exist",
    "computed": "The script reaches the schema public.",
    "caught": "The script reaches the schema public.",
    "dynamic": "The script reaches outside of the scratch schema: public.t1.",
    "dynamic-drop": "The script reaches outside of the scratch schema: something that it dropped.",
    "dynamic-type": "The script reaches outside of the scratch schema: public.mood.",
    "committed": "The script ends the transaction by itself. A replay is one transaction",
    "committed-below": "A replay is one transaction, which is never committed",
    "another-connection": "it would connect to a database by psycopg2 (rev2_reach_out.py, line 19)",
}


@pytest.fixture
def live(tmp_path: Path, pg_database: PostgresDatabase, magetui: Magetui) -> Iterator[PostgresDatabase]:
    """A database at rev1, with a row and a type; at the test's end it has to be what it was, and no schema is left."""
    project = make_project(tmp_path / "first", linear(1), pg_database.url)
    assert magetui("migrate", "--yes", "--config", project.ini).status == 0
    pg_database.rows("insert into t1 values (1, 'kept')")
    pg_database.rows("create type mood as enum ('sad')")
    before = pg_database.content
    yield pg_database
    assert pg_database.content == before
    assert pg_database.rows(SCRATCH_SQL) == []


def of(tmp_path: Path, database: PostgresDatabase, upgrade: str) -> AlembicProject:
    return make_project(tmp_path / "project", (table(1), Revision("rev2", "rev1", "Reach out", upgrade)), database.url)


@pytest.mark.parametrize("upgrade", SPOKEN.values(), ids=SPOKEN.keys())
def test_a_script_that_reaches_outside_is_refused_beforehand(
    magetui: Magetui, tmp_path: Path, live: PostgresDatabase, upgrade: str
) -> None:
    project = of(tmp_path, live, upgrade)
    done = magetui("verify", "rev2", "--yes", "--config", project.ini)
    assert done.status == 4, done
    assert "magetui: Revision rev2 (Reach out) reaches " in done.stderr
    assert "Nothing was replayed." in done.stderr
    assert "--scratch-url" in done.stderr
    assert magetui("verify", "rev1", "--yes", "--config", project.ini).status == 0, "it is not replayed that far"


@pytest.mark.parametrize("case", UNSPOKEN)
def test_a_script_that_reaches_outside_unforeseen_is_ended_and_taken_back(
    magetui: Magetui, tmp_path: Path, live: PostgresDatabase, case: str
) -> None:
    project = of(
        tmp_path, live, UNSPOKEN[case].replace("URL", repr(live.url.replace("postgresql", "postgresql+psycopg2")))
    )
    done = magetui("verify", "rev2", "--yes", "--config", project.ini)
    assert done.status in (1, 4), done
    said = done.stderr.partition("magetui: Revision rev2 (Reach out): ")[2]
    assert SAID[case] in said, done
    assert re.search("rolled back completely|Nothing of the replay is left", said), said
    assert "Traceback" not in done.stderr


def test_a_script_that_names_a_schema_is_replayed_in_a_database_apart(
    magetui: Magetui, tmp_path: Path, live: PostgresDatabase, postgres: PostgresServer
) -> None:
    project = of(tmp_path, live, SPOKEN["schema"])
    apart = postgres.create_database()
    try:
        done = magetui("verify", "rev2", "--scratch-url", apart, "--json", "--config", project.ini)
        empty = PostgresDatabase(postgres, apart.rpartition("/")[2]).content
    finally:
        postgres.drop_database(apart.rpartition("/")[2])
    assert done.status == 3, done
    assert done.json["differences"] == [{"state": "missing", "message": "column t1.x"}]
    assert "t1" not in empty


@pytest.mark.parametrize("killed", ["child", "program", "program by SIGHUP", "program by SIGTERM"])
def test_a_replay_that_is_killed_leaves_nothing(
    magetui: Magetui, tmp_path: Path, live: PostgresDatabase, killed: str
) -> None:
    project = make_project(tmp_path / "project", (table(1), SLEEPING), live.url)
    command = Live(magetui.start("verify", "rev2", "--yes", "--config", project.ini))
    [(session,)] = eventually(lambda: live.rows(REPLAYING_SQL), 30, lambda: command.stderr)
    assert live.rows(SCRATCH_SQL) == [], "nobody else sees what is built"
    if killed == "child":
        os.kill(_child_of(command.process.pid), signal.SIGKILL)
        done = command.end()
        assert done.status == 1
        assert "The scripts failed to be replayed" in done.stderr
    else:
        numbers = {"program": signal.SIGKILL, "program by SIGHUP": signal.SIGHUP, "program by SIGTERM": signal.SIGTERM}
        command.process.send_signal(numbers[killed])
        command.process.wait(20)
    eventually(lambda: not live.rows(f"select 1 from pg_stat_activity where pid = {session}"), 20)


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def test_ctrl_c_ends_a_replay_and_leaves_nothing(magetui: Magetui, tmp_path: Path, live: PostgresDatabase) -> None:
    project = make_project(tmp_path / "project", (table(1), SLEEPING), live.url)
    command = Live(magetui.start("verify", "rev2", "--yes", "--config", project.ini))
    [(session,)] = eventually(lambda: live.rows(REPLAYING_SQL), 30, lambda: command.stderr)
    command.interrupt()
    done = command.end()
    assert done.status == 130
    assert "magetui: interrupted; nothing was changed." in done.stderr
    eventually(lambda: not live.rows(f"select 1 from pg_stat_activity where pid = {session}"), 20)


def test_nobody_waits_behind_a_replay(magetui: Magetui, tmp_path: Path, live: PostgresDatabase) -> None:
    project = make_project(tmp_path / "project", (table(1), SLEEPING), live.url)
    command = Live(magetui.start("verify", "rev2", "--yes", "--config", project.ini))
    eventually(lambda: live.rows(REPLAYING_SQL), 30, lambda: command.stderr)
    with live.session("lock table t1 in access exclusive mode nowait") as others:
        others.rollback()
    command.interrupt()
    command.end()


def test_no_credential_is_told(
    magetui: Magetui, tmp_path: Path, live: PostgresDatabase, postgres: PostgresServer
) -> None:
    name = postgres.create_database().rpartition("/")[2]
    postgres.execute(name, "create role builder superuser login password 'bu1lder-p4ssword'")
    scratch = f"postgresql://builder:bu1lder-p4ssword@127.0.0.1:{postgres.port}/{name}"
    talkative = f"print({scratch!r})\nprint({live.url!r})\nraise RuntimeError('bu1lder-p4ssword ' + {PASSWORD!r})"
    project = of(tmp_path, live, talkative)
    try:
        for flags in (
            (),
            ("--scratch-url", scratch),
            ("--scratch-url", f"{scratch}x"),
            ("--scratch-url", "no:bu1lder@"),
        ):
            for revision in ("rev1", "rev2"):
                done = magetui("verify", revision, "--yes", *flags, "--config", project.ini)
                said = done.stdout + done.stderr
                assert PASSWORD not in said
                assert "bu1lder-p4ssword" not in said or not flags
                assert "bu1lder@" not in said
    finally:
        postgres.drop_database(name)
        postgres.execute("postgres", "drop role builder")


def test_a_script_for_sqlite_that_attaches_a_file_is_refused(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    for number, where in enumerate(("'", "' || '")):
        attaching = Revision(
            "rev1",
            None,
            "Attach",
            f'op.execute("""ATT" "ACH \'{tmp_path}/other.db{where}\' AS other""")'
            if number
            else f"op.execute(\"ATTACH '{tmp_path}/other.db' AS other\")",
        )
        project = make_project(tmp_path / f"project{number}", [attaching], sqlite_database.url)
        done = magetui("verify", "rev1", "--config", project.ini)
        assert done.status in (1, 4), done
        assert not (tmp_path / "other.db").exists()


def test_a_chain_that_would_fill_the_servers_table_of_locks_is_ended(magetui: Magetui, tmp_path: Path) -> None:
    settings = {"max_connections": "10", "max_locks_per_transaction": "10", "max_worker_processes": "0"}
    with PostgresServer(18, settings) as server:
        name = server.create_database().rpartition("/")[2]
        project = make_project(tmp_path / "project", linear(12), server.url(name))
        done = magetui("verify", "rev12", "--yes", "--config", project.ini)
        left = server.execute(name, SCRATCH_SQL)
    assert done.status == 4, done
    assert "the server's lock table is half full" in done.stderr
    assert left == []
