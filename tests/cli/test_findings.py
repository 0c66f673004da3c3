"""Each thing that `diagnose` recognises, brought about for real and told in a sentence with the next verb."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from magetui.engine.project.releases import releases
from tests.support.alembic_project import Revision, linear, make_project, two_heads
from tests.support.command import Magetui
from tests.support.databases import PostgresDatabase, SqliteDatabase
from tests.support.mage import HEAD, SCRIPTS
from tests.support.postgres import HOST, PASSWORD

BEHIND = "42a14d6143f1"


@pytest.fixture
def at_head(mage_pg_url: str, postgres: Any) -> PostgresDatabase:
    """Mage's database at its head."""
    return PostgresDatabase(postgres, mage_pg_url.rpartition("/")[2])


@pytest.fixture
def older_mage(mage_home: Path, tmp_path: Path) -> Path:
    """The directory of a Mage 0.9.70: all of the newer one but its last two revisions."""
    older = tmp_path / "older"
    real, place = mage_home / "mage_ai", older / "mage_ai"
    place.mkdir(parents=True)
    (older / "mage_ai-0.9.70.dist-info").mkdir()
    for part in SCRIPTS.parts[1:]:
        for other in real.iterdir():
            if other.name != part:
                (place / other.name).symlink_to(other)
        real, place = real / part, place / part
        place.mkdir()
    for other in real.iterdir():
        if other.name != "versions":
            (place / other.name).symlink_to(other)
    scripts = shutil.copytree(real / "versions", place / "versions")
    for revision in (HEAD, "0227396a216c"):
        [script] = scripts.glob(f"*{revision}*.py")
        script.unlink()
    return older


def found(magetui: Magetui, mage_home: Path, url: str, status: int) -> Mapping[str, Mapping[str, Any]]:
    """What `diagnose` finds, by code; its exit status must be `status`."""
    done = magetui("diagnose", "--json", "--mage-path", mage_home, "--url", url)
    assert done.status == status, done
    return {finding["code"]: finding for finding in done.json["findings"]}


def test_database_without_a_table(magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase) -> None:
    findings = found(magetui, mage_home, pg_database.url, 3)
    assert findings["empty-database"]["next"] == "migrate"
    assert findings["empty-database"]["facts"]["pending"] == 40


def test_tables_without_a_version_table(magetui: Magetui, mage_home: Path, at_head: PostgresDatabase) -> None:
    at_head.rows("drop table alembic_version")
    finding = found(magetui, mage_home, at_head.url, 3)["no-version-table"]
    assert (finding["severity"], finding["next"]) == ("critical", "stamp")
    assert "stamp it, before anything is migrated" in finding["message"]


def test_version_table_without_a_row(magetui: Magetui, mage_home: Path, at_head: PostgresDatabase) -> None:
    at_head.rows("delete from alembic_version")
    finding = found(magetui, mage_home, at_head.url, 3)["empty-version-table"]
    assert (finding["severity"], finding["next"]) == ("critical", "stamp")


def test_more_rows_than_the_chain_explains(magetui: Magetui, mage_home: Path, at_head: PostgresDatabase) -> None:
    at_head.rows(f"insert into alembic_version values ('{BEHIND}')")
    assert found(magetui, mage_home, at_head.url, 3)["several-current-revisions"]["next"] == "stamp"


def test_current_revision_of_an_old_mage_names_the_release_to_pin(
    magetui: Magetui, mage_home: Path, at_head: PostgresDatabase
) -> None:
    at_head.rows("update alembic_version set version_num = '256d6a12a927'")
    finding = found(magetui, mage_home, at_head.url, 3)["unknown-revision"]
    # The package 0.2.10 has no migrations, so installing it would not help.
    assert "It was written by mage-ai 0.2.10; you run 0.9.80. No published package of it" in finding["message"]
    assert "'magetui stamp' can replace the current revision." in finding["message"]
    assert finding["next"] == "evidence"
    facts = finding["facts"]
    assert (facts["current"], facts["releases"], facts["pin"]) == ("256d6a12a927", "mage-ai 0.2.10", None)


def test_current_revision_that_no_release_has_is_said_to_be_none_that_is_known(
    magetui: Magetui, mage_home: Path, mage_sqlite_url: str, tmp_path: Path
) -> None:
    SqliteDatabase(tmp_path / "mage-ai.db").rows("update alembic_version set version_num = '0123456789ab'")
    finding = found(magetui, mage_home, mage_sqlite_url, 3)["unknown-revision"]
    assert f"No release of Mage up to {releases()[-1].version}, the newest known here, has it" in finding["message"]
    assert "pip install" not in finding["message"]
    assert finding["facts"]["pin"] is None


