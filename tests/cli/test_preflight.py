"""Asked before a new release starts: will its migrations pass on this database, with these rows and these rights?"""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from magetui.backends.problems import LOOKING_TOOK_TOO_LONG, NO_TIME_TO_LOOK
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.alembic_project import AlembicProject, Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import Database, PostgresDatabase

pytestmark = pytest.mark.slow

UNIQUE = Revision("rev2", "rev1", "Unique", 'op.create_index("ux", "t1", ["name"], unique=True)')


def at_rev1(magetui: Magetui, folder: Path, database: Database, *later: Revision) -> AlembicProject:
    project = make_project(folder / "project", (table(1), *later), database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    return project


def test_rows_that_stop_a_migration_are_found_before_it_runs(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = at_rev1(magetui, tmp_path, database, UNIQUE)
    database.rows("INSERT INTO t1 (id, name) VALUES (1, 'same'), (2, 'same'), (3, 'other')")
    before = database.content
    shown = magetui("--config", project.ini, "preflight")
    assert shown.status == 3, shown
    assert "rev2  will fail" in shown.stdout
    assert "t1 (name) has 1 value more than once" in shown.stdout
    assert "The first: name same, rows 2" in shown.stdout
    assert "It will fail at rev2." in shown.stdout
    query = shown.stdout.partition("All: ")[2].partition("\n")[0]
    assert database.rows(query) == [("same", 2)]
    document = magetui("--config", project.ini, "preflight", "--json").json
    [step] = document["preflight"]["steps"]
    [cause] = step["causes"]
    assert (document["preflight"]["answer"], step["revision"]) == ("fails", "rev2")
    assert (cause["operation"], cause["rows"], cause["first_rows"]) == (
        "create-index",
        1,
        [{"name": "same", "rows": "2"}],
    )
    assert (
        "fails   at rev2: t1 (name) has 1 value more than once"
        in magetui("--config", project.ini, "plan", "migrate").stdout
    )
    assert database.content == before
    database.rows("DELETE FROM t1 WHERE id = 2")
    passing = magetui("--config", project.ini, "preflight")
    assert passing.status == 0, passing
    assert "It will pass" in passing.stdout
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0


def test_yes_does_not_run_what_will_fail_unless_it_is_set_to(
    magetui: Magetui, tmp_path: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MAGETUI_DESPITE_PREFLIGHT")
    project = at_rev1(magetui, tmp_path, database, UNIQUE)
    common = ("--config", project.ini)
    database.rows("INSERT INTO t1 (id, name) VALUES (1, 'same'), (2, 'same')")
    refused = magetui(*common, "migrate", "--yes")
    assert refused.status == 4, refused
    assert "It will fail at rev2. Nothing was changed." in refused.stderr
    assert database.current == ["rev1"]
    failed = magetui(*common, "migrate", "--yes", "--despite-preflight")
    assert failed.status == 1, failed
    assert "The database is unchanged." in failed.stdout


@pytest.mark.parametrize("commits_each", [False, True])
def test_a_new_enum_value_is_used_by_the_next_revision(
    commits_each: bool, magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    adds = Revision("rev2", "rev1", "Adds", "op.execute(\"ALTER TYPE state ADD VALUE 'late'\")")
    uses = Revision("rev3", "rev2", "Uses", "op.execute(\"ALTER TABLE t2 ALTER COLUMN state SET DEFAULT 'late'\")")
    project = at_rev1(magetui, tmp_path, pg_database, adds, uses)
    pg_database.rows("CREATE TYPE state AS ENUM ('new')")
    pg_database.rows("CREATE TABLE t2 (state state)")
    if commits_each:
        env = project.ini.parent / "migrations" / "env.py"
        env.write_text(env.read_text().replace("configure(", "configure(transaction_per_migration=True, "))
    foreseen = magetui("--config", project.ini, "preflight").status
    assert foreseen == (0 if commits_each else 3)
    assert (magetui("--config", project.ini, "migrate", "--yes").status == 0) is commits_each


def test_every_cause_is_found_and_not_only_the_first(magetui: Magetui, tmp_path: Path, database: Database) -> None:
    later = (
        Revision("rev2", "rev1", "Two", 'op.drop_table("absent")\nop.create_table("t1", sa.Column("id", sa.Integer))'),
        Revision("rev3", "rev2", "Three", 'op.drop_index("ix_absent", "t1")'),
    )
    project = at_rev1(magetui, tmp_path, database, *later)
    shown = magetui("--config", project.ini, "preflight")
    assert shown.status == 3
    for sentence in ("there is no table absent", "the table t1 exists already", "there is no index ix_absent"):
        assert sentence in shown.stdout
    assert "It will fail at rev2, rev3." in shown.stdout


def test_the_way_back_is_asked_about_too(magetui: Magetui, tmp_path: Path, database: Database) -> None:
    back = Revision("rev2", "rev1", "Two", "pass", 'op.drop_column("t1", "absent")')
    project = at_rev1(magetui, tmp_path, database, back)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    shown = magetui("--config", project.ini, "preflight", "rollback", "--revision", "rev1")
    assert shown.status == 3
    assert "t1 has no column absent" in shown.stdout


def test_what_cannot_be_known_is_said_with_its_reason_and_is_no_failure(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    later = Revision("rev2", "rev1", "Two", "op.get_bind().execute(sa.text('SELECT 1 FROM t1')).all()")
    project = at_rev1(magetui, tmp_path, database, later, Revision("rev3", "rev2", "Three", 'op.drop_table("t1")'))
    shown = magetui("--config", project.ini, "preflight")
    assert shown.status == 0
    assert "Not known beforehand: what it does: it reads the database: SELECT 1 FROM t1." in shown.stdout
    assert "Not known beforehand: what rev2 leaves behind." in shown.stdout
    assert "Nothing fails for certain. Whether it passes is not known at rev2, rev3." in shown.stdout


def test_a_locked_table_is_not_waited_for(magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase) -> None:
    project = at_rev1(magetui, tmp_path, pg_database, UNIQUE)
    with pg_database.session("LOCK TABLE t1 IN ACCESS EXCLUSIVE MODE"):
        shown = magetui("--config", project.ini, "preflight", timeout=30)
    assert shown.status == 0, shown
    assert "somebody has the table locked" in shown.stdout


def test_a_revision_id_that_the_version_table_cannot_hold(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    name = "a_revision_with_an_id_of_more_than_32_characters"
    project = at_rev1(magetui, tmp_path, pg_database, Revision(name, "rev1", "Long", "pass"))
    shown = magetui("--config", project.ini, "preflight")
    assert shown.status == 3, shown
    assert f"ALTER TABLE alembic_version ALTER COLUMN version_num TYPE varchar({len(name)})" in shown.stdout
    assert "value too long for type character varying(32)" in shown.stdout
    pg_database.rows(f"ALTER TABLE alembic_version ALTER COLUMN version_num TYPE varchar({len(name)})")
    assert magetui("--config", project.ini, "preflight").status == 0
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0


def test_tables_of_another_owner_and_event_triggers(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    column = Revision("rev2", "rev1", "Column", 'op.add_column("t1", sa.Column("more", sa.Integer))')
    project = at_rev1(magetui, tmp_path, pg_database, column)
    pg_database.rows("CREATE ROLE guest LOGIN PASSWORD 'g'; GRANT ALL ON SCHEMA public TO guest")
    pg_database.rows("GRANT ALL ON ALL TABLES IN SCHEMA public TO guest")
    url = make_url(pg_database.url).set(username="guest", password="g").render_as_string(hide_password=False)
    try:
        shown = magetui("--config", project.ini, "--url", url, "preflight")
    finally:
        pg_database.rows("DROP OWNED BY guest; DROP ROLE guest")
    assert shown.status == 3, shown
    assert "this role does not own t1" in shown.stdout
    assert "must be owner of table t1" in shown.stdout
    pg_database.rows(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION $$no$$; END'"
    )
    pg_database.rows("CREATE EVENT TRIGGER guard ON ddl_command_start EXECUTE FUNCTION refuse()")
    guarded = magetui("--config", project.ini, "preflight")
    assert guarded.status == 0
    assert "whether the event trigger guard refuses it" in guarded.stdout


def test_a_view_that_an_earlier_revision_only_reads_still_holds_its_column(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    later = (
        Revision("rev2", "rev1", "Two", "op.execute('SELECT count(*) FROM names')"),
        Revision("rev3", "rev2", "Three", 'op.drop_column("t1", "name")'),
    )
    project = at_rev1(magetui, tmp_path, pg_database, *later)
    pg_database.rows("CREATE VIEW names AS SELECT name FROM t1")
    shown = magetui("--config", project.ini, "preflight")
    assert shown.status == 3, shown
    assert "view names needs t1.name" in shown.stdout


def test_rows_are_looked_at_for_a_limited_time(magetui: Magetui, tmp_path: Path, database: Database) -> None:
    project = at_rev1(magetui, tmp_path, database)
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    with open_reading(Workspace(Selection(config=str(project.ini)))) as reading:
        assert reading.find(endless, 100).problem == LOOKING_TOOK_TOO_LONG
        assert reading.find(endless, 0).problem == NO_TIME_TO_LOOK
