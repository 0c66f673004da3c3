"""The preview of a plan: the operations of each step, its locks and the work under them, and the data loss.

Everything comes from the recorded operations and from the snapshot: planning locks no more than a SELECT does. What a
script decides by looking at the database is not known in advance, and the preview says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from magetui.engine.errors import MagetuiError
from magetui.engine.evidence.inspection import on_database, recorded_steps
from magetui.engine.evidence.recording import record_revisions
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.preview.data_loss import Losses, plan_losses
from magetui.engine.preview.lock_forecast import after, effects
from magetui.engine.preview.ownership import ownership
from magetui.engine.preview.preflight.preflight import preflight
from magetui.engine.sql.ddl import parts_of
from magetui.model.lock_modes import LockMode, conflict, lock_mode
from magetui.model.operations import (
    AddEnumValue,
    Autocommit,
    CreateIndex,
    CreateTable,
    CreateType,
    DropType,
    OnTable,
    Operation,
    Recorded,
)

if TYPE_CHECKING:
    from magetui.engine.preview.lock_rules import Effect
    from magetui.engine.preview.preflight.answers import Preflight
    from magetui.engine.schema.snapshot import Reading, Snapshot
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import Plan
    from magetui.model.schema import Table

_Held = tuple[str, int, LockMode | None]  # the relation, the session that holds a lock on it, and the mode
NAMED_AT_MOST = 3
LARGE_ROWS = 100_000  # reading or writing a table of so many rows takes long enough to be noticed
LONG_WORK = frozenset({"scan", "build", "rewrite"})
READS = frozenset({LockMode.ACCESS_SHARE, LockMode.ROW_SHARE})
STRONG = frozenset({LockMode.ACCESS_EXCLUSIVE, LockMode.EXCLUSIVE, LockMode.SHARE_ROW_EXCLUSIVE, LockMode.SHARE})


@dataclass(frozen=True, slots=True)
class TableEffect:
    """An effect on a table as it is now; `rows` and `bytes` are the server's estimates, None if it has none."""

    effect: Effect
    rows: int | None = None
    bytes: int | None = None
    holders: tuple[int, ...] = ()  # sessions that hold a lock on the table which conflicts with this one


@dataclass(frozen=True, slots=True)
class StepPreview:
    """What one step does, locks and may fail on."""

    revision: str
    direction: str
    operations: tuple[Operation, ...]
    undecidable: str | None
    effects: tuple[TableEffect, ...]  # one for each table: the strongest of the step
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """The steps in the order of the run, and what holds for all of them. The texts are ends of sentences."""

    steps: tuple[StepPreview, ...]
    losses: Losses
    no_forecast: str | None = None  # why there is no lock forecast
    preflight: Preflight | None = None  # whether each operation succeeds; None if that is not worked out
    owner: str | None = None  # who will own the new objects, if it is not who owns the version table
    doubt: str | None = None  # why the schema contradicts the current revision, or the one that a stamp sets
    other_backup: str | None = None  # how to make a backup, where this program makes none
    not_compared: str | None = None  # why it is not known whether it does, as a sentence
    is_elsewhere: bool = False  # whether the doubt is that this is the database of another application
    uncommitted: tuple[int, ...] = ()  # sessions whose rows in a table that is dropped are not committed, nor counted
    waits: str | None = None  # who holds the migration lock, so that the run would wait before its first step

    @property
    def fails(self) -> tuple[str, ...]:
        """What the run fails on, each with its step."""
        return () if self.preflight is None else self.preflight.failures

    @property
    def blockers(self) -> frozenset[int] | None:
        """The sessions that a step would wait for now; None if the locks of a step are not known."""
        forecast = [effect for step in self.steps for effect in step.effects]
        is_known = forecast and not self.no_forecast and not any(step.undecidable for step in self.steps)
        if not is_known or any(effect.effect.unknown for effect in forecast):
            return None
        return frozenset(pid for effect in forecast for pid in effect.holders)

    @property
    def strongest(self) -> tuple[TableEffect, ...]:
        """The locks that keep readers or writers out: the strongest for each table, over the steps that are run."""
        reached = len(self.steps) if self.preflight is None else self.preflight.reached
        tables: dict[tuple[str | None, str | None], TableEffect] = {}
        for effect in (effect for step in self.steps[:reached] for effect in step.effects):
            if effect.effect.mode in STRONG and effect.effect.table is not None:
                key = (effect.effect.schema, effect.effect.table)
                tables[key] = _stronger(tables.get(key), effect)
        return tuple(tables.values())


def ask_scripts(workspace: Workspace) -> None:
    """Record all scripts before a connection is opened, which would idle meanwhile. Errors are reported later."""
    from magetui.engine.evidence.evidence import record_chain  # loads what only evidence needs

    with suppress(MagetuiError):
        record_chain(workspace)


