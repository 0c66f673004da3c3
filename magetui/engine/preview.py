"""What a plan's run would mean: for each step its operations, whom they lock out and for how much work, what is lost.

Everything in it comes from the recorded operations and from reading the catalog: planning locks no more than a SELECT
does. What a script decides by looking at the database is not known beforehand, and said to be so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from magetui.backends.base import Session, Table
from magetui.engine.effects import Effect, Known, after, effects
from magetui.engine.losses import Losses, plan_losses
from magetui.engine.plan import Plan
from magetui.engine.recording import ways_of
from magetui.engine.workspace import Workspace
from magetui.runner.operations import (
    AddColumn,
    Autocommit,
    CreateIndex,
    Operation,
    Recorded,
)

LARGE_ROWS = 100_000  # a table of so many rows is read or written for long enough to be noticed
LONG_WORK = frozenset({"scan", "build", "rewrite"})
STRONG = frozenset({"AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock"})


@dataclass(frozen=True, slots=True)
class TableEffect:
    """An effect with what the table is like now; `rows` and `bytes` by the server's estimate, None where unknown."""

    effect: Effect
    rows: int | None = None
    bytes: int | None = None
    holders: tuple[int, ...] = ()  # sessions that hold locks on it now


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
    doubt: str | None = None  # of a stamp: that the schema speaks against the revision, as sentences

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
        return Preview((), plan_losses(workspace, plan), doubt=_doubt(workspace, plan))
    ways = ways_of(workspace, plan)
    if workspace.backend.name == "postgresql" and ways:
        with workspace.reading() as connection:
            server = workspace.backend.server(connection)
            details = workspace.backend.table_details(connection)
            sessions = workspace.backend.sessions(connection)
        known = Known.read(details, server.schema)
        live = _Live([detail.table for detail in details], sessions, server.schema)
        made = tuple(_postgresql_steps(ways, int(server.version.partition(".")[0]), known, live))
    else:
        made = tuple(
            StepPreview(revision, direction, way.operations, way.undecidable, (), tuple(_of_script(direction, way)))
            for revision, direction, way in ways
        )
    unforetold = "not foretold on SQL Server yet" if workspace.backend.name == "mssql" and ways else None
    return Preview(made, plan_losses(workspace, plan), unforetold)


def _doubt(workspace: Workspace, plan: Plan) -> str | None:
    from magetui.engine.evidence import gather_evidence  # starts a child, and loads what only it needs
    from magetui.engine.judgement import doubt_of

    if workspace.backend.name == "mssql":
        return None  # nobody can say
    return doubt_of(workspace.chain, gather_evidence(workspace), plan.result)


class _Live:
    """The tables as they are now, and who holds locks on them."""

    def __init__(self, tables: Iterable[Table], sessions: Sequence[Session], schema: str | None) -> None:
        self._tables: Mapping[tuple[str | None, str], Table] = {(t.schema, t.name): t for t in tables}
        self._schema = schema
        self._holders: dict[str, list[int]] = {}
        for session in sessions:
            for relation in dict.fromkeys(held.relation for held in session.holds):
                self._holders.setdefault(relation, []).append(session.pid)

    def seen(self, effect: Effect) -> TableEffect:
        table = self._tables.get((effect.schema or self._schema, effect.table)) if effect.table else None
        if table is None:
            return TableEffect(effect)
        name = table.name if table.schema == self._schema else f"{table.schema}.{table.name}"
        return TableEffect(effect, table.rows, table.bytes, tuple(self._holders.get(name, ())))


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
    from magetui.engine.costs import MODES, WORKS

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
            "Its downgrade is empty: the marker moves back, and the schema stays as it is."
            if direction == "downgrade"
            else "Its upgrade is empty: only the marker moves."
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
