"""The plan that takes a schema to a revision, if it is damaged over several: it does the missing operations.

What later revisions have left is undone.

Each operation of the chain is judged by the facts that it adds and removes. Backwards from the goal: an operation is
needed if it adds a missing fact, and then what it removes must have been there, so that is missing too (a column must
exist to be renamed). Forwards from the live schema: an operation is also needed if it removes a fact that is there and
that the goal does not have. The needed operations are applied to the live schema as a value, one after the other. The
plan is refused, with the differences, unless that ends in the schema of the goal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from magetui.engine.errors import RefusedError, RevisionError
from magetui.engine.evidence.diff import Live, SchemaDiff, live_schema, named_as_originals
from magetui.engine.evidence.evidence import record_chain
from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.summary import count_differences, list_differences
from magetui.engine.prerequisites import consent_name, forbidden, missing_version_table, version_table_name
from magetui.engine.repair.plan import NAMED_AT_MOST, UNSEEN, InDoubt, describe, has_secret, rows_replaced, sketches_of
from magetui.engine.repair.reverse import NoReversalError, Reversal, in_autocommit
from magetui.engine.schema.exact import OWN_INDEX
from magetui.model import operations as ops
from magetui.model.plan import Plan, PlannedStep, Repair, RepairPart, RepairStep

if TYPE_CHECKING:
    from magetui.engine.evidence.table_state import TableState
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.schema.facts import Fact
    from magetui.engine.schema.snapshot import Reading

NOT_REPEATED = (ops.Autocommit, ops.RebuildTable, ops.Other)  # they are done with the operations beside them


def plan_several(reading: Reading, revision: str | None, in_doubt: InDoubt | None = None) -> Plan:
    """Return the plan that takes the live schema to `revision`, by default to the current revision or the head.

    Raises `RefusedError` with the reason if the way cannot be worked out; as `record_chain`; and `ConnectError`.
    """
    workspace, chain = reading.workspace, reading.workspace.chain
    unknown = chain.unknown(reading.overview.current)
    if unknown and revision is None:
        raise RefusedError(
            f"The database is at revision {', '.join(unknown)}, which the chain does not have. Find out which revision "
            "is right, and name it: 'magetui repair --revision R' replaces the unknown one. Nothing was changed."
        )
    way = _Way(reading, _goal(chain, reading.overview.current, revision), in_doubt)
    undone = way.undone()
    if undone and revision is None:
        raise RefusedError(
            f"Objects of {undone[0].revision} are there, which comes after {way.goal}. If the schema is right, "
            f"'magetui evidence' says what to stamp. To take them back: 'magetui repair --revision {way.goal}'. "
            "Nothing was changed."
        )
    parts = (*undone, *way.done())
    way.require_goal()
    way.notes += [f"The unknown current revision {row} is replaced." for row in unknown]
    snapshot, goal = reading.snapshot, way.goal
    first = parts[0] if parts else RepairPart(goal, str(chain.by_id[goal].path), ())
    repair = Repair(first.revision, first.file, first.steps, first.sketches, parts[1:])
    if has_secret(repair.all_steps):
        raise RefusedError(
            "An operation contains what looks like a secret, and magetui keeps no secrets. Do it by hand: 'magetui "
            "evidence' lists the operations. Nothing was changed."
        )
    current, result = snapshot.current, tuple(sorted((goal, *way.others)))
    is_done = not repair.all_steps and sorted(current) == [*result]
    return Plan(
        verb="repair",
        current=current,
        target_revision=goal,
        steps=() if is_done else (PlannedStep(goal, "repair", chain.by_id[goal].message),),
        result=result,
        version_table_sql=rows_replaced(version_table_name(workspace), current, result),
        url=workspace.target.redacted,
        database=consent_name(workspace, snapshot),
        forbidden=forbidden(snapshot, "repair"),
        creates_version_table=missing_version_table(workspace, snapshot),
        repair=None if is_done else repair,
        notes=tuple(way.notes),
    )


def _goal(chain: Chain, current: Sequence[str], revision: str | None) -> str:
    chain.require_graph()
    known = [row for row in current if row in chain.by_id]
    goal = chain.resolve(revision or (known[0] if len(known) == 1 else "head"))
    if goal == "base":
        raise RevisionError("'repair' leads to a revision. To go back to nothing: magetui rollback --revision base", ())
    return goal


class _Way:
    """The way from the live schema to the goal: `notes` say what is skipped, and what no schema shows."""

    def __init__(self, reading: Reading, goal: str, in_doubt: InDoubt | None) -> None:
        workspace, snapshot = reading.workspace, reading.snapshot
        self._chain, self._in_doubt = workspace.chain, in_doubt
        self._recordings = record_chain(workspace)
        self._require_tidy([leftover.kind for leftover in snapshot.leftovers])
        schema, dialect = snapshot.server.schema, workspace.target.dialect
        details = named_as_originals(snapshot.details)
        self._history = SchemaHistory(self._chain, self._recordings, SchemaState(dialect, schema))
        self._live = live_schema(workspace, snapshot)
        self._diff = SchemaDiff(self._history, self._live)
        self._state = _named(SchemaState.read(dialect, schema, details, snapshot.enum_types), self._history)
        self._details = {self._state.name(d.table.schema, d.table.name): d for d in details}
        self._applied = self._chain.applied([row for row in snapshot.current if row in self._chain.by_id])
        below = self._history.ancestors([goal])
        # The current revisions of other branches stay as they are.
        known = [row for row in snapshot.current if row in self._chain.by_id and row not in below]
        self.others = tuple(row for row in known if goal not in self._history.ancestors([row]))
        self._wanted = self._history.ancestors([goal, *self.others])
        self._expected = self._history.at([goal, *self.others])
        self._needed: frozenset[tuple[str, int]] = frozenset()  # a revision, and the place of an operation in it
        self.goal = goal
        self.notes: list[str] = []

    def _require_tidy(self, kinds: Iterable[str]) -> None:
        if {"leftover-table", "invalid-index"} & {*kinds}:
            raise RefusedError(
                "Earlier runs have left an invalid index or the copy of a table. Clean that up first: 'magetui clean'. "
                "Nothing was changed."
            )

    # -- undoing what comes after the goal

    def undone(self) -> list[RepairPart]:
        """Return what undoes the operations of revisions that come after the goal, the newest first."""
        names = [revision.revision for revision in reversed(self._history.oldest_first)]
        after = (n for n in names if n not in self._wanted and self.goal in self._history.ancestors([n]))
        return [part for name in after if (part := self._undo(name)) is not None]

    def _undo(self, name: str) -> RepairPart | None:
        recording, done, left = self._recordings[name], list[ops.Operation](), list[str]()
        for operation, added, removed in self._effects(name):
            own = [fact for fact in _main(added) if not self._is_expected(fact)]
            if own and all(map(self._is_there, own)):
                done.append(operation)
            elif removed:
                left.append(f"What {name} dropped comes back without its values: {describe(operation)}")
            elif not added and isinstance(operation, UNSEEN):
                left.append(f"No schema shows whether this was run, and it is not undone: {describe(operation)}")
        if not done:
            return None
        if recording.upgrade.undecidable is not None:
            raise RefusedError(
                f"Objects of {name} are there, which comes after {self.goal}, and what else it does is decided when it "
                f"runs: {recording.upgrade.undecidable}. Nothing was changed."
            )
        reversal = Reversal(recording, "downgrade", self._state.dialect, self._details)
        try:
            steps, notes = reversal.of(done, self._history.before[name])
        except NoReversalError as error:
            raise RefusedError(
                f"Objects of {name} are there, which comes after {self.goal}, and they cannot be undone: {error}. "
                "Nothing was changed."
            ) from None
        self._state = self._state.applying(step.operation for step in steps)
        self.notes += [
            *left,
            *notes,
            f"{name} comes after {self.goal}: {_operations(len(done))} of it undone.",
        ]
        return RepairPart(name, str(self._chain.by_id[name].path), steps, sketches_of(recording))

    # -- doing what is missing

    def done(self) -> list[RepairPart]:
        """Return the missing operations of the revisions up to the goal, the oldest first."""
        names = [revision.revision for revision in self._history.oldest_first if revision.revision in self._wanted]
        for name in names:
            undecidable = self._recordings[name].upgrade.undecidable
            if undecidable is not None and name not in self._applied:
                raise RefusedError(
                    f"What {name} does is decided when it runs: {undecidable}. So the way to {self.goal} cannot be "
                    "worked out. Nothing was changed."
                )
        self._needed = frozenset(self._backwards(names))
        return [part for name in names if (part := self._do(name)) is not None]

    def _backwards(self, names: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield the operations that add what is missing, from the newest to the oldest."""
        tables = (self._expected.facts(table) for table in self._expected.tables)
        enums = (self._expected.enum_facts(enum) for enum in self._expected.enums)
        missing = {fact for facts in (*tables, *enums) for fact in facts if not self._is_alike(fact)}
        for name in reversed(names):
            for index, (_operation, added, removed) in reversed(list(enumerate(self._effects(name)))):
                if missing & _main(added):
                    yield name, index
                    missing -= added
                    missing |= {fact for fact in removed if not self._is_alike(fact)}

    def _effects(self, name: str) -> Iterator[tuple[ops.Operation, set[Fact], set[Fact]]]:
        """Yield each operation of a revision with the facts that it adds and removes in the chain."""
        state = self._history.before[name]
        for operation in self._recordings[name].upgrade.operations:
            after = state.after(operation)
            yield operation, *self._diff.brought(state, after)
            state = after

    def _do(self, name: str) -> RepairPart | None:
        recorded = self._recordings[name].upgrade
        if recorded.undecidable is not None:
            return None
        chosen, doubtful, there = list[int](), list[int](), 0
        for index, (operation, added, removed) in enumerate(self._effects(name)):
            if (name, index) in self._needed or self._is_extra(removed) or self._is_missing(added):
                chosen.append(index)
                self._state = self._state.as_far_as_read(operation)
            elif added or removed:
                there += 1
            elif isinstance(operation, UNSEEN):
                doubtful.append(index)
        chosen += self._resolved(name, recorded.operations, doubtful, missing=bool(chosen), there=there > 0)
        if there and chosen:
            self.notes.append(f"Left out of {name}, as it is there or is replaced later: {_operations(there)}.")
        outside = in_autocommit(recorded.operations)
        steps = tuple(
            RepairStep(recorded.operations[index], "upgrade", index, index in outside)
            for index in sorted(chosen)
            if not isinstance(recorded.operations[index], NOT_REPEATED)
        )
        path = str(self._chain.by_id[name].path)
        return RepairPart(name, path, steps, sketches_of(self._recordings[name])) if steps else None

    def _resolved(
        self,
        name: str,
        operations: Sequence[ops.Operation],
        doubtful: Sequence[int],
        *,
        missing: bool,
        there: bool,
    ) -> Iterator[int]:
        """Yield the doubtful operations to run: all if nothing of the revision is there, none if all of it is."""
        if not doubtful or (there and not missing) or (name in self._applied and not missing):
            return
        # A part is there, the schema shows nothing of the revision, or the version table says that it was applied.
        if there or not missing or name in self._applied:
            if self._in_doubt is None:
                names = "; ".join(describe(operations[index]) for index in doubtful[:NAMED_AT_MOST])
                raise RefusedError(
                    f"No schema shows whether this part of {name} was run: {names}. Find out. Then use --in-doubt run "
                    "if it was not run, or --in-doubt skip if it was. Nothing was changed."
                )
            fate = "it is run now" if self._in_doubt == "run" else "it is left out"
            self.notes += [
                f"No schema shows whether this was run, and {fate}: {describe(operations[index])}" for index in doubtful
            ]
            if self._in_doubt == "skip":
                return
        yield from doubtful

    def _is_extra(self, removed: Collection[Fact]) -> bool:
        """Return whether something is there that the goal does not have, or exactly what another one replaces."""
        if any(self._is_there(fact) and not self._is_expected(fact) for fact in _main(removed)):
            return True
        return all(map(self._is_there, removed)) and not all(map(self._is_expected, removed))

    def _is_missing(self, added: Collection[Fact]) -> bool:
        """Return whether the goal has something that is not there, because an operation before has removed it."""
        return any(self._is_expected(fact) and not self._is_alike(fact) for fact in _main(added))

    # -- facts

    def _is_expected(self, fact: Fact) -> bool:
        return fact in _facts(self._expected, fact)

    def _is_there(self, fact: Fact) -> bool:
        return fact in _facts(self._state, fact)

    def _is_alike(self, fact: Fact) -> bool:
        """Return whether the fact is there, or an index or check of another name that no revision mentions."""
        return self._is_there(fact) or (fact.kind in ("index", "check") and self._diff.is_live(fact))

    def require_goal(self) -> None:
        """Raise `RefusedError` if the schema would still differ from that of the goal."""
        tables = {name: self._state.facts(name) for name in self._state.tables}
        enums = {name: self._state.enum_facts(name) for name in self._state.enums}
        columns = {name: tuple(table.columns) for name, table in self._state.tables.items()}
        differences = SchemaDiff(self._history, Live(tables, enums, columns)).differences(self._expected)
        if differences:
            wrong = list_differences(differences)
            raise RefusedError(
                f"The way to {self.goal} cannot be worked out: the schema would still have "
                f"{count_differences(differences)} ({'; '.join(wrong[:NAMED_AT_MOST])}). Nothing was changed."
            )


