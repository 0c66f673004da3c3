"""Each of Mage's revisions, broken off after each of its statements: finished it is whole, and undone it is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.databases import Database, SqliteDatabase
from tests.support.mage import SCRIPTS
from tests.support.readings import gather_evidence
from tests.support.repairs import repair
from tests.support.steps import Schema, Steps, walking

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mage_importable")]

# The first asks the database what to do; the second changes a table of which nothing is known since then. What the
# third does, values of a type, nobody can take away again. `test_repair_doubtful` has them.
NOT_BROKEN_OFF = ("90d978a8aef8", "e3593cc2191e", "6aecc9bc451c")

# Its downgrade forgets one of two columns; its upgrade may be run again, and can be broken off in one place alone.
NOT_GONE_BACK_FROM = "42a14d6143f1"


@contextmanager
def clean_run(database: Database, scripts: Path) -> Iterator[Steps]:
    """The same chain in a database of its own, where nothing breaks off."""
    if isinstance(database, SqliteDatabase):
        url = f"sqlite:///{database.path}.clean"
    else:
        url = database.server.create_database()
    with walking(url, scripts) as steps:
        yield steps


def clear_up(steps: Steps, before: Schema, after: Schema) -> None:
    """As `diagnose` says: a type alone, which rollbacks leave too, is dropped; a copy takes its table's place."""
    if steps.connection.dialect.name == "postgresql":
        drop_new_types(steps, before)
        assert steps.schema() == before
        return
    tables = {str(part[1]) for part in steps.schema()}
    [copy] = {table for table in tables if table.startswith("_alembic_tmp_")}
    original = copy.removeprefix("_alembic_tmp_")
    if original in tables:
        steps.connection.execute(text(f"drop table {copy}"))
        assert steps.schema() == before
    else:
        steps.connection.execute(text(f"alter table {copy} rename to {original}"))
        assert steps.schema() == after


def drop_new_types(steps: Steps, before: Schema) -> None:
    """What Mage's downgrades forget, and what of a broken run looks like that."""
    known = {part[1] for part in before if part[0] == "value"}
    for name in sorted({str(part[1]) for part in steps.schema() if part[0] == "value"} - known):
        steps.connection.execute(text(f'drop type "{name}"'))


@pytest.mark.parametrize("database", [18, "sqlite"], indirect=True, ids=["pg18", "sqlite"])
def test_half_of_a_revision_is_finished_or_taken_back(database: Database, mage_home: Path) -> None:
    workspace = Workspace(Selection(url=database.url, mage_path=str(mage_home)))
    oldest_first = [one.revision for one in reversed(workspace.chain.revisions)]
    scripts = mage_home / SCRIPTS
    checked = 0
    with walking(database.url, scripts, autocommit=True) as steps, clean_run(database, scripts) as clean:
        for parent, revision in zip(["", *oldest_first], oldest_first, strict=False):
            before = clean.schema()
            clean.upgrade(revision)
            after = clean.schema()
            if revision in NOT_BROKEN_OFF:
                steps.statements(revision, "upgrade", lambda _sql: None)
                continue
            place = 1
            while steps.broken_off(revision, "upgrade", place):
                where = revision, place
                if gather_evidence(workspace).partial is None:
                    clear_up(steps, before, after)
                else:
                    assert repair(workspace, "undo") == ((parent,) if parent else ()), where
                    assert steps.schema() == before, where
                    assert steps.broken_off(revision, "upgrade", place)
                    assert repair(workspace, "finish") == (revision,), where
                    assert steps.schema() == after, where
                    checked += 1
                    if revision != NOT_GONE_BACK_FROM:
                        steps.statements(revision, "downgrade", lambda _sql: None)
                        drop_new_types(steps, before)
                        assert steps.schema() == before, where
                place += 1
            assert steps.schema() == after
    assert checked > 20
