"""A run of one of Mage's revisions, up or down, that died between two statements and left the first of them behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import xor
from pathlib import Path

import pytest

from magetui.engine.evidence.diff import Live
from magetui.engine.evidence.evidence import record_chain, weigh
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.verdict import Evidence
from magetui.engine.target.selection import Selection
from magetui.engine.workspace import Workspace
from magetui.model.operations import Autocommit, OnTable, Operation, RebuildTable, Recording
from tests.support.databases import Database
from tests.support.mage import SCRIPTS
from tests.support.readings import read_live
from tests.support.steps import Schema, Steps, walking

# Drops the unique constraint of 'secret', whatever its name, and makes it again. In between it looks as if the revision
# after it had begun, whose first statement drops the same constraint.
ASKS, BEGINS_AS_ASKS = "90d978a8aef8", "e3593cc2191e"

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("mage_importable")]


@dataclass(frozen=True)
class Look:
    """What was there, and what was said of it, when `next_sql` was about to be run; empty where all was done."""

    next_sql: str
    schema: Schema
    evidence: Evidence

    @property
    def claim(self) -> tuple[object, object]:
        return self.evidence.candidate, self.evidence.partial

    @property
    def tables(self) -> Schema:
        """The schema without enum types, every part of each table by itself."""
        return frozenset(part for row in self.schema if row[0] != "value" for part in _parts(row))


def _parts(row: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    *whose, what = row
    return ((*whose, part) for part in what) if isinstance(what, frozenset) else iter([row])


@pytest.mark.parametrize("database", [18, "sqlite"], indirect=True, ids=["pg18", "sqlite"])
def test_what_is_done_of_it_and_what_is_missing(database: Database, mage_home: Path) -> None:
    workspace = Workspace(Selection(url=database.url, mage_path=str(mage_home)))
    oldest_first = [revision.revision for revision in reversed(workspace.chain.revisions)]
    recordings = record_chain(workspace)

    def weighed(live: Live, usual: str | None) -> Evidence:
        return weigh(workspace.chain, recordings, live, SchemaState(database.dialect, usual))

    def looks(steps: Steps, revision: str, direction: str) -> list[Look]:
        made: list[Look] = []
        steps.statements(
            revision, direction, lambda sql: made.append(Look(sql, steps.schema(), weighed(*read_live(workspace))))
        )
        return made

    with walking(database.url, mage_home / SCRIPTS, autocommit=True) as steps:
        up = {revision: looks(steps, revision, "upgrade") for revision in oldest_first}
        down = {revision: looks(steps, revision, "downgrade") for revision in reversed(oldest_first)}

    checked = 0
    for revision, recording in recordings.items():
        if revision == ASKS:
            continue
        upgrade, downgrade = Run(recording, "upgrade", up[revision]), Run(recording, "downgrade", down[revision])
        checked += upgrade.check({"upgrade": upgrade}) + downgrade.check({"upgrade": upgrade, "downgrade": downgrade})
    assert checked > 40
    for look in up[ASKS][1:-1]:
        half = look.evidence.partial
        assert half is None or half.revision == ASKS or (half.revision, half.done) == (BEGINS_AS_ASKS, (0,))


class Run:
    """One revision run one way: `units` are the operations that are done one after the other, a rebuild as one."""

    def __init__(self, recording: Recording, direction: str, looks: Sequence[Look]) -> None:
        self.recording = recording
        self.direction = direction
        self.looks = looks
        self.operations = recording.operations(direction)
        self.units = _units(self.operations)
        self.whole = _whole_units([look.next_sql for look in looks], [self._rebuilds(unit) for unit in self.units])
        assert len(self.whole) == len(self.units) + 1, self.name
        states = [looks[at].tables for at in self.whole]
        self.start = states[0]
        self.changes = [before ^ after for before, after in pairwise(states)]
        whole = [looks[at].schema for at in self.whole]
        # The places whose doing shows, in a type too, and how many units are done then.
        self.seen = {
            place: number
            for number, (unit, before, after) in enumerate(zip(self.units, whole, whole[1:], strict=False), start=1)
            for place in unit
            if before != after and not isinstance(self.operations[place], RebuildTable)
        }

    @property
    def name(self) -> str:
        return f"{self.direction} of {self.recording.revision}"

    def _rebuilds(self, unit: Sequence[int]) -> bool:
        return isinstance(self.operations[unit[0]], RebuildTable)

    def check(self, runs: Mapping[str, Run]) -> int:
        """How many places were looked at half-way; `runs` are those of this revision that may have led there."""
        checked = done = 0
        for at, look in enumerate(self.looks):
            if at not in self.whole:  # inside a rebuild, which `leftover-table` tells of
                half = look.evidence.partial
                unindexed = half is not None and half.unindexed and f"{half.direction} of {half.revision}" == self.name
                said = [(None, None), *(self.looks[whole].claim for whole in self.whole)]  # a copy is a table
                assert unindexed or look.claim in said, (self.name, at)
                continue
            done = self.whole.index(at)
            if look.tables in (self.looks[0].tables, self.looks[-1].tables):
                if look.schema in (self.looks[0].schema, self.looks[-1].schema):
                    assert look.evidence.partial is None, (self.name, at)
                continue
            self._check_half(look, done, runs)
            checked += 1
        return checked

    def _check_half(self, look: Look, count: int, runs: Mapping[str, Run]) -> None:
        half = look.evidence.partial
        where = (self.name, count, look.evidence.nearest, look.evidence.differences, half)
        assert half is not None, where
        assert look.evidence.candidate is None, where
        assert half.revision == self.recording.revision, where
        run = runs[half.direction]
        assert half.operations == run.operations, where
        assert sorted([*half.done, *half.doubt, *half.missing]) == list(range(len(half.operations))), where
        # Exactly those: what is there is what they make, or what the others would have made is missing from the whole.
        there = [change for unit, change in zip(run.units, run.changes, strict=True) if set(unit) & set(half.done)]
        lacks = [change for unit, change in zip(run.units, run.changes, strict=True) if set(unit) & set(half.missing)]
        whole = self.looks[-1] if run is self else self.looks[0]
        assert look.tables == reduce(xor, lacks, whole.tables), where
        assert not {place for place in half.doubt if place in run.seen}, where
        if run is self:
            assert look.tables == reduce(xor, there, self.start), where
            assert {place for place in half.done if place in run.seen} == {
                place for place, number in run.seen.items() if number <= count
            }, where


def _units(operations: Sequence[Operation]) -> list[list[int]]:
    """Places of operations; what follows a rebuild on the same table is done on the way."""
    units: list[list[int]] = []
    rebuilt: tuple[str, str | None] | None = None
    for place, one in enumerate(operations):
        if isinstance(one, Autocommit):
            continue
        where = (one.table, one.schema) if isinstance(one, OnTable) else (getattr(one, "table", None), None)
        if rebuilt is not None and where[0] == rebuilt[0] and not isinstance(one, RebuildTable):
            units[-1].append(place)
            continue
        rebuilt = (one.table, one.schema) if isinstance(one, RebuildTable) else None
        units.append([place])
    return units


def _whole_units(statements: Sequence[str], rebuilds: Sequence[bool]) -> list[int]:
    """Before which statements no unit is half-way. A rebuild creates, fills, drops, renames, and makes its indexes."""
    places = [0]
    for rebuild in rebuilds:
        at = places[-1] + (4 if rebuild else 1)
        while rebuild and statements[at].lstrip().startswith(("CREATE INDEX", "CREATE UNIQUE INDEX")):
            at += 1
        places.append(at)
    return places