def preview_plan(reading: Reading, plan: Plan) -> Preview:
    """Return the preview of a plan. A stamp runs nothing: its preview says whether the schema contradicts it.

    Raises `MagetuiError` if the scripts cannot be recorded, or the database cannot be read.
    """
    if plan.verb == "stamp":
        preview = Preview((), plan_losses(reading, plan), waits=_holder(reading))
        return _with_doubt(preview, reading, plan, plan.result)
    workspace, backend = reading.workspace, reading.workspace.backend.name
    recorded = recorded_steps(reading, plan)
    steps = [
        StepPreview(
            revision, direction, done.operations, done.undecidable, (), tuple(_script_warnings(plan, direction, done))
        )
        for revision, direction, done in recorded
    ]
    if backend == "postgresql" and recorded:
        steps = _forecast(workspace, steps, reading.snapshot)
    no_forecast = "no forecast on SQL Server yet" if backend == "mssql" and recorded else None
    losses = plan_losses(reading, plan)
    owner = ownership(reading.overview, workspace.target, (o for _, _, done in recorded for o in done.operations))
    other_backup = workspace.backend.other_backup(plan.database)
    preview = Preview(
        tuple(steps),
        losses,
        no_forecast,
        preflight(reading, recorded) if _has_preflight(plan, backend) else None,
        owner,
        other_backup=other_backup,
        waits=_holder(reading),
        uncommitted=_writers(reading, losses),
    )
    if plan.repair is not None:
        return preview
    try:
        return _with_doubt(preview, reading, plan, plan.current)
    except MagetuiError as error:
        why = f"The schema could not be compared with the current revision. {error.message}"
        return replace(preview, not_compared=why)


def _has_preflight(plan: Plan, backend: str) -> bool:
    """Return whether the rules know the plan's operations. On SQLite a repair opens batches again."""
    return plan.repair is None or (plan.verb == "repair" and backend == "postgresql")


def _holder(reading: Reading) -> str | None:
    holder = reading.overview.mutex
    return None if holder is None else f"for {holder.described()}, which holds the migration lock"


def _writers(reading: Reading, losses: Losses) -> tuple[int, ...]:
    """Return the sessions that have written, perhaps into a table of the losses, and have not committed."""
    tables = {name for loss in losses.known for name in (loss.table, f"{loss.schema}.{loss.table}")}
    return tuple(
        session.pid
        for session in reading.overview.sessions
        if session.has_written
        and any(lock.relation in tables and lock_mode(lock.mode) not in READS for lock in session.holds)
    )


def _with_doubt(preview: Preview, reading: Reading, plan: Plan, current: tuple[str, ...]) -> Preview:
    """Return the preview with why the schema contradicts that current revision, or why that is not known."""
    from magetui.engine.evidence.doubt import doubt_of, newer_of
    from magetui.engine.evidence.evidence import gather_evidence  # loads what only evidence needs

    if reading.workspace.backend.name == "mssql":
        return replace(preview, not_compared="There is no comparison of the schema on SQL Server yet.")
    evidence = gather_evidence(reading)
    is_elsewhere = not plan.current and evidence.is_elsewhere
    weighed = () if is_elsewhere else current  # what a stamp would set says nothing of another database
    doubt = doubt_of(reading.workspace.chain, evidence, weighed) or newer_of(plan, evidence)
    return replace(preview, doubt=doubt, is_elsewhere=is_elsewhere)


# -- PostgreSQL


def lock_holders(reading: Reading, revisions: Iterable[str]) -> frozenset[int]:
    """Return the pids of the sessions that hold a lock which the upgrades of the revisions, in this order, wait for.

    Raises `MagetuiError` if the scripts cannot be recorded, or the database cannot be read.
    """
    wanted = tuple(revisions)
    recordings = record_revisions(reading.workspace, wanted)
    recorded = on_database(reading, [(name, "upgrade", recordings[name].upgrade) for name in wanted])
    steps = [StepPreview(name, direction, made.operations, None, (), ()) for name, direction, made in recorded]
    forecast = _forecast(reading.workspace, steps, reading.snapshot)
    return frozenset(pid for step in forecast for table in step.effects for pid in table.holders)