def test_database_that_is_ahead_of_the_mage_there_is_told_both_ways_out(
    magetui: Magetui, older_mage: Path, mage_sqlite_url: str
) -> None:
    finding = found(magetui, older_mage, mage_sqlite_url, 3)["unknown-revision"]
    message = finding["message"]
    assert f"at revision {HEAD}, which the chain of mage-ai 0.9.70 does not have (38 revisions)" in message
    assert "It was written by mage-ai 0.9.77 to 0.9.80; you run 0.9.70. The database is ahead of your Mage." in message
    assert "Run that release again: 'pip install mage-ai==0.9.80'." in message
    assert f"with that release installed, roll back first: 'magetui rollback --revision {BEHIND}'." in message
    assert "'stamp'" not in message  # the newer tables are there: an older current revision would be a lie
    assert finding["next"] == "evidence"
    assert finding["facts"]["running"] == "0.9.70"


def test_database_that_is_behind_says_which_mage_left_it_and_how_to_run_that_one_instead(
    magetui: Magetui, mage_home: Path, mage_sqlite_url: str, tmp_path: Path
) -> None:
    database = SqliteDatabase(tmp_path / "mage-ai.db")
    database.rows("update alembic_version set version_num = '0227396a216c'")
    finding = found(magetui, mage_home, mage_sqlite_url, 3)["behind"]
    assert "It was written by mage-ai 0.9.71 to 0.9.76; you run 0.9.80." in finding["message"]
    assert "To run that again instead: 'pip install mage-ai==0.9.76'." in finding["message"]
    assert finding["facts"]["pin"] == "0.9.76"
    database.rows("update alembic_version set version_num = '526c4523d5d5'")
    finding = found(magetui, mage_home, mage_sqlite_url, 3)["behind"]
    assert "No release of Mage stopped there: mage-ai 0.9.32 is the first that has it; you run" in finding["message"]
    assert (finding["facts"]["releases"], finding["facts"]["first_release"]) == (None, "0.9.32")


def test_database_at_the_head_says_which_releases_run_on_it(
    magetui: Magetui, mage_home: Path, mage_sqlite_url: str
) -> None:
    finding = found(magetui, mage_home, mage_sqlite_url, 0)["up-to-date"]
    assert (
        finding["message"]
        == f"The current revision is the head, {HEAD}. It belongs to mage-ai 0.9.77 to 0.9.80; you run 0.9.80."
    )


@pytest.mark.slow
def test_chain_with_two_heads(magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase) -> None:
    project = make_project(tmp_path / "project", two_heads(), sqlite_database.url)
    done = magetui("diagnose", "--json", "--config", project.ini)
    assert done.status == 3
    assert "several-heads" in [finding["code"] for finding in done.json["findings"]]
    refused = magetui("migrate", "--yes", "--config", project.ini)
    assert refused.status == 2
    assert "'head' is ambiguous" in refused.stderr
    assert {finding["next"] for finding in done.json["findings"]} == {"history"}, "which head, is for somebody to say"
    for head in ("rev2@head", "rev3"):
        migrated = magetui("migrate", "--revision", head, "--yes", "--config", project.ini)
        assert migrated.status == 0, migrated
    assert sqlite_database.current == ["rev2", "rev3"]
    healthy = magetui("diagnose", "--json", "--config", project.ini)
    assert healthy.status == 0, healthy
    assert [(one["code"], one["severity"]) for one in healthy.json["findings"]] == [
        ("up-to-date", "ok"),
        ("several-heads", "info"),
    ]


def test_search_path_that_names_a_missing_schema(
    magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase
) -> None:
    url = f"{pg_database.url}?options=-c%20search_path%3Dmage_prod"
    finding = found(magetui, mage_home, url, 3)["schema-missing"]
    assert finding["severity"] == "critical"
    assert "mage_prod" in finding["message"]


def test_version_table_in_another_schema(magetui: Magetui, mage_home: Path, at_head: PostgresDatabase) -> None:
    at_head.rows("create schema team")
    url = f"{at_head.url}?options=-c%20search_path%3Dteam"
    finding = found(magetui, mage_home, url, 3)["version-table-elsewhere"]
    assert finding["severity"] == "critical"
    assert f"public ({HEAD})" in finding["message"]


