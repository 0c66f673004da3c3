"""Mage's chain on databases with rows: at each revision, the preflight of the way up and of the way down is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa

from magetui.engine.evidence.inspection import on_database
from magetui.engine.evidence.recording import record_revisions
from magetui.engine.preview.preflight.answers import Preflight
from magetui.engine.preview.preflight.preflight import preflight
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.databases import Database
from tests.support.mage import SCRIPTS
from tests.support.steps import walking

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mage_importable")]

MOVES = "90d978a8aef8"  # if a constraint has no name, it moves the values to another column


def fill(database: Database) -> None:
    """Insert a row into each table that has none and accepts one."""
    driver = {"postgresql": "postgresql+psycopg2"}
    url = sa.make_url(database.url)
    engine = sa.create_engine(url.set(drivername=driver.get(url.get_backend_name(), "sqlite")), poolclass=sa.NullPool)
    metadata = sa.MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            if (
                table.name == "alembic_version"
                or connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            ):
                continue
            values = {column.name: value(column) for column in table.columns if not column.nullable}
            with connection.begin_nested():
                connection.execute(table.insert().values(**values))
        connection.commit()


def value(column: sa.Column[object]) -> object:
    match column.type:
        case sa.Enum():
            return column.type.enums[0]
        case sa.Boolean():
            return True
        case sa.Integer():
            return 1
        case sa.DateTime():
            return sa.func.now()
        case sa.JSON():
            return {}
        case _:
            return "x"


def answered(workspace: Workspace, revisions: Sequence[str], direction: str) -> Preflight:
    recordings = record_revisions(workspace, revisions)
    with open_reading(workspace) as reading:
        steps = [(revision, direction, recordings[revision].recorded(direction)) for revision in revisions]
        answer = preflight(reading, on_database(reading, steps))
    assert answer is not None
    return answer


def test_no_revision_of_mages_chain_is_said_to_fail(database: Database, mage_home: Path) -> None:
    """Each step that is said to pass does pass. The way down is free: there, a value that goes is in no row."""
    workspace = Workspace(Selection(url=database.url, mage_path=str(mage_home)))
    oldest_first = [revision.revision for revision in reversed(workspace.chain.revisions)]
    with walking(database.url, mage_home / SCRIPTS) as steps:
        for number, revision in enumerate(oldest_first):
            answer = answered(workspace, oldest_first[number:], "upgrade")
            assert answer.failures == (), revision
            if revision == MOVES and database.dialect == "sqlite":  # where its unique constraint has no name
                assert "the plan changes them before" in answer.steps[0].causes[-1].sentence
            else:
                assert answer.steps[0].answer == "passes", answer.steps[0]
            steps.upgrade(revision)
            fill(database)
        for revision in reversed(oldest_first):
            assert answered(workspace, [revision], "downgrade").failures == (), revision
            steps.downgrade("-1")