def _forecast(workspace: Workspace, steps: Iterable[StepPreview], snapshot: Snapshot) -> list[StepPreview]:
    """Return the steps with their locks and warnings."""
    server, schema = int(snapshot.server.version.partition(".")[0]), snapshot.server.schema
    state = SchemaState.read("postgresql", schema, snapshot.details, snapshot.enum_types)
    tables = {(detail.table.schema, detail.table.name): detail.table for detail in snapshot.details}
    held = [(lock.relation, s.pid, lock_mode(lock.mode)) for s in snapshot.sessions for lock in s.holds]
    forecast: list[StepPreview] = []
    for step in steps:
        strongest: dict[tuple[str | None, str | None, str | None], TableEffect] = {}
        warnings = [*step.warnings]
        for operation in step.operations:
            for effect in () if _is_gone(operation, state) else effects(operation, server, state):
                on_table = _with_table(effect, schema, tables, held)
                key = (effect.schema, effect.table, None if effect.table else effect.note)
                strongest[key] = _stronger(strongest.get(key), on_table)
                warnings += _effect_warnings(operation, on_table)
            state = after(operation, state)
        if step.direction == "downgrade":
            upgrade = record_revisions(workspace, [step.revision])[step.revision].upgrade
            warnings += _left_behind(upgrade.operations, state)
        forecast.append(replace(step, effects=tuple(strongest.values()), warnings=tuple(dict.fromkeys(warnings))))
    return forecast


def _is_gone(operation: Operation, state: SchemaState) -> bool:
    """Return whether the table of an operation does not exist, so that the operation fails and locks nothing."""
    if not isinstance(operation, OnTable) or isinstance(operation, CreateTable) or state.open:
        return False
    return state.at(state.path(operation.schema, operation.table)) is None


def _with_table(
    effect: Effect, schema: str | None, tables: Mapping[tuple[str | None, str], Table], held: Sequence[_Held]
) -> TableEffect:
    table = tables.get((effect.schema or schema, effect.table)) if effect.table else None
    if table is None:
        return TableEffect(effect)
    name = table.name if table.schema == schema else f"{table.schema}.{table.name}"
    holders = dict.fromkeys(pid for relation, pid, mode in held if relation == name and conflict(effect.mode, mode))
    return TableEffect(effect, table.rows, table.bytes, tuple(holders))


def _stronger(effect: TableEffect | None, other: TableEffect) -> TableEffect:
    """Return the effect with the stronger lock, or with more work under the same lock."""
    return other if effect is None else max((effect, other), key=lambda ranked: ranked.effect.rank)


# -- warnings, as sentences


def _left_behind(upgrade: Iterable[Operation], state: SchemaState) -> Iterator[str]:
    """Yield what a downgrade leaves of enum types. `upgrade` has the operations of the revision's upgrade.

    Alembic creates an enum type with the first table that uses it. It does not drop the type with the table, and the
    downgrade that Alembic writes forgets it. PostgreSQL has no statement that removes a value from a type.
    """
    for operation in chain.from_iterable(parts_of(one, "postgresql") for one in upgrade):
        if not isinstance(operation, CreateType | DropType | AddEnumValue):
            continue
        values = state.enums.get(state.type_of(operation))
        if values is None:
            continue
        if not isinstance(operation, AddEnumValue):
            stays = f"It leaves the enum type {operation.name} behind."
            yield f"{stays} A later migration fails on it until somebody drops it."
        elif operation.value in values:
            again = "" if operation.if_not_exists else " A later migration fails on it."
            yield f"The value '{operation.value}' stays in the enum type {operation.name}.{again}"


def _script_warnings(plan: Plan, direction: str, recorded: Recorded) -> Iterator[str]:
    if recorded.undecidable is not None:
        yield f"Not everything that it does is known in advance: {recorded.undecidable}."
    elif not recorded.operations and plan.repair is not None:  # only what is missing was recorded
        yield "Nothing of it is missing: only the current revision moves."
    elif not recorded.operations:
        yield (
            "Its downgrade is empty: the current revision moves back, and the schema stays as it is."
            if direction == "downgrade"
            else "Its upgrade is empty: only the current revision moves."
        )
    for index, operation in enumerate(recorded.operations):
        if isinstance(operation, Autocommit) and operation.begins:
            earlier = " The part before it is committed then, and stays if a later part fails." if index else ""
            yield f"A part of it runs outside the transaction, and cannot be rolled back.{earlier}"
            return


def _effect_warnings(operation: Operation, on_table: TableEffect) -> Iterator[str]:
    effect, large = on_table.effect, (on_table.rows or 0) >= LARGE_ROWS
    if effect.unknown:
        yield f"Its locks are not known: {effect.note}."
        return
    if isinstance(operation, CreateIndex) and not operation.concurrently and large:
        yield f"It builds an index on {effect.table} without CONCURRENTLY: nobody can write to the table meanwhile."
    elif effect.work in LONG_WORK and effect.mode is LockMode.ACCESS_EXCLUSIVE and large:
        work = "rewrites" if effect.work == "rewrite" else "reads"
        yield f"It {work} all of {effect.table}, a large table, while nobody can use it."
