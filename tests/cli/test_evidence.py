"""`evidence`: which revision the schema matches, where the current revision is right, wrong, unknown or gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from magetui.engine.evidence.evidence import gather_evidence
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.text.comparison import Compared
from magetui.text.evidence import Conclusion, conclude
from magetui.text.verdict import Verdict
from tests.support.alembic_project import Revision, cycle, make_project, table, two_heads
from tests.support.command import Magetui, Outcome
from tests.support.databases import Database, PostgresDatabase, SqliteDatabase
from tests.support.mage import COUNT, HEAD, migrate_with_alembic
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.slow

BEHIND = "42a14d6143f1"
BEFORE_HALF, HALF = "117f8c3b9c42", "526c4523d5d5"
ON_BOTH = pytest.mark.parametrize("database", [18, "sqlite"], indirect=True)


@pytest.fixture
def behind(database: Database, mage_home: Path) -> Database:
    """Mage's database, two revisions behind."""
    migrate_with_alembic(database.url, mage_home, BEHIND)
    return database


def told(magetui: Magetui, mage_home: Path, url: str, *flags: str) -> Outcome:
    done = magetui("evidence", *flags, "--mage-path", mage_home, "--url", url)
    assert done.status == 0, done
    return done


def sentences(outcome: Outcome) -> str:
    """Return the sentences above the list, on one line."""
    return " ".join(outcome.stdout.partition("\n\n")[0].split())


@ON_BOTH
def test_the_schema_fits_the_current_revision(magetui: Magetui, mage_home: Path, behind: Database) -> None:
    before = behind.content
    text = told(magetui, mage_home, behind.url)
    assert sentences(text) == (
        f"The schema matches {BEHIND} (Update token column type). The current revision is {BEHIND}. The schema matches "
        "it. This is evidence, not proof: rows, invalid indexes and tables that no script makes are not "
        "compared. Nothing is stamped unless you do it."
    )
    assert f"missing       {HEAD}   Create GenericJob\n" in text.stdout
    assert f"applied       {BEHIND}   Update token column type  [matches, current revision]\n" in text.stdout
    document = told(magetui, mage_home, behind.url, "--json").json
    assert (document["current"], document["current_matches"]) == ([BEHIND], True)
    assert (document["fits"], document["nearest"], document["next"]) == ([[BEHIND]], None, None)
    assert len(document["revisions"]) == COUNT
    assert document["revisions"][0] == {
        "revision": HEAD,
        "message": "Create GenericJob",
        "state": "missing",
        "there": [],
        "missing": document["revisions"][0]["missing"],
        "why": None,
    }
    assert "table generic_job" in document["revisions"][0]["missing"]
    assert behind.content == before


@ON_BOTH
def test_a_current_revision_stamped_too_far_does_not_fit(magetui: Magetui, mage_home: Path, behind: Database) -> None:
    behind.rows(f"update alembic_version set version_num = '{HEAD}'")
    text = told(magetui, mage_home, behind.url)
    assert (
        f"The schema matches {BEHIND} (Update token column type). The current revision is {HEAD}. The schema does not "
        "match it. " in sentences(text)
    )
    assert f"missing       {HEAD}   Create GenericJob  [current revision]\n" in text.stdout
    document = told(magetui, mage_home, behind.url, "--json").json
    assert (document["current_matches"], document["next"]) == (False, f"magetui stamp {BEHIND}")


@ON_BOTH
def test_an_empty_version_table_names_the_revision_to_stamp(
    magetui: Magetui, mage_home: Path, behind: Database
) -> None:
    behind.rows("delete from alembic_version")
    text = told(magetui, mage_home, behind.url)
    assert (
        "The version table is empty, so a migration would start with the first revision. But the schema shows that "
        "revisions were applied." in sentences(text)
    )
    assert f"  magetui stamp {BEHIND}\n" in text.stdout


@ON_BOTH
def test_an_unknown_current_revision_is_to_be_replaced_and_no_other(
    magetui: Magetui, mage_home: Path, behind: Database
) -> None:
    behind.rows("update alembic_version set version_num = '256d6a12a927'")
    text = told(magetui, mage_home, behind.url)
    assert "The current revision is 256d6a12a927, and the scripts do not have that revision." in sentences(text)
    document = told(magetui, mage_home, behind.url, "--json").json
    assert document["current_matches"] is None
    assert document["next"] == f"magetui stamp {BEHIND} --replace-unknown-revision 256d6a12a927"
    assert f"  {document['next']}\n" in text.stdout
    stamped = magetui(*document["next"].split()[1:], "--yes", "--mage-path", mage_home, "--url", behind.url)
    assert stamped.status == 0, stamped
    assert behind.current == [BEHIND]


def test_a_revision_half_applied_by_hand(magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase) -> None:
    migrate_with_alembic(pg_database.url, mage_home, BEFORE_HALF)
    pg_database.rows("alter table permission add column user_id integer, add column entity_name varchar(255)")
    text = told(magetui, mage_home, pg_database.url)
    assert (
        f"The schema matches no revision. Revision {HALF} (Add user_id to Roles and more entity columns to "
        "Permissions) is partially applied: of its 7 operations 2 are done, 5 are missing. "
        "Missing: adds permission.entity_type (VARCHAR(255), null); "
        "adds permission.options (JSON, null); adds foreign key permission_user_id from permission (user_id) to user "
        "(id); "
    ) in sentences(text)
    assert f"The current revision is {BEFORE_HALF}. The schema does not match it." in sentences(text)
    assert "magetui stamp" not in text.stdout
    assert f"partial       {HALF}" in text.stdout
    document = told(magetui, mage_home, pg_database.url, "--json").json
    assert document["half"] == {"revision": HALF, "direction": "upgrade"}
    assert [one["state"] for one in document["details"]] == ["done"] * 2 + ["missing"] * 5


