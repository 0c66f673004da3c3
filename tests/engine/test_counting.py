"""Things are counted, not facts: the same number on every screen and in every verb, the most telling thing first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from magetui.engine.evidence.summary import count_differences, list_differences
from magetui.engine.schema.facts import Difference, Fact, without_parts
from tests.support.alembic_project import Revision, make_project, table
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase

COLUMN = (
    Fact("column", "task", "retries"),
    Fact("type", "task", "retries", "integer"),
    Fact("null", "task", "retries", "not null"),
    Fact("default", "task", "retries", "0"),
)
UNIQUE = (Fact("unique", "task", "", "name"), Fact("name", "task", "unique (name)", "uq_task_name"))
INDEX = Fact("index", "task", "ix_task_name", "name")


def test_a_missing_column_is_one_difference_whatever_its_type_and_default() -> None:
    missing: list[Difference] = [(fact, True) for fact in COLUMN]
    assert count_differences(missing) == "1 difference"
    assert list_differences(missing) == ["column task.retries is missing"]
    assert without_parts(COLUMN) == [COLUMN[0]]


def test_the_most_telling_difference_comes_first() -> None:
    differences: list[Difference] = [
        (Fact("null", "aaa", "b", "null"), False),
        (INDEX, True),
        *((fact, True) for fact in UNIQUE),
        *((fact, True) for fact in COLUMN),
        (Fact("table", "zebra"), True),
    ]
    assert count_differences(differences) == "5 differences"
    assert list_differences(differences) == [
        "table zebra is missing",
        "column task.retries is missing",
        "task unique by name is missing",
        "index ix_task_name on task (name) is missing",
        "aaa.b null exists and should not",
    ]


def test_evidence_and_verify_count_the_same(magetui: Magetui, tmp_path: Path) -> None:
    shop = SqliteDatabase(tmp_path / "shop.db")
    create = (
        'op.create_table("task", sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20)),\n'
        '                sa.Column("retries", sa.Integer, nullable=False, server_default="0"))\n'
        'op.create_index("ix_task_name", "task", ["name"])'
    )
    revisions = (Revision("rev1", None, "Create task", create), replace(table(2), down="rev1"))
    project = make_project(tmp_path / "project", revisions, shop.url)
    assert magetui("--config", project.ini, "migrate", "--yes").status == 0
    shop.rows("ALTER TABLE task DROP COLUMN retries")
    shop.rows("DROP INDEX ix_task_name")
    evidence = magetui("--config", project.ini, "evidence", "--json").json
    verified = magetui("--config", project.ini, "verify", "--yes", "--json").json
    things = [detail["message"] for detail in verified["differences"]]
    assert len(things) == 2
    assert [thing.partition(" ")[0] for thing in things] == ["column", "index"]
    assert "with 2 differences" in " ".join(evidence["conclusion"])
