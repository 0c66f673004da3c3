"""A revision that is half there: what would finish it, and what would take it back.

The evidence says which of its operations have been done. To go on in the direction in which it was run is to do those
that are missing, as the script has them; to go back is `reversal`'s. Either way the schema that is to come of it is
worked out beforehand, and nothing is offered that would not lead to a whole revision, or to none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from magetui.engine.errors import RefusedError
from magetui.engine.evidence.evidence import Evidence, gather_evidence
from magetui.engine.evidence.partial import PartiallyApplied
from magetui.engine.evidence.recording import Recording, record_revisions
from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.preflight import forbidden
from magetui.engine.repair.reverse import NoWayBackError, Reversal, Way
from magetui.engine.revisions.graph import Chain
from magetui.engine.schema.facts import table_name
from magetui.engine.schema.live import standing
from magetui.engine.schema.snapshot import DatabaseState, read_state
from magetui.engine.sql.ddl import operations_of
from magetui.engine.workspace import Workspace
from magetui.model.operations import (
    Autocommit,
    DropIndex,
    DropTable,
    ExecuteSql,
    InsertRows,
    OnTable,
    Operation,
    Other,
    RebuildTable,
    RenameTable,
    Unclear,
)
from magetui.model.plan import Plan, PlannedStep, Repair, RepairStep
from magetui.model.schema import Leftover, TableDetail

RepairVerb = Literal["finish", "undo"]
InDoubt = Literal["run", "skip"]  # what no schema shows, and may have been done or not
WAYS: Mapping[str, Way] = {"finish": "upgrade", "undo": "downgrade"}
NAMED_AT_MOST = 3


@dataclass(frozen=True, slots=True)
class _Found:
    """What is there: the half revision, what its script does, the schema it began from, and the live one."""

    half: PartiallyApplied
    recording: Recording
    start: SchemaState
    wanted: SchemaState
    details: Mapping[str, TableDetail]
    names: frozenset[str]  # of the tables, as they are called now
    leftovers: tuple[Leftover, ...]


def plan_repair(workspace: Workspace, verb: RepairVerb, in_doubt: InDoubt | None = None) -> Plan:
    """The plan that finishes the revision that is half there, or takes it back.

    Raises `RefusedError` where none is, where there is no way, or where `in_doubt` has to be said and is not;
    `ChainError`, `MagetuiError` and `ConnectError` as gathering the evidence does.
    """
    chain = workspace.chain
    state = read_state(workspace, workspace.project)
    evidence = gather_evidence(workspace)
    half = evidence.half
    if evidence.beneath is not None:
        raise RefusedError(_was_run_whole(chain, state.current, evidence.beneath))
    if half is None:
        raise RefusedError(f"No revision looks half applied, so there is nothing to {verb}. {_instead(evidence)}")
    _require_known(chain, state.current, half)
    found = _read(workspace, verb, half, state)
    if verb == "undo" and half.adds_values_alone:
        raise RefusedError(
            f"All that is there of {half.revision} are values of enum types, and PostgreSQL takes no value of a type "
            "away: the way on is 'finish'. Nothing was changed."
        )
    works, notes = _works(found, verb, in_doubt)
    cleaned = _cleaned_up(found)
    _require_whole(found, verb, works)
    result = _current_after(chain, verb, state.current, half.revision)
    revision = chain.by_id[half.revision]
    scripts = workspace.project.scripts
    table = ".".join(part for part in (scripts.version_table_schema, scripts.version_table) if part)
    return Plan(
        verb=verb,
        current=state.current,
        target_revision=half.revision if verb == "finish" else ", ".join(revision.down_revisions) or "base",
        steps=(PlannedStep(half.revision, verb, revision.message),),
        result=result,
        version_table_sql=tuple(_version_table_sql(table, state.current, result)),
        url=workspace.target.redacted,
        database=Path(state.server.database).name if workspace.backend.name == "sqlite" else state.server.database,
        forbidden=forbidden(state, verb),
        repair=Repair(half.revision, str(revision.path), (*cleaned, *works)),
        notes=notes,
    )


def _require_known(chain: Chain, current: Sequence[str], half: PartiallyApplied) -> None:
    """Refuse where it may as well be another revision that was begun."""
    if half.or_else is not None and half.or_else not in chain.applied([row for row in current if row in chain.by_id]):
        raise RefusedError(
            f"Half of {half.revision} looks to be there; but it may also be {half.or_else}, which asks the database "
            f"what to do, so that no schema shows what it did, and the current revision does not say that it was run. Find out; "
            f"if it was, then 'magetui stamp {half.or_else}' comes first. Nothing was changed."
        )


def _was_run_whole(chain: Chain, current: Sequence[str], beneath: str) -> str:
    below = ", ".join(chain.by_id[beneath].down_revisions) or "base"
    return (
        f"Part of {beneath} is missing, but the current revision says {', '.join(current)}, which stands on it: {beneath} was run "
        "whole, and what is missing has gone since. 'magetui evidence' names it, and it is for somebody to put back by "
        f"hand. Only if nothing after {below} was ever run is the current revision wrong: then 'magetui stamp {below}' comes "
        "first. Nothing was changed."
    )


def _instead(evidence: Evidence) -> str:
    if evidence.candidate is not None:
        return f"The schema fits {', '.join(evidence.candidate) or 'a database before the first revision'}."
    return "The schema fits no revision, nor half of one: 'magetui evidence' names the differences."


def _read(workspace: Workspace, verb: RepairVerb, half: PartiallyApplied, state: DatabaseState) -> _Found:
    chain = workspace.chain
    recordings = record_revisions(workspace, [revision.revision for revision in chain.revisions])
    usual = None if workspace.backend.name == "sqlite" else state.server.schema
    with workspace.reading() as connection:
        details = standing(workspace.backend.table_details(connection))
        names = {one.name for one in workspace.backend.tables(connection)}
    lineage = SchemaHistory(chain, recordings, SchemaState(workspace.target.dialect, usual))
    before, after = lineage.before[half.revision], lineage.after[half.revision]
    return _Found(
        half=half,
        recording=recordings[half.revision],
        start=before if half.direction == "upgrade" else after,
        wanted=after if verb == "finish" else before,
        details={table_name(one.table.name, one.table.schema, usual): one for one in details},
        names=frozenset(names),
        leftovers=state.leftovers,
    )


def _works(found: _Found, verb: RepairVerb, in_doubt: InDoubt | None) -> tuple[tuple[RepairStep, ...], tuple[str, ...]]:
    half = found.half
    if half.direction == WAYS[verb]:
        works, notes = _going_on(half, in_doubt)
        return (*map(RepairStep, half.unindexed), *works), notes
    other = found.recording.recorded(WAYS[verb])
    reversal = Reversal(
        other.operations, WAYS[verb], found.start.dialect, found.details, _in_autocommit(other.operations)
    )
    try:
        back = reversal.of([half.operations[place] for place in half.done], found.start)
    except NoWayBackError as error:
        raise RefusedError(f"{half.revision} cannot be taken back by itself: {error}. Nothing was changed.") from None
    doubtful = [half.operations[place] for place in half.doubt if _changes_rows(half.operations[place])]
    unread = next((one for one in doubtful if _is_unread(one, found.start.dialect)), None)
    if unread is not None:
        raise RefusedError(
            f"{half.revision} cannot be taken back by itself: neither whether this was run can be seen, nor what it "
            f"does be told from its text: {_spoken(unread)}. Nothing was changed."
        )
    unseen = tuple(f"Whether this was run cannot be seen, and it is not taken back: {_spoken(one)}" for one in doubtful)
    standing_again = found.start.tables
    indexes = [
        RepairStep(one)
        for one in half.unindexed
        if (table := standing_again.get(found.start.name_of(one))) is not None and one.index.name in table.indexes
    ]
    return (*back.works, *indexes), (*back.notes, *unseen)


def _going_on(half: PartiallyApplied, in_doubt: InDoubt | None) -> tuple[tuple[RepairStep, ...], tuple[str, ...]]:
    doubtful = [place for place in half.doubt if _changes_rows(half.operations[place])]
    if doubtful and in_doubt is None:
        said = "; ".join(_spoken(half.operations[place]) for place in doubtful[:NAMED_AT_MOST])
        raise RefusedError(
            f"Whether this part of {half.revision} was run cannot be seen in a schema: {said}. Find out, then say "
            "--in-doubt run, if it was not, or --in-doubt skip, if it was. Nothing was changed."
        )
    wanted = {*half.missing, *(doubtful if in_doubt == "run" else ())}
    outside = _in_autocommit(half.operations)
    works = tuple(
        RepairStep(half.operations[place], half.direction, place, place in outside)  # type: ignore[arg-type]  # one of two
        for place in sorted(wanted)
        if not isinstance(half.operations[place], (Autocommit, RebuildTable, Other))
    )
    notes = {"run": "it is run now", "skip": "it is left out", None: ""}
    return works, tuple(
        f"Whether this was run cannot be seen, and {notes[in_doubt]}: {_spoken(half.operations[place])}"
        for place in doubtful
    )


def _changes_rows(one: Operation) -> bool:
    """Whether it may do something that no schema shows."""
    return isinstance(one, (ExecuteSql, InsertRows))


def _is_unread(one: Operation, dialect: str) -> bool:
    """Whether it may change the schema in a way that its text does not tell."""
    return isinstance(one, ExecuteSql) and any(isinstance(part, Unclear) for part in operations_of(one.sql, dialect))


def _spoken(one: Operation) -> str:
    if isinstance(one, ExecuteSql):
        return " ".join(one.sql.split())[:200]
    return f"rows inserted into {one.table}" if isinstance(one, OnTable) else one.kind


def _in_autocommit(operations: Sequence[Operation]) -> frozenset[int]:
    """The places that an `autocommit_block` encloses."""
    inside = False
    places = set()
    for place, operation in enumerate(operations):
        if isinstance(operation, Autocommit):
            inside = operation.begins
        elif inside:
            places.add(place)
    return frozenset(places)


# -- what a broken run left beside it


def _cleaned_up(found: _Found) -> tuple[RepairStep, ...]:
    """What comes before anything is done: the copy of a table goes, or takes its place; an index not valid goes."""
    touched = {one.table for one in found.half.operations if isinstance(one, OnTable)}
    cleaning: list[RepairStep] = []
    for leftover in found.leftovers:
        if leftover.table not in touched or leftover.kind == "leftover-type":
            continue
        if leftover.kind == "invalid-index":
            cleaning.append(RepairStep(DropIndex(leftover.name, leftover.table, leftover.schema)))
        elif leftover.table in found.names:
            cleaning.append(RepairStep(DropTable(leftover.name, None)))
        elif leftover.table is not None:  # it broke off between dropping the one and renaming the other
            cleaning.append(RepairStep(RenameTable(leftover.name, None, leftover.table)))
    return tuple(cleaning)


# -- what comes of it


def _require_whole(found: _Found, verb: RepairVerb, works: Iterable[RepairStep]) -> None:
    """Refuse what would not lead to the schema that a clean run gives, by all that is known of it."""
    half = found.half
    now = found.start.applying(half.operations[place] for place in half.done)
    then = now.applying(work.operation for work in works)
    names = {*now.changed, *then.changed, *found.wanted.changed}
    wrong = sorted(
        str(fact) for name in names for fact in then.facts(name) ^ found.wanted.facts(name) if _is_known(found, name)
    )
    if wrong:
        some = "; ".join(wrong[:NAMED_AT_MOST])
        raise RefusedError(
            f"What would {verb} {half.revision} cannot be worked out: it would leave the schema with "
            f"{len(wrong)} difference{'' if len(wrong) == 1 else 's'} ({some}). Nothing was changed."
        )


def _is_known(found: _Found, name: str) -> bool:
    tables = (found.start.tables.get(name), found.wanted.tables.get(name))
    return not any(table is not None and table.open for table in tables)


def _current_after(chain: Chain, verb: RepairVerb, current: Sequence[str], revision: str) -> tuple[str, ...]:
    """The rows of other branches, and the revision itself or what it stands on."""
    one = chain.by_id[revision]
    below = chain.applied([revision])
    known = [row for row in current if row in chain.by_id]
    others = {row for row in known if row not in below and revision not in chain.applied([row])}
    if verb == "finish":
        return tuple(sorted({*others, revision}))
    standing = chain.applied(sorted(others)) if others else frozenset()
    return tuple(sorted({*others, *(parent for parent in one.down_revisions if parent not in standing)}))


def _version_table_sql(table: str, current: Sequence[str], result: Sequence[str]) -> Iterator[str]:
    for gone in sorted(set(current) - set(result)):
        yield f"DELETE FROM {table} WHERE version_num = '{gone}'"
    for new in sorted(set(result) - set(current)):
        yield f"INSERT INTO {table} (version_num) VALUES ('{new}')"
