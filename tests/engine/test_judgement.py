"""The evidence in a diagnosis: a candidate for a lost current revision, a wrong current revision, a small drift."""

from __future__ import annotations

from pathlib import Path

import pytest

from magetui.engine.diagnosis.finding import Finding
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.databases import Database, SqliteDatabase
from tests.support.mage import HEAD
from tests.support.readings import add_evidence, diagnose

BEFORE_HEAD = "0227396a216c"


@pytest.fixture
def mage(mage_sqlite_url: str) -> SqliteDatabase:
    return SqliteDatabase(Path(mage_sqlite_url.removeprefix("sqlite:///")))


def found(database: Database, mage_home: Path) -> dict[str, Finding]:
    workspace = Workspace(Selection(url=database.url, mage_path=str(mage_home)))
    return {finding.code: finding for finding in add_evidence(workspace, diagnose(workspace)).findings}


@pytest.mark.slow
def test_current_revision_that_the_schema_fits_is_left_alone(mage: SqliteDatabase, mage_home: Path) -> None:
    assert list(found(mage, mage_home)) == ["up-to-date"]


@pytest.mark.parametrize(
    ("done", "code"),
    [
        ("UPDATE alembic_version SET version_num = 'feedfacecafe'", "unknown-revision"),
        ("DELETE FROM alembic_version", "empty-version-table"),
        ("DROP TABLE alembic_version", "no-version-table"),
    ],
)
def test_lost_current_revision_is_told_with_the_revision_that_the_schema_fits(
    mage: SqliteDatabase, mage_home: Path, done: str, code: str
) -> None:
    mage.rows(done)
    finding = found(mage, mage_home)[code]
    assert finding.message.endswith(f"The schema matches {HEAD} (Create GenericJob). This is evidence, not proof.")
    assert finding.facts["fits"] == [[HEAD]]


def test_tables_of_somebody_else_alone_are_taken_for_the_wrong_database(tmp_path: Path, mage_home: Path) -> None:
    database = SqliteDatabase(tmp_path / "mage-ai.db")
    database.rows("CREATE TABLE of_somebody_else (id INTEGER)")
    finding = found(database, mage_home)["no-version-table"]
    assert finding.next == "connect"
    assert finding.message.endswith("this is probably the database of another application. Check the URL.")


def test_wrongly_stamped_current_revision_is_critical_and_comes_first(mage: SqliteDatabase, mage_home: Path) -> None:
    mage.rows(f"UPDATE alembic_version SET version_num = '{BEFORE_HEAD}'")
    findings = found(mage, mage_home)
    assert list(findings) == ["evidence-contradicts", "behind"]
    assert findings["evidence-contradicts"].severity == "critical"
    assert f"The current revision is {BEFORE_HEAD}, but the schema does not match it. The schema matches {HEAD}" in (
        findings["evidence-contradicts"].message
    )


def test_half_of_a_revision_is_named_as_such(mage: SqliteDatabase, mage_home: Path) -> None:
    mage.rows("DROP INDEX ix_generic_job_status")
    finding = found(mage, mage_home)["evidence-contradicts"]
    assert (
        f"Revision {HEAD} (Create GenericJob) is partially applied: of its 3 operations 2 are done, 1 is missing."
        in (finding.message)
    )


def test_column_dropped_by_hand_is_a_drift_and_no_other_revision(mage: SqliteDatabase, mage_home: Path) -> None:
    mage.rows("ALTER TABLE pipeline_run DROP COLUMN metrics")
    findings = found(mage, mage_home)
    assert (findings["evidence-contradicts"].severity, findings["up-to-date"].severity) == ("warning", "ok")
    assert f"The schema almost matches {HEAD}: column pipeline_run.metrics is missing" in (
        findings["evidence-contradicts"].message
    )


def test_index_added_by_hand_is_nobodys_concern(mage: SqliteDatabase, mage_home: Path) -> None:
    mage.rows("CREATE INDEX by_hand ON role (created_at)")
    assert list(found(mage, mage_home)) == ["up-to-date"]