def _named(state: SchemaState, history: SchemaHistory) -> SchemaState:
    """Return the live schema, in which unique constraints have the names of the scripts.

    SQLite reports no names, and reports the index of a constraint, too.
    """
    names = {(table.name, columns): name for table in history.made for name, columns in table.uniques.items()}

    def named(table: TableState) -> TableState:
        uniques = {names.get((table.name, columns), key): columns for key, columns in table.uniques.items()}
        indexes = {name: index for name, index in table.indexes.items() if not name.startswith(OWN_INDEX)}
        return replace(table, uniques=uniques, indexes=indexes)

    return replace(state, tables={name: named(table) for name, table in state.tables.items()})


def _facts(state: SchemaState, fact: Fact) -> frozenset[Fact]:
    """Return the facts of the state about the same table or type."""
    return state.enum_facts(fact.table) if fact.kind in ("enum", "enum-value") else state.facts(fact.table)


def _main(facts: Iterable[Fact]) -> set[Fact]:
    """Return the facts that decide whether an operation is done: a table, a type or a column, else all of them.

    A column that is there and has another default is no reason to add it, nor to drop it before.
    """
    found = set(facts)
    for kind in ("table", "enum", "column"):
        if main := {fact for fact in found if fact.kind == kind}:
            return main
    return found


def _operations(count: int) -> str:
    return f"{count} {'operation' if count == 1 else 'operations'}"
