"""What a plan's run would mean: for each step its operations, whom they lock out and for how much work, what is lost.

Everything in it comes from the recorded operations and from reading the catalog: planning locks no more than a SELECT
does. What a script decides by looking at the database is not known beforehand, and said to be so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from magetui.backends.postgresql.sessions import ALL_MODES, CONFLICTS, lock_mode
from magetui.engine.errors import MagetuiError
from magetui.engine.evidence.recording import record_revisions, recorded_steps
from magetui.engine.preview.data_loss import Losses, plan_losses
from magetui.engine.preview.lock_forecast import Effect, Known, after, effects
from magetui.engine.workspace import Workspace
from magetui.model.operations import AddColumn, Autocommit, CreateIndex, CreateType, DropType, Operation, Recorded
from magetui.model.plan import Plan
from magetui.model.schema import Table
from magetui.model.sessions import Session

Way = tuple[str, str, Recorded]  # revision, direction, what it does
LARGE_ROWS = 100_000  # a table of so many rows is read or written for long enough to be noticed
LONG_WORK = frozenset({"scan", "build", "rewrite"})
STRONG = frozenset({"AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock"})


@dataclass(frozen=True, slots=True)
class TableEffect:
    """An effect with what the table is like now; `rows` and `bytes` by the server's estimate, None where unknown."""

    effect: Effect
    rows: int | None = None
    bytes: int | None = None
    holders: tuple[int, ...] = ()  # sessions that hold a lock on it now which does not go together with this one


@dataclass(frozen=True, slots=True)
class StepPreview:
    revision: str
    direction: str
    operations: tuple[Operation, ...]
    undecidable: str | None
    effects: tuple[TableEffect, ...]  # one a table, the strongest of the step
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """`steps` in the order of the run."""

    steps: tuple[StepPreview, ...]
    losses: Losses
    unforetold: str | None = None  # that nobody knows here what it locks, as the end of a sentence
    fails: tuple[str, ...] = ()  # what a step will fail on, as the end of a sentence
    doubt: str | None = (
        None  # that the schema speaks against the current revision that it starts from, or that a stamp sets
    )

    @property
    def in_the_way(self) -> frozenset[int] | None:
        """The sessions that a step would wait for now; None where that cannot be told."""
        told = [one for step in self.steps for one in step.effects]
        if not told or self.unforetold or any(step.undecidable for step in self.steps):
            return None
        if any(one.effect.unknown for one in told):
            return None
        return frozenset(pid for one in told for pid in one.holders)

    @property
    def strongest(self) -> tuple[TableEffect, ...]:
        """The locks that keep readers or writers out, one a table, over all steps."""
        tables: dict[tuple[str | None, str | None], TableEffect] = {}
        for step in self.steps:
            for one in step.effects:
                key = (one.effect.schema, one.effect.table)
                if one.effect.mode in STRONG and one.effect.table is not None:
                    tables[key] = _stronger(tables.get(key), one)
        return tuple(tables.values())


def preview_plan(workspace: Workspace, plan: Plan) -> Preview:
    """The preview of a plan; of a stamp, which runs nothing, whether the schema speaks against it.

    Raises `MagetuiError` where the scripts cannot be asked, or the database cannot be read.
    """
    if plan.verb == "stamp":
        return Preview((), plan_losses(workspace, plan), doubt=_doubt(workspace, plan.result))
    ways = recorded_steps(workspace, plan)
    if workspace.backend.name == "postgresql" and ways:
        with workspace.reading() as connection:
            server = workspace.backend.server(connection)
            details = workspace.backend.table_details(connection)
            sessions = workspace.backend.sessions(connection)
            enums = workspace.backend.enum_types(connection)
        known = Known.read(details, server.schema)
        live = _Live([detail.table for detail in details], sessions, server.schema)
        made = tuple(_postgresql_steps(ways, int(server.version.partition(".")[0]), known, live))
        fails, left = _types(workspace, ways, {(enum.schema, enum.name) for enum in enums}, server.schema)
        made = tuple(replace(one, warnings=(*one.warnings, *left.get(one.revision, ()))) for one in made)
    else:
        made = tuple(
            StepPreview(revision, direction, way.operations, way.undecidable, (), tuple(_of_script(direction, way)))
            for revision, direction, way in ways
        )
        fails = []
    unforetold = "not foretold on SQL Server yet" if workspace.backend.name == "mssql" and ways else None
    doubt = None
    if plan.repair is None:
        with suppress(MagetuiError):  # the diagnosis says why nobody can say
            doubt = _doubt(workspace, plan.current)
    return Preview(made, plan_losses(workspace, plan), unforetold, tuple(fails), doubt)


def _doubt(workspace: Workspace, current: tuple[str, ...]) -> str | None:
    from magetui.engine.diagnosis.evidence_findings import doubt_of
    from magetui.engine.evidence.evidence import gather_evidence  # starts a child, and loads what only it needs

    if workspace.backend.name == "mssql":
        return None  # nobody can say
    return doubt_of(workspace.chain, gather_evidence(workspace), current)


