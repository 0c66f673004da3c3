"""The lock forecast of Mage's own chain, against what real servers lock for it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from magetui.engine.evidence.recording import record_revisions
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.databases import PostgresDatabase
from tests.support.lock_facts import (
    Seen,
    claimed,
    known_of,
    observed,
    run_through,
    with_work,
)

pytestmark = pytest.mark.every_version


def step(connection: sa.Connection, script: Callable[[], None]) -> Seen:
    """Run one revision's function in a transaction of its own, committed."""
    context = MigrationContext.configure(connection, opts={"transaction_per_migration": True})
    with Operations.context(context), context.begin_transaction(_per_migration=True):
        return observed(connection.connection.cursor(), script)


@pytest.mark.slow
def test_whole_mage_chain_locks_what_the_plan_says_up_and_down(
    pg_database: PostgresDatabase, mage_home: Path, mage_importable: None
) -> None:
    workspace = Workspace(Selection(url=pg_database.url, mage_path=str(mage_home)), {})
    newest_first = workspace.chain.revisions
    recordings = record_revisions(workspace, [revision.revision for revision in newest_first])
    known = SchemaState("postgresql", "public")
    engine = sa.create_engine(pg_database.url.replace("postgresql:", "postgresql+psycopg2:"))
    with engine.connect() as connection:
        for direction, revisions in (("upgrade", newest_first[::-1]), ("downgrade", newest_first)):
            for revision in revisions:
                recorded = recordings[revision.revision].recorded(direction)
                made, known = run_through(recorded.operations, pg_database.server.major, known.committed())
                seen = step(connection, getattr(module_of(revision.path), direction))
                where = f"{direction} {revision.revision}"
                if recorded.undecidable is None:
                    assert not [one for one in made if one.table is None], where
                    assert claimed(made) == seen.locks, where
                    assert with_work(made, "rewrite") == seen.rewritten, where
                else:
                    known = known_of(pg_database)
    engine.dispose()
    assert pg_database.rows("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


def module_of(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
