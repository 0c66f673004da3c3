"""Revisions that inspect the schema before they change it: "if the table is missing, create it".

What such a script does depends on the schema that it finds. It is recorded again with a sketch of the schema at its
place: of the chain so far (`through_chain`), or of the live database (`recorded_steps`). If the script asks again after
operations of its own, it gets a sketch of the schema after those. What reads rows stays "decided at run time".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from magetui.engine.evidence.recording import (
    CacheFile,
    cache_file,
    marked,
    read_cache,
    record_revisions,
    record_with_sketches,
)
from magetui.engine.evidence.schema_history import operations_of, words_of
from magetui.engine.evidence.schema_state import SchemaState
from magetui.model.operations import Recorded, Recording
from magetui.model.schema import Constraint, EnumType, SchemaSketch, Table, TableDetail
from magetui.model.surroundings import Surroundings
from magetui.protocol import codec
from magetui.protocol.contents import digest_of
from magetui.protocol.private_files import write_document

if TYPE_CHECKING:
    from magetui.engine.evidence.table_state import TableState
    from magetui.engine.schema.snapshot import Reading
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import Plan
    from magetui.protocol.requests import RecordRequest

MOST_QUESTIONS = 12  # of one script
MOST_NAMES = 5_000  # of other tables in a sketch
MOST_KEPT = 500  # recordings in the cache

Step = tuple[str, str, Recorded]  # a revision, a direction, and what was recorded


def through_chain(workspace: Workspace, recordings: Mapping[str, Recording]) -> Mapping[str, Recording]:
    """Return the recordings, in which the revisions that inspect the schema find the schema of the chain so far.

    Raises `MagetuiError` if the child process cannot read the scripts.
    """
    if not any(way.inspects for made in recordings.values() for way in (made.upgrade, made.downgrade)):
        return recordings
    with ExitStack() as stack:
        return _through_chain(_Inspected(workspace, stack, Surroundings()), recordings)


def _through_chain(inspected: _Inspected, recordings: Mapping[str, Recording]) -> Mapping[str, Recording]:
    workspace = inspected.workspace
    base = every = SchemaState(workspace.target.dialect)
    after: dict[str, SchemaState] = {}
    found = dict(recordings)
    for revision in reversed(workspace.chain.revisions):
        name, parents = revision.revision, revision.parents
        before = base if not parents else after[parents[0]] if len(parents) == 1 else every
        made = found[name]
        made = replace(made, upgrade=inspected.recorded(name, "upgrade", made.upgrade, before))
        operations = operations_of(revision, made.upgrade, "upgrade")
        after[name], every = before.applying(operations), every.applying(operations)
        found[name] = replace(made, downgrade=inspected.recorded(name, "downgrade", made.downgrade, after[name]))
    inspected.keep()
    return found


def recorded_steps(reading: Reading, plan: Plan) -> list[Step]:
    """Return (revision, direction, recorded operations) for each step of a plan, except a stamp, which runs none.

    Raises as `on_database`.
    """
    if plan.repair is not None:
        recorded = Recorded(tuple(step.operation for step in plan.repair.all_steps))
        return [(plan.repair.revision, plan.verb, recorded)]
    steps = [step for step in plan.steps if step.direction != "stamp"]
    recordings = record_revisions(reading.workspace, [step.revision for step in steps])
    return on_database(
        reading, [(step.revision, step.direction, recordings[step.revision].recorded(step.direction)) for step in steps]
    )


def on_database(reading: Reading, steps: Sequence[Step]) -> list[Step]:
    """Return the steps, in which the revisions that inspect the schema find the live schema, after the steps so far.

    Raises `MagetuiError` if the child process cannot read the scripts, or the database cannot be read.
    """
    if not any(recorded.inspects for _, _, recorded in steps):
        return list(steps)
    workspace, snapshot = reading.workspace, reading.snapshot
    schema = None if workspace.target.dialect == "sqlite" else snapshot.server.schema
    state = SchemaState.read(workspace.target.dialect, schema, snapshot.details, snapshot.enum_types)
    found = []
    with ExitStack() as stack:
        inspected = _Inspected(workspace, stack, reading.surroundings)
        for revision, direction, recorded in steps:
            made = inspected.recorded(revision, direction, recorded, state)
            state = state.applying(operations_of(workspace.chain.by_id[revision], made, direction))
            found.append((revision, direction, made))
        inspected.keep()
    return found


class _Inspected:
    """Records revisions with sketches, and keeps the recordings: each is valid for its script and its first sketch."""

    def __init__(self, workspace: Workspace, stack: ExitStack, around: Surroundings) -> None:
        """Create it. `stack` ends the child process, which is started for the first question."""
        self.workspace = workspace
        self._stack = stack
        self._ask: Callable[[RecordRequest], Any] | None = None
        self._views = {(other.schema, other.name) for other in around.relations if other.kind != "sequence"}
        self._naming = {constraint.table for constraint in around.constraints}  # tables whose constraints have names
        self._file = cache_file(workspace, "inspected")
        self._kept = dict(read_cache(self._file))

    def recorded(self, revision: str, direction: str, recorded: Recorded, state: SchemaState) -> Recorded:
        """Return what a step does on the schema `state`."""
        if not recorded.inspects:
            return recorded
        header = self.workspace.chain.by_id[revision]
        words = words_of(header, direction)
        sketches = [(len(recorded.operations), self._sketch(state.applying(recorded.operations), words))]
        key = _key(digest_of(header.path), direction, sketches)
        kept = self._kept.pop(key, None)
        with suppress(codec.CodecError):
            if kept is not None:
                self._kept[key] = kept  # the newest is the last
                return marked(codec.decode(Recorded, kept))
        ask = self._ask = self._ask or self._stack.enter_context(self.workspace.asking_for_recordings())
        for _ in range(MOST_QUESTIONS):
            made = record_with_sketches(self.workspace, ask, revision, sketches).recorded(direction)
            after = len(made.operations)
            if not made.inspects or after in [number for number, _ in sketches]:
                break
            sketches.append((after, self._sketch(state.applying(made.operations), words)))
        made = replace(made, sketches=tuple(sketches))
        self._kept[key] = codec.encode(made)
        return marked(made)

    def keep(self) -> None:
        """Write the newest recordings to the cache."""
        newest = dict(list(self._kept.items())[-MOST_KEPT:])
        with suppress(OSError):  # then the child is asked again next time
            write_document(self._file, codec.encode(CacheFile(codec.FORMAT, newest)))

    def _sketch(self, state: SchemaState, words: Iterable[str]) -> SchemaSketch:
        scripts, named = self.workspace.project.scripts, frozenset(words)
        tables = [table for table in state.tables.values() if not table.open and not table.doubtful]
        unclear = {*self._views, *(table.path for table in state.tables.values() if table not in tables)}
        others = {table.path for table in tables if table.path[1] not in named}
        others.add((scripts.version_table_schema or state.default_schema, scripts.version_table))
        is_complete = not state.open and not state.open_enums and len(others) <= MOST_NAMES
        return SchemaSketch(
            tables=tuple(self._detail(state, table) for table in tables if table.path[1] in named),
            names=_paths(state, others) if is_complete else (),
            unclear=_paths(state, unclear),
            complete=is_complete,
            enums=tuple(EnumType(None, name, values) for name, values in sorted(state.enums.items())),
            default_schema=state.default_schema,
        )

    def _detail(self, state: SchemaState, table: TableState) -> TableDetail:
        """Return the table. PostgreSQL names a constraint that has no name, and SQLite does not report the names."""
        nameless = "" if state.dialect == "postgresql" or table.live in self._naming else None

        def name(key: str) -> str | None:
            return nameless if key.startswith("(") else key  # its columns, in brackets: see `TableState`

        uniques = [Constraint(name(key), "unique", "", columns) for key, columns in sorted(table.uniques.items())]
        checks = [Constraint(key, "check", definition) for key, definition in sorted(table.checks.items())]
        keys = [
            replace(foreign, name=name(key), referred_schema=_path(state, (foreign.referred_schema, ""))[0])
            for key, foreign in sorted(table.foreign_keys.items())
        ]
        return TableDetail(
            Table(*_path(state, table.path), None, None),
            tuple(table.columns.values()),
            table.primary_key,
            tuple(index for _, index in sorted(table.indexes.items())),
            tuple(keys),
            (*uniques, *checks),
        )


def _key(script: str, direction: str, sketches: Sequence[tuple[int, SchemaSketch]]) -> str:
    text = json.dumps([script, direction, codec.encode(sketches[0][1])], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _path(state: SchemaState, path: tuple[str | None, str]) -> tuple[str | None, str]:
    return None if path[0] == state.default_schema else path[0], path[1]


def _paths(state: SchemaState, paths: Iterable[tuple[str | None, str]]) -> tuple[tuple[str | None, str], ...]:
    return tuple(sorted({_path(state, path) for path in paths}, key=str))