def _types(
    workspace: Workspace, ways: Iterable[Way], there: set[tuple[str | None, str]], usual: str | None
) -> tuple[list[str], dict[str, list[str]]]:
    """What a step fails on since an enum type is there already; and for each revision what its way back leaves.

    PostgreSQL's enum types are made with the first table that has one, and are not dropped with it: Alembic's usual
    downgrade forgets them.
    """
    fails, left = [], {}
    for revision, direction, way in ways:
        for one in _made_and_dropped(way.operations):
            key, spoken = (one.schema or usual, one.name), f"{one.schema or usual}.{one.name}"
            if isinstance(one, DropType):
                there.discard(key)
            elif key in there:
                fails.append(
                    f"at {revision}, unless its script looks first: the enum type {one.name} is there already. If "
                    f"nothing else needs it: DROP TYPE {spoken}"
                )
            else:
                there.add(key)
        if direction == "downgrade":
            upgrade = record_revisions(workspace, [revision])[revision].upgrade
            stay = [
                one.name for one in _made_and_dropped(upgrade.operations) if (one.schema or usual, one.name) in there
            ]
            left[revision] = [
                f"It leaves the enum type {name} behind, on which a later migration fails until it is dropped by hand."
                for name in dict.fromkeys(stay)
            ]
    return fails, left


def _made_and_dropped(operations: Iterable[Operation]) -> Iterator[CreateType | DropType]:
    return (one for one in operations if isinstance(one, CreateType | DropType))


class _Live:
    """The tables as they are now, and who holds locks on them."""

    def __init__(self, tables: Iterable[Table], sessions: Sequence[Session], schema: str | None) -> None:
        self._tables: Mapping[tuple[str | None, str], Table] = {(t.schema, t.name): t for t in tables}
        self._schema = schema
        self._held: dict[str, list[tuple[int, str]]] = {}
        for session in sessions:
            for held in session.holds:
                self._held.setdefault(held.relation, []).append((session.pid, lock_mode(held.mode)))

    def seen(self, effect: Effect) -> TableEffect:
        table = self._tables.get((effect.schema or self._schema, effect.table)) if effect.table else None
        if table is None:
            return TableEffect(effect)
        name = table.name if table.schema == self._schema else f"{table.schema}.{table.name}"
        against = CONFLICTS.get(effect.mode, ALL_MODES)
        holders = dict.fromkeys(pid for pid, mode in self._held.get(name, ()) if mode in against)
        return TableEffect(effect, table.rows, table.bytes, tuple(holders))


def _postgresql_steps(
    ways: Iterable[tuple[str, str, Recorded]], server: int, known: Known, live: _Live
) -> Iterator[StepPreview]:
    for revision, direction, way in ways:
        strongest: dict[tuple[str | None, str | None, str | None], TableEffect] = {}
        warnings = list(_of_script(direction, way))
        for operation in way.operations:
            for effect in effects(operation, server, known):
                one = live.seen(effect)
                key = (effect.schema, effect.table, None if effect.table else effect.note)
                strongest[key] = _stronger(strongest.get(key), one)
                warnings += _of_effect(operation, one)
            known = after(operation, known)
        yield StepPreview(
            revision,
            direction,
            way.operations,
            way.undecidable,
            tuple(strongest.values()),
            tuple(dict.fromkeys(warnings)),
        )


def _stronger(one: TableEffect | None, other: TableEffect) -> TableEffect:
    """Of two effects on a table the one with the stronger lock, or with more work under the same."""
    from magetui.engine.preview.lock_rules import MODES, WORKS

    if one is None:
        return other

    def rank(seen: TableEffect) -> tuple[int, int]:
        return MODES.index(seen.effect.mode), WORKS.index(seen.effect.work)

    return max((one, other), key=rank)


# -- warnings, as sentences


def _of_script(direction: str, way: Recorded) -> Iterator[str]:
    if way.undecidable is not None:
        yield f"What it does is not all known beforehand: {way.undecidable}."
    elif not way.operations:
        yield (
            "Its downgrade is empty: the current revision moves back, and the schema stays as it is."
            if direction == "downgrade"
            else "Its upgrade is empty: only the current revision moves."
        )
    for place, operation in enumerate(way.operations):
        if isinstance(operation, Autocommit) and operation.begins:
            before = " What came before it is committed then, and stays if a later part fails." if place else ""
            yield f"Part of it runs outside the transaction, and cannot be taken back.{before}"
            break


def _of_effect(operation: Operation, one: TableEffect) -> Iterator[str]:
    effect, large = one.effect, (one.rows or 0) >= LARGE_ROWS
    if effect.unknown:
        yield f"What it locks cannot be told: {effect.note}."
        return
    if isinstance(operation, CreateIndex) and not operation.concurrently and large:
        yield f"It builds an index on {effect.table} without CONCURRENTLY: nobody can write to the table meanwhile."
    elif effect.work in LONG_WORK and effect.mode == "AccessExclusiveLock" and large:
        doing = "writes it anew" if effect.work == "rewrite" else "reads all of it"
        yield f"It {doing} while nobody can use {effect.table}, a large table."
    if (
        isinstance(operation, AddColumn)
        and not operation.column.nullable
        and operation.column.default is None
        and one.rows
    ):
        yield f"It fails if {effect.table} has any row: {operation.column.name} may not be null and has no default."
