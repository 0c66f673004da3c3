"""What scripts and servers spell each in their own way is one and the same to whoever compares them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from magetui.engine import evidence
from magetui.engine.diagnosis import add_evidence, diagnose
from magetui.engine.evidence import Evidence, gather_evidence
from magetui.engine.rawsql import Unclear, operations_of
from magetui.engine.selection import Selection
from magetui.engine.workspace import Workspace
from tests.alembic_project import Revision, linear, make_project, table
from tests.databases import Database, PostgresDatabase, SqliteDatabase
from tests.steps import walking

ON_18 = pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])


def after_each(database: Database, folder: Path, *upgrades: str) -> Iterator[Evidence]:
    """The evidence after each step of a chain whose first revision makes t1."""
    later = (Revision(f"rev{n}", f"rev{n - 1}", "Later", upgrade) for n, upgrade in enumerate(upgrades, start=2))
    project = make_project(folder / "project", (table(1), *later), database.url)
    for number in range(1, len(upgrades) + 2):
        with walking(database.url, project.directory / "migrations") as steps:
            steps.upgrade(f"rev{number}")
        yield gather_evidence(Workspace(Selection(config=str(project.ini))))


@ON_18
@pytest.mark.parametrize(
    "altered",
    [
        "ALTER COLUMN name TYPE text",
        "ALTER name TYPE text",
        "ALTER COLUMN name SET DATA TYPE varchar(70)",
        "ALTER name TYPE text USING upper(name), ALTER id TYPE bigint",
        'ALTER name TYPE text COLLATE "C"',
    ],
)
def test_column_is_given_another_type_in_the_scripts_own_sql(
    pg_database: PostgresDatabase, tmp_path: Path, altered: str
) -> None:
    found = after_each(pg_database, tmp_path, f"op.execute({f'ALTER TABLE t1 {altered}'!r})")
    assert [one.fits for one in found] == [(("rev1",),), (("rev2",),)]


@pytest.mark.parametrize("dialect", ["postgresql", "sqlite"])
@pytest.mark.parametrize("check", ["(" * 3_000 + "1" + ")" * 3_000, "(("])
def test_sql_that_the_parser_cannot_take_is_unclear(check: str, dialect: str) -> None:
    [made] = operations_of(f"ALTER TABLE task ADD CHECK {check}", dialect)
    assert isinstance(made, Unclear)
    assert "task" in made.words


def test_comparison_that_breaks_leaves_the_rest_of_the_diagnosis(
    sqlite_database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("nobody thought of this")

    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    with walking(sqlite_database.url, project.directory / "migrations") as steps:
        steps.upgrade("rev1")
    monkeypatch.setattr(evidence, "weigh", broken)
    workspace = Workspace(Selection(config=str(project.ini)))
    found = {finding.code: finding for finding in add_evidence(workspace, diagnose(workspace)).findings}
    assert set(found) == {"behind", "evidence-missing"}
    assert "AttributeError: nobody thought of this" in found["evidence-missing"].message