def test_role_that_does_not_own_the_tables(magetui: Magetui, mage_home: Path, at_head: PostgresDatabase) -> None:
    at_head.rows(f"update alembic_version set version_num = '{BEHIND}'")
    at_head.server.execute("postgres", "drop role if exists visitor")
    at_head.server.execute("postgres", "create role visitor login password 'visitor-secret'")
    at_head.rows("grant select on all tables in schema public to visitor")
    url = f"postgresql://visitor:visitor-secret@{HOST}:{at_head.server.port}/{at_head.name}"
    finding = found(magetui, mage_home, url, 3)["not-owner"]
    assert finding["severity"] == "warning"
    assert finding["facts"]["owners"] == ["mage"]


def test_index_that_a_failed_concurrent_build_left_invalid(
    magetui: Magetui, mage_home: Path, at_head: PostgresDatabase
) -> None:
    at_head.rows("insert into pipeline_run (pipeline_uuid) values ('twice'), ('twice')")
    with pytest.raises(psycopg2.errors.UniqueViolation):
        at_head.rows("create unique index concurrently run_twice on pipeline_run (pipeline_uuid)")
    finding = found(magetui, mage_home, at_head.url, 3)["invalid-index"]
    assert finding["facts"] == {"name": "public.run_twice", "table": "pipeline_run"}


def test_table_that_a_batch_operation_left(magetui: Magetui, tmp_path: Path, sqlite_database: SqliteDatabase) -> None:
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    assert magetui("migrate", "--revision", "rev1", "--yes", "--config", project.ini).status == 0
    sqlite_database.rows("create table _alembic_tmp_t1 (id integer)")
    finding = magetui("diagnose", "--json", "--config", project.ini).json["findings"][0]
    assert (finding["code"], finding["severity"]) == ("leftover-table", "critical")


def test_somebody_who_is_migrating_is_named(magetui: Magetui, mage_home: Path, at_head: PostgresDatabase) -> None:
    with at_head.server.connect(at_head.name, application_name="mage-server") as starting:
        with starting.cursor() as cursor:
            cursor.execute("select pg_advisory_lock(1)")
        finding = found(magetui, mage_home, at_head.url, 3)["migration-lock-held"]
        assert finding["facts"]["pid"] == starting.info.backend_pid
        assert "mage-server" in finding["message"]


def test_sessions_that_a_migration_would_wait_for(magetui: Magetui, mage_home: Path, at_head: PostgresDatabase) -> None:
    at_head.rows(f"update alembic_version set version_num = '{BEHIND}'")
    server = at_head.server
    with (
        server.connect(at_head.name, application_name="idler") as idler,
        server.connect(at_head.name, application_name="worker") as worker,
    ):
        idler.cursor().execute("select * from role")
        worker.cursor().execute("lock table tag in row exclusive mode")
        finding = found(magetui, mage_home, at_head.url, 3)["idle-in-transaction"]
        assert finding["severity"] == "warning"
        assert sorted(finding["facts"]["pids"]) == sorted([idler.info.backend_pid, worker.info.backend_pid])
        assert finding["facts"]["relations"] == ["role", "tag"]


def test_wrong_password_is_a_finding_and_is_not_repeated(
    magetui: Magetui, mage_home: Path, pg_database: PostgresDatabase
) -> None:
    url = f"postgresql://mage:wrong-secret@{HOST}:{pg_database.server.port}/{pg_database.name}"
    finding = found(magetui, mage_home, url, 3)["cannot-connect"]
    assert finding["facts"]["cause"] == "password"
    assert "wrong-secret" not in str(finding)
    assert PASSWORD not in str(finding)


@pytest.mark.slow
def test_a_session_that_the_pending_revision_would_wait_for_comes_before_it(
    magetui: Magetui, pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    alters = Revision("rev2", "rev1", "More", 'op.add_column("t1", sa.Column("more", sa.Integer))')
    project = make_project(tmp_path / "waiting", (*linear(1), alters), pg_database.url)
    assert magetui("--config", project.ini, "migrate", "--revision", "rev1", "--yes").status == 0
    pg_database.rows("create table other (id integer)")
    with pg_database.session("select * from t1", "reporting") as session:
        found = magetui("--config", project.ini, "diagnose", "--json").json["findings"]
        assert [(finding["code"], finding["next"]) for finding in found] == [
            ("idle-in-transaction", "locks"),
            ("behind", "locks"),
        ]
        pid = session.info.backend_pid
        assert f"with locks on t1. The pending revisions would wait for session {pid}." in found[0]["message"]
    with pg_database.session("select * from other", "reporting"):
        found = magetui("--config", project.ini, "diagnose", "--json").json["findings"]
        assert [(finding["code"], finding["next"]) for finding in found] == [
            ("behind", "migrate"),
            ("idle-in-transaction", "locks"),
        ]
