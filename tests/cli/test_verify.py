"""`verify`: the live schema against one replayed from nothing, told of databases that are right, drifted, or wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import Revision, linear, make_project, table, two_heads
from tests.support.command import Magetui, Outcome
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.mage import HEAD, SCRIPTS, migrate_with_alembic
from tests.support.postgres import PostgresServer
from tests.support.steps import walking

pytestmark = pytest.mark.slow

BEFORE_HEAD, EARLIER = "0227396a216c", "dfe49d040487"
ON_BOTH = pytest.mark.parametrize("database", [18, "sqlite"], indirect=True)

DRIFT = {
    "postgresql": {
        'drop index "ix_user_email"': "missing index ix_user_email on user (unique: email)",
        "create index by_hand on block_run (status) where status is not null": (
            "extra index by_hand on block_run (btree (status) WHERE (status IS NOT NULL))"
        ),
        "alter table pipeline_run alter column pipeline_uuid type text": (
            "different pipeline_run.pipeline_uuid of type text, not character varying(255)"
        ),
        "alter table backfill alter column name set not null": (
            "different backfill.name is not null, and may be null by the scripts"
        ),
        "alter table role alter column name set default 'x'": (
            "different role.name with default 'x'::character varying, not none"
        ),
        "alter table secret add column extra integer": "extra column secret.extra",
        "alter table secret drop column name": "missing column secret.name",
        "alter table block_run drop constraint block_run_pipeline_run_id_fkey": (
            "missing foreign key block_run (pipeline_run_id) to pipeline_run (id)"
        ),
        "alter table tag_association rename to tags": "missing table tag_association",
        "alter table user_role rename constraint user_role_role_id_fkey to other": (
            "different foreign key (role_id) of user_role named other, not user_role_role_id_fkey"
        ),
        "alter type jobtype add value 'more'": "extra value 'more' of type jobtype",
        "alter type jobstatus rename value 'INITIAL' to 'initial'": "missing value 'INITIAL' of type jobstatus",
        "alter table tag add constraint positive check (id > 0)": "extra check positive on tag: CHECK ((id > 0))",
        "alter table user_project drop constraint user_project_pkey": "missing primary key of user_project on id",
    },
    "sqlite": {
        "drop index ix_user_email": "missing index ix_user_email on user (unique: email)",
        "create index by_hand on block_run (status) where status is not null": (
            "extra index by_hand on block_run ((status) where status is not null)"
        ),
        "alter table secret add column extra integer": "extra column secret.extra",
        "drop table generic_job": "missing table generic_job",
    },
}


def told(magetui: Magetui, mage_home: Path, url: str, *arguments: str, status: int = 0) -> Outcome:
    done = magetui("verify", *arguments, "--yes", "--mage-path", mage_home, "--url", url)
    assert done.status == status, done
    return done


def sentences(outcome: Outcome) -> str:
    return " ".join(outcome.stdout.split())


@pytest.fixture
def at_head(database: Database, mage_home: Path) -> Database:
    """Mage's database, of each kind in turn, made by Alembic alone."""
    migrate_with_alembic(database.url, mage_home)
    return database


@pytest.mark.every_version
def test_a_database_at_the_head_is_exactly_what_its_scripts_make(
    magetui: Magetui, mage_home: Path, at_head: Database
) -> None:
    before = at_head.content
    text = told(magetui, mage_home, at_head.url)
    assert sentences(text).startswith(
        f"The live schema equals the schema of {HEAD} (Create GenericJob), the current revision. "
        "Compared with 18 tables built from nothing in "
    )
    assert "Not compared: rows, views, functions, triggers, rights, and changes that env.py makes." in sentences(text)
    document = told(magetui, mage_home, at_head.url, "--json").json
    assert document["equal"] is True
    assert (document["revisions"], document["chosen"]) == ([HEAD], "current")
    assert (document["differences"], document["beside"], document["unread"]) == ([], [], [])
    assert document["place"] == ("memory" if at_head.dialect == "sqlite" else "schema")
    assert at_head.content == before


@ON_BOTH
def test_a_database_at_an_earlier_revision_is_what_that_one_makes(
    magetui: Magetui, mage_home: Path, mage_importable: None, database: Database
) -> None:
    with walking(database.url, mage_home / SCRIPTS) as steps:
        for revision in ("c07a23ff782b", EARLIER, BEFORE_HEAD):
            steps.upgrade(revision)
            assert told(magetui, mage_home, database.url, "--json").json["revisions"] == [revision]


@ON_BOTH
def test_each_kind_of_drift_is_named(magetui: Magetui, mage_home: Path, at_head: Database) -> None:
    drift = DRIFT[at_head.dialect]
    for statement in drift:
        at_head.rows(statement)
    before = at_head.content
    document = told(magetui, mage_home, at_head.url, "--json", status=3).json
    said = [f"{one['state']} {one['message']}" for one in document["differences"]]
    for statement, difference in drift.items():
        assert difference in said, (statement, said)
    text = sentences(told(magetui, mage_home, at_head.url, status=3))
    assert (
        f"The live schema has {len(said)} differences from the schema of {HEAD} (Create GenericJob), "
        "the current revision. " in text
    )
    assert at_head.content == before


