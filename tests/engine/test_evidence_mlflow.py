"""A database of mlflow without its current revision, at each revision of a chain that was not made for Alembic.

The tables were there before the first revision, scripts change their course by what they find, and each imports its
application: where that is not installed, half of them cannot be followed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from magetui.engine.evidence.evidence import weigh
from magetui.engine.evidence.recording import record_revisions
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.verdict import Evidence
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.databases import Database
from tests.support.mlflow import COUNT, SCRIPTS, mlflow_directory, stepping, write_configuration
from tests.support.readings import read_live
from tests.support.steps import Schema, walking

pytestmark = pytest.mark.slow

# They look at the database before they do anything, and what nobody can know without looking is all that they do.
ASKING = frozenset({"90e64c465722", "89d4b8295536", "3500859a5d39", "1b5f0d9ad7c1", "75868b020152"})
ASKING_OF_POSTGRESQL = frozenset({"0584bdc529eb"})  # for the name of the foreign key that it drops
# Not told from one before it, which is told: the first two ask, and what they make no other revision speaks of. Of the
# last on SQLite, the one behind it only adds a check that nobody has named.
UNSEEN = {
    "postgresql": frozenset({"89d4b8295536", "3500859a5d39"}),
    "sqlite": frozenset({"89d4b8295536", "3500859a5d39", "a8c4a736bde6"}),
}


@pytest.mark.parametrize("database", [18, "sqlite"], indirect=True, ids=["pg18", "sqlite"])
def test_each_revision_is_found_again_or_said_not_to_be_told_from_its_neighbours(
    database: Database, tmp_path: Path
) -> None:
    directory = mlflow_directory()
    whole = a_workspace(database, directory, tmp_path / "whole", importable=True)
    bare = a_workspace(database, directory, tmp_path / "bare", importable=False)
    oldest_first = [revision.revision for revision in reversed(whole.chain.revisions)]
    assert len(oldest_first) == COUNT
    followed, partly = record_revisions(whole, oldest_first), record_revisions(bare, oldest_first)
    asking = ASKING | ASKING_OF_POSTGRESQL if database.dialect == "postgresql" else ASKING
    assert {one for one, recording in followed.items() if recording.upgrade.undecidable} == asking
    assert sum(recording.upgrade.undecidable is not None for recording in partly.values()) > COUNT / 3

    schemas: dict[str, Schema] = {}
    found: dict[str, tuple[Evidence, Evidence]] = {}
    with walking(database.url, directory / SCRIPTS) as steps, stepping(database.url, directory) as step:
        for revision in oldest_first:
            step(revision)
            schemas[revision] = steps.schema()
            with steps.forgotten():
                live, usual = read_live(whole)
            base = SchemaState(database.dialect, usual)
            found[revision] = weigh(whole.chain, followed, live, base), weigh(bare.chain, partly, live, base)

    for place, revision in enumerate(oldest_first):
        evidence, of_the_bare = found[revision]
        assert (revision,) in evidence.fits, (revision, evidence.nearest, evidence.differences)
        alike = {(one,) for one, schema in schemas.items() if schema == schemas[revision]}
        if revision not in UNSEEN[database.dialect]:
            assert evidence.candidate in alike, (revision, evidence.fits)
        places = [oldest_first.index(one) for (one,) in evidence.fits]
        assert max(places) - min(places) == len(places) - 1, (revision, evidence.fits)
        assert abs(places[0] - place) <= 2, (revision, evidence.fits)
        assert (revision,) in of_the_bare.fits, (revision, of_the_bare.nearest, of_the_bare.differences)


def a_workspace(database: Database, directory: Path, folder: Path, *, importable: bool) -> Workspace:
    ini = write_configuration(folder, directory, database.url, importable=importable)
    return Workspace(Selection(config=str(ini), trust=True), {"XDG_CACHE_HOME": str(folder / "cache")})
