"""A reading: one connection, on which each fact is read once, and only if somebody asks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from magetui.engine.diagnosis.diagnosis import add_evidence, diagnose
from magetui.engine.errors import MagetuiError
from magetui.engine.plan import make_plan
from magetui.engine.preview.preview import preview_plan
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.alembic_project import linear, make_project
from tests.support.databases import PostgresDatabase, SqliteDatabase


def test_details_are_read_once_and_not_before_the_first_answer(
    sqlite_database: SqliteDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_database.rows("create table other (id integer primary key)")
    project = make_project(tmp_path / "project", linear(2), sqlite_database.url)
    workspace = Workspace(Selection(config=str(project.ini), trust=True))
    calls: list[str] = []

    def counted(name: str) -> None:
        read = getattr(workspace.backend, name)

        def counting(*arguments: Any) -> Any:
            calls.append(name)
            return read(*arguments)

        monkeypatch.setattr(workspace.backend, name, counting)

    for name in ("server", "tables", "table_details", "enum_types", "sessions"):
        counted(name)
    with open_reading(workspace) as reading:
        diagnosis = diagnose(reading)
        assert sorted(calls) == ["server", "sessions", "tables"]
        add_evidence(reading, diagnosis)
        preview_plan(reading, make_plan(reading, "migrate", None))
    assert sorted(calls) == ["enum_types", "server", "sessions", "table_details", "tables"]


@pytest.mark.parametrize("postgres", [18], indirect=True, ids=["pg18"])
def test_a_lost_connection_is_an_error_and_the_next_read_opens_another(
    pg_database: PostgresDatabase, tmp_path: Path
) -> None:
    pg_database.rows("create table item (id integer primary key)")
    project = make_project(tmp_path / "project", linear(1), pg_database.url)
    with open_reading(Workspace(Selection(config=str(project.ini), trust=True))) as reading:
        assert [table.name for table in reading.overview.tables] == ["item"]
        pg_database.rows("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'magetui'")
        with pytest.raises(MagetuiError, match=r"The connection to .* was lost"):
            _ = reading.snapshot
        assert [detail.table.name for detail in reading.snapshot.details] == ["item"]