@ON_BOTH
def test_a_current_revision_stamped_too_far_shows_what_is_missing(
    magetui: Magetui, mage_home: Path, database: Database
) -> None:
    migrate_with_alembic(database.url, mage_home, BEFORE_HEAD)
    database.rows(f"update alembic_version set version_num = '{HEAD}'")
    document = told(magetui, mage_home, database.url, "--json", status=3).json
    missing = [one["message"] for one in document["differences"]]
    types = ["type jobstatus", "type jobtype"] if database.dialect == "postgresql" else []
    assert missing == ["table generic_job", *types]
    assert told(magetui, mage_home, database.url, BEFORE_HEAD, "--json").json["chosen"] == "named"
    assert database.current == [HEAD]


def test_an_unknown_current_revision_is_replaced_by_what_the_schema_looks_like(
    magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, BEFORE_HEAD)
    for statement in ("update alembic_version set version_num = '256d6a12a927'", "drop table alembic_version"):
        pg_database.rows(statement)
        said = sentences(told(magetui, mage_home, pg_database.url))
        assert said.startswith(
            f"The live schema equals the schema of {BEFORE_HEAD} (Add UserProject table), the closest match, "
            "as the current revision is not known. "
        )


def test_what_a_rollback_left_behind_and_what_the_chain_does_not_know(
    magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, BEFORE_HEAD)
    pg_database.rows("create table reporting (id integer)")
    pg_database.rows("create type mood as enum ('sad')")
    pg_database.rows("create schema other")
    pg_database.rows("create table other.elsewhere (id integer)")
    document = told(magetui, mage_home, pg_database.url, "--json").json
    assert (document["equal"], document["beside"]) == (True, ["table reporting", "type mood"])
    said = sentences(told(magetui, mage_home, pg_database.url))
    assert "The chain does not mention table reporting, type mood: this is not a difference." in said
    pg_database.rows("create type jobtype as enum ('UPLOAD')")
    left = told(magetui, mage_home, pg_database.url, "--json", status=3).json["differences"]
    assert left == [{"state": "extra", "message": "type jobtype"}]


def test_a_mage_database_in_a_schema_of_its_own(
    magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase
) -> None:
    pg_database.rows("create schema mage_data")
    url = f"{pg_database.url}?options=-c%20search_path%3Dmage_data"
    migrate_with_alembic(url, mage_home)
    document = told(magetui, mage_home, url, "--json").json
    assert (document["equal"], document["tables"]) == (True, 18)


def test_a_locked_table_is_said_to_be_unread_not_different(
    magetui: Magetui, mage_home: Path, mage_pg_url: str, postgres: PostgresServer
) -> None:
    database = PostgresDatabase(postgres, mage_pg_url.rpartition("/")[2])
    with database.session("lock table block_run in access exclusive mode"):
        text = told(magetui, mage_home, database.url)
        document = told(magetui, mage_home, database.url, "--json").json
    assert sentences(text).startswith("As far as magetui could read it, the live schema equals the schema of ")
    assert document["unread"] == ["block_run"]


def test_consent_is_asked_for_and_read_only_refuses(
    magetui: Magetui, mage_home: Path, mage_pg_url: str, mage_sqlite_url: str
) -> None:
    common = ("verify", "--mage-path", mage_home, "--url")
    unasked = magetui(*common, mage_pg_url)
    assert unasked.status == 4
    assert "There is no terminal to ask for consent. Nothing was changed. To consent, add --yes." in unasked.stderr
    assert "one transaction that is never committed" in " ".join(unasked.stderr.split())
    refused = magetui(*common, mage_pg_url, "--yes", "--read-only")
    assert refused.status == 4
    assert "--read-only is set" in refused.stderr
    assert "--scratch-url" in refused.stderr
    assert magetui(*common, mage_sqlite_url, "--read-only").status == 0, "in memory nothing is written"


@pytest.mark.parametrize("source", ["flag", "variable"])
def test_a_scratch_database_needs_no_consent_and_is_left_empty(
    magetui: Magetui, mage_home: Path, mage_pg_url: str, pg_database: PostgresDatabase, source: str
) -> None:
    before = pg_database.content
    flags = ("--scratch-url", pg_database.url) if source == "flag" else ()
    env = {} if source == "flag" else {"MAGETUI_SCRATCH_URL": pg_database.url}
    done = magetui("verify", *flags, "--read-only", "--mage-path", mage_home, "--url", mage_pg_url, env=env)
    assert done.status == 0, done
    assert f"in the scratch database postgresql://mage:***@127.0.0.1:{pg_database.server.port}/" in sentences(done)
    assert pg_database.content == before
    pg_database.rows("create table kept (id integer)")
    full = magetui("verify", *flags, "--mage-path", mage_home, "--url", mage_pg_url, env=env)
    assert full.status == 4
    assert "The scratch database is not empty: it has table public.kept." in full.stderr