def test_a_schema_that_fits_nothing_names_the_nearest_and_whole_things(
    magetui: Magetui, mage_home: Path, mage_pg_url: str, postgres: PostgresServer
) -> None:
    database = PostgresDatabase(postgres, mage_pg_url.rpartition("/")[2])
    database.rows("drop table tag_association")
    database.rows('alter table "user" alter column email type text')
    database.rows("alter table pipeline_run drop column variables")
    text = told(magetui, mage_home, database.url)
    assert (
        f"The schema matches no revision. Nearest is {HEAD} (Create GenericJob), with 3 differences: table "
        "tag_association is missing; column pipeline_run.variables is missing; user.email of type text, not character "
        "varying(255). "
    ) in sentences(text)


def test_what_the_schema_cannot_tell_apart_is_said(
    magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase
) -> None:
    migrate_with_alembic(pg_database.url, mage_home, "90d978a8aef8")
    said = sentences(told(magetui, mage_home, pg_database.url))
    assert "The schema matches these two, which it cannot tell apart: " in said
    assert "if a rollback or a stopped run left value 'CONDITION_FAILED' of type blockrunstatus behind." in said
    assert "The current revision is 90d978a8aef8. The schema matches it." in said


def test_nothing_is_proposed_while_the_current_revision_cannot_be_read(
    magetui: Magetui, mage_home: Path, mage_pg_url: str, postgres: PostgresServer
) -> None:
    database = PostgresDatabase(postgres, mage_pg_url.rpartition("/")[2])
    with database.session("lock table alembic_version in access exclusive mode"):
        document = told(magetui, mage_home, database.url, "--json").json
    assert document["conclusion"][1].startswith(
        "The current revision cannot be read. Another session has public.alembic_version"
    )
    assert (document["fits"], document["current_matches"], document["next"]) == ([[HEAD]], None, None)


def test_a_current_revision_of_two_branches_is_named_whole(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", two_heads(), sqlite_database.url)
    for revision in ("rev2", "rev3"):
        assert magetui("migrate", "--revision", revision, "--yes", "--config", project.ini).status == 0
    said = sentences(magetui("evidence", "--config", project.ini))
    assert said.startswith(
        "The schema matches rev3 and rev2. The current revisions are rev2 and rev3. The schema matches them. "
    )


def test_the_verdict_and_the_operations_of_each_revision_are_in_short_lines(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", two_heads(), sqlite_database.url)
    for revision in ("rev2", "rev3"):
        assert magetui("migrate", "--revision", revision, "--yes", "--config", project.ini).status == 0
    assert concluded(project.ini).verdict == Verdict(
        "The schema matches the current revisions rev2 and rev3.",
        "'magetui verify' compares it with the schema that the scripts make.",
    )
    sqlite_database.rows("drop table t3")
    sqlite_database.rows("create table _alembic_tmp_t2 (id integer)")
    conclusion = concluded(project.ini)
    assert conclusion.verdict == Verdict(
        "The schema matches rev2, not the current revisions rev2 and rev3.",
        "If that is right, 'magetui stamp rev2' sets the current revision. "
        "'magetui clean' plans what to do with the table _alembic_tmp_t2.",
    )
    assert conclusion.compared["rev3"] == (Compared("missing", "table t3", "2 columns", "missing"),)
    assert conclusion.compared["rev2"] == (
        Compared("equal", "table t2", "2 columns", "2 columns"),
        Compared("extra", "table _alembic_tmp_t2", "", "exists: a leftover"),
    )


def concluded(config: Path) -> Conclusion:
    """Return what the evidence screen shows of a project's database."""
    workspace = Workspace(Selection(config=str(config), trust=True))
    with open_reading(workspace) as reading:
        evidence = gather_evidence(reading, by_operation=True)
        return conclude(workspace.chain, evidence, reading.overview.version_table, workspace.target.clean)


def test_an_empty_database_is_before_the_first_revision(
    magetui: Magetui, mage_home: Path, sqlite_database: SqliteDatabase
) -> None:
    assert sentences(told(magetui, mage_home, sqlite_database.url)).startswith(
        "The schema matches a database before the first revision. "
        "There is no version table in this schema, so a migration would start with the first revision. "
        "That is right for this schema. "
    )
    assert not sqlite_database.path.exists()


def test_scripts_that_make_nothing_say_so(magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase) -> None:
    project = make_project(tmp_path / "project", [Revision("rev1", None, "Nothing")], sqlite_database.url)
    done = magetui("evidence", "--config", project.ini)
    assert done.status == 0, done
    assert sentences(done).startswith("The scripts make no table, so the schema cannot say where the database is.")
    assert "magetui stamp" not in done.stdout


def test_what_stands_in_the_way_is_a_sentence(
    magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase
) -> None:
    project = make_project(tmp_path / "project", [table(1)], "postgresql://mage:s3cret@127.0.0.1:1/mage")
    refused = magetui("evidence", "--config", project.ini)
    assert refused.status == 1
    assert "Check the host and port, and that the server is running." in refused.stderr
    circle = make_project(tmp_path / "circle", cycle(), sqlite_database.url)
    broken = magetui("evidence", "--config", circle.ini)
    assert broken.status == 1
    assert "The scripts follow one another in a circle" in broken.stderr
    nothing = magetui("evidence", cwd=tmp_path)
    assert nothing.status == 2
    assert "No migration scripts were found" in nothing.stderr
    for outcome in (refused, broken, nothing):
        assert outcome.stdout == ""
        assert "Traceback" not in outcome.stderr
        assert "s3cret" not in outcome.stderr
