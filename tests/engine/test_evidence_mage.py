"""A Mage database without its current revision: its schema alone says it, at each of the forty revisions."""

from __future__ import annotations

from pathlib import Path

import pytest

from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from tests.support.databases import Database
from tests.support.mage import SCRIPTS
from tests.support.readings import gather_evidence
from tests.support.steps import Schema, walking

# Drops whatever unique constraints it finds on 'secret', which nobody can know without asking too, and makes one that
# differs by its name alone: that is no evidence, since a constraint may have a name that its script did not give it.
ASKS, PARENT_OF_ASKS = "90d978a8aef8", "dfe49d040487"


def without_types(schema: Schema) -> Schema:
    return frozenset(part for part in schema if part[0] != "value")


pytestmark = [pytest.mark.slow, pytest.mark.every_version, pytest.mark.usefixtures("mage_importable")]


def test_each_revision_is_found_again_and_no_other_but_those_of_the_same_schema(
    database: Database, mage_home: Path
) -> None:
    workspace = Workspace(Selection(url=database.url, mage_path=str(mage_home)))
    oldest_first = [revision.revision for revision in reversed(workspace.chain.revisions)]
    schemas: dict[tuple[str, ...], Schema] = {(): frozenset()}
    found = {}
    with walking(database.url, mage_home / SCRIPTS) as steps:
        for revision in oldest_first:
            steps.upgrade(revision)
            schemas[(revision,)] = steps.schema()
            with steps.forgotten():
                found[(revision,)] = gather_evidence(workspace)
        schemas[(ASKS,)] = schemas[(PARENT_OF_ASKS,)]
        for at, evidence in found.items():
            assert at in evidence.fits, (at, evidence.nearest, evidence.differences)
            alike = {one for one, schema in schemas.items() if schema == schemas[at]}
            assert set(evidence.fits) == alike, at
            assert evidence.candidate in alike

        for revision, parent in zip(reversed(oldest_first), [*reversed(oldest_first[:-1]), None], strict=True):
            steps.downgrade("-1")
            current: tuple[str, ...] = (parent,) if parent else ()
            with steps.forgotten():
                evidence = gather_evidence(workspace)
            assert not evidence.contradicts(current), (revision, evidence.nearest, evidence.differences)
            true = [without_types(steps.schema()), without_types(schemas[current])]
            assert all(without_types(schemas[one]) in true for one in evidence.fits), current
            assert evidence.candidate is not None
            assert without_types(schemas[evidence.candidate]) == true[-1]