def test_a_scratch_database_of_the_wrong_kind_is_wrong_usage(
    magetui: Magetui, mage_home: Path, mage_pg_url: str, mage_sqlite_url: str
) -> None:
    for url, scratch, said in (
        (mage_pg_url, mage_sqlite_url, "The scratch database must be postgresql too, not sqlite."),
        (mage_sqlite_url, mage_pg_url, "SQLite schemas are replayed in memory"),
    ):
        done = magetui("verify", "--scratch-url", scratch, "--mage-path", mage_home, "--url", url)
        assert done.status == 2
        assert said in done.stderr


def test_a_role_that_may_not_create_a_schema_is_told_of_another_place(
    magetui: Magetui, mage_home: Path, mage_pg_url: str, postgres: PostgresServer
) -> None:
    name = mage_pg_url.rpartition("/")[2]
    postgres.execute(name, "create role looker login password 'l00k'")
    try:
        postgres.execute(name, "grant select on all tables in schema public to looker")
        done = magetui(
            *("verify", "--yes", "--mage-path", mage_home),
            *("--url", f"postgresql://looker:l00k@127.0.0.1:{postgres.port}/{name}"),
        )
    finally:
        postgres.execute(name, "drop owned by looker")
        postgres.execute(name, "drop role looker")
    assert done.status == 4
    assert "The role may not create a schema in that database" in done.stderr
    assert "--scratch-url" in done.stderr
    assert "l00k" not in done.stderr


@ON_BOTH
def test_an_ordinary_project_and_a_current_revision_of_two_branches(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    project = make_project(tmp_path / "project", two_heads(), database.url)
    for revision in ("rev2", "rev3"):
        assert magetui("migrate", "--revision", revision, "--yes", "--config", project.ini).status == 0
    done = magetui("verify", "--yes", "--config", project.ini)
    assert done.status == 0, done
    assert sentences(done).startswith("The live schema equals the schema of rev2 and rev3, the current revisions. ")


def test_an_empty_database_is_what_no_revision_makes(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", linear(1), sqlite_database.url)
    done = magetui("verify", "--config", project.ini)
    assert done.status == 0, done
    assert sentences(done).startswith(
        "The live schema equals the schema of base (before the first revision), the current revision."
    )
    assert not sqlite_database.path.exists()
    assert magetui("verify", "rev1", "--config", project.ini).status == 3
    assert magetui("verify", "nosuch", "--config", project.ini).status == 2


@ON_BOTH
def test_a_script_that_fails_says_where_and_leaves_nothing(
    magetui: Magetui, tmp_path: Path, database: Database
) -> None:
    wrong = Revision(
        "rev2", "rev1", "Fail", 'op.create_table("half", sa.Column("id", sa.Integer))\nraise RuntimeError("no way on")'
    )
    project = make_project(tmp_path / "project", (table(1), wrong), database.url)
    assert magetui("migrate", "--revision", "rev1", "--yes", "--config", project.ini).status == 0
    before = database.content
    done = magetui("verify", "rev2", "--yes", "--config", project.ini)
    assert done.status == 1
    assert "Revision rev2 (Fail): RuntimeError: no way on. At " in done.stderr
    assert "rev2_fail.py, line " in done.stderr
    assert "Nothing of the replay is left." in done.stderr
    assert database.content == before


def test_an_index_built_concurrently_and_a_new_value_used_at_once(
    magetui: Magetui, tmp_path: Path, pg_database: PostgresDatabase
) -> None:
    typed = Revision(
        "rev2",
        "rev1",
        "Add a type",
        "mood = sa.Enum('sad', name='mood')\nmood.create(op.get_bind())\n"
        "op.add_column('t1', sa.Column('mood', mood))\n"
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('by_name', 't1', ['name'], postgresql_concurrently=True)\n"
        "    op.execute(\"alter type mood add value 'ok'\")",
    )
    used = Revision("rev3", "rev2", "Use it", "op.alter_column('t1', 'mood', server_default='ok')")
    project = make_project(tmp_path / "project", (table(1), typed, used), pg_database.url)
    assert magetui("migrate", "--yes", "--config", project.ini).status == 0
    equal = magetui("verify", "rev2", "--yes", "--config", project.ini)
    assert sentences(equal).count("different t1.mood") == 1, equal
    done = magetui("verify", "--yes", "--config", project.ini)
    if pg_database.server.major >= 17:
        assert done.status == 0, done
    else:
        assert done.status == 1
        assert "can be used from PostgreSQL 17 on" in done.stderr


def test_a_primary_key_of_sqlite_is_not_said_to_be_null(magetui: Magetui, tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "data.db")
    project = make_project(tmp_path / "project", linear(1), database.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    [(sql,)] = database.rows("select sql from sqlite_master where name = 't1'")
    database.rows("drop table t1")
    database.rows(sql.replace("id INTEGER NOT NULL", "id INTEGER"))
    done = magetui("--config", project.ini, "verify", "rev1", "--yes")
    assert "may be null" not in done.stdout + done.stderr, done
