"""What the live schema says of each revision, and from it which revision the database looks to be at.

Every revision's schema is worked out from what the scripts do (`model`), and compared with the live one fact by fact
(`facts`). That is evidence and no proof: rows that a script changed are not seen, nor what a script decided by looking
at the database. So a candidate is every revision that nothing contradicts, and where there are several it is said
that the schema cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from magetui.engine.chain import Chain
from magetui.engine.comparison import Comparison, Difference
from magetui.engine.errors import MagetuiError
from magetui.engine.facts import Fact, index_fact
from magetui.engine.lineage import Lineage
from magetui.engine.live import Live, read_live
from magetui.engine.model import Model
from magetui.engine.rawsql import AddEnumValue, operations_of
from magetui.engine.recording import Direction, Recording, record_revisions
from magetui.engine.workspace import Workspace
from magetui.runner.operations import Autocommit, CreateIndex, ExecuteSql, Operation, RebuildTable, Recorded

EvidenceState = Literal["applied", "missing", "partial", "undecidable", "superseded"]
NOTHING_SEEN = "it changes nothing that a schema shows"


@dataclass(frozen=True, slots=True)
class RevisionEvidence:
    """Of one revision. `there` and `missing` are what it should have brought about, as far as that can be seen now."""

    revision: str
    state: EvidenceState
    there: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    why: str | None = None


@dataclass(frozen=True, slots=True)
class HalfApplied:
    """A revision of which only some operations are there, in the direction in which it was run.

    The operations by their places in the recorded list: `done`, `missing`, and those in `doubt`, which no schema shows.
    `unindexed`: the indexes that a rebuilt table had and has not been given again.
    """

    revision: str
    direction: Direction
    operations: tuple[Operation, ...]
    done: tuple[int, ...]
    doubt: tuple[int, ...]
    missing: tuple[int, ...]
    unindexed: tuple[CreateIndex, ...] = ()
    or_else: str | None = None  # the revision before it, where that may be what was begun: no schema shows what it did
    adds_values_alone: bool = False  # all that is done of it are values of enum types, which nobody can take away

    def real(self, places: Iterable[int]) -> list[Operation]:
        """The operations at those places, without the marks of where a transaction ends."""
        return [self.operations[place] for place in places if not isinstance(self.operations[place], Autocommit)]


@dataclass(frozen=True, slots=True)
class Evidence:
    """`fits`: the markers that nothing contradicts, newest first; () is base. `loosely`: those that nothing speaks
    against but what a rollback leaves behind: enum types, and what a downgrade forgets that undoes the rest. `nearest`
    is, where nothing fits, the marker with the fewest differences, which are `differences`: each with whether it is
    missing (else it is too much). `half`: where nothing fits, or fits but for values of enum types that the revision
    after it adds. `too_early`: values of enum types that are there already, each with the revision that fails on it.
    `beneath`: a revision that would be half there, were it not that the marker stands on it, so that all of it was run.
    `unsure`: markers of which nothing is seen, that fit only because a script that cannot be read, of the revision that
    is given with each, may have done anything. They speak for a marker that names them, and are no reason to set one:
    where all that fit are such, and the marker is none of them, `nearest` and `half` are told as if nothing did.
    """

    revisions: tuple[RevisionEvidence, ...]  # newest first
    fits: tuple[tuple[str, ...], ...]
    loosely: tuple[tuple[str, ...], ...]
    half: HalfApplied | None
    nearest: tuple[str, ...] | None
    differences: tuple[Difference, ...]
    too_early: tuple[tuple[str, Fact], ...]
    tables: int  # how many tables the chain is known to make
    left: Mapping[tuple[str, ...], tuple[str, ...]]  # what is there besides at each of `loosely`
    beneath: str | None = None
    unsure: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def candidate(self) -> tuple[str, ...] | None:
        """The marker that explains most of what is there, or None where nothing fits."""
        return next(iter((*self.fits, *self.loosely)), None)

    @property
    def is_unsure(self) -> bool:
        """Whether something fits, and only what would fit anything, which the marker does not say."""
        return self.nearest is not None and bool(self.fits or self.loosely)

    def contradicts(self, marker: Sequence[str]) -> bool:
        """Whether the schema speaks against that marker."""
        wanted = sorted(marker)
        return not any(sorted(one) == wanted for one in (*self.fits, *self.loosely))


def gather_evidence(workspace: Workspace) -> Evidence:
    """Ask the scripts and the schema. Raises `ChainError` for broken scripts, `MagetuiError`, `ConnectError`."""
    if workspace.backend.name == "mssql":
        raise MagetuiError("What the schema says of the revisions is not weighed on SQL Server yet.")
    chain = workspace.chain
    chain.require_graph()
    recordings = record_revisions(workspace, [revision.revision for revision in chain.revisions])
    live, usual = read_live(workspace)
    marker = _recorded_marker(workspace)
    try:
        return weigh(chain, recordings, live, Model(workspace.target.dialect, usual), marker)
    except Exception as error:  # there is more to say about the database than what fits here
        said = f"{type(error).__name__}: {error}"
        raise MagetuiError(
            f"What the scripts do could not be compared with the schema: {said}. That is a fault of magetui's."
        ) from error


def _recorded_marker(workspace: Workspace) -> tuple[str, ...]:
    scripts = workspace.project.scripts
    with workspace.reading() as connection:
        tables = workspace.backend.version_tables(connection, scripts.version_table, scripts.version_table_schema)
    return next((table.rows for table in tables if table.effective and table.rows is not None), ())


def weigh(
    chain: Chain, recordings: Mapping[str, Recording], live: Live, base: Model, marker: Sequence[str] = ()
) -> Evidence:
    """The evidence, from what the scripts do and what is there; `base` is the schema before any revision.

    `marker` is what the version table says. What fits does not hang on it: only what is taken for broken off does, and
    which of two revisions that are as far from what is there is the nearer one.
    """
    return _Weighing(chain, recordings, live, base, marker).evidence()


class _Weighing:
    def __init__(
        self, chain: Chain, recordings: Mapping[str, Recording], live: Live, base: Model, marker: Sequence[str]
    ) -> None:
        self._chain = chain
        self._recordings = recordings
        self._marker = frozenset(marker)
        self._lineage = Lineage(chain, recordings, base)
        self._compared = Comparison(self._lineage, live)
        self._totals = self._compared.totals()

    # -- the answer

    def evidence(self) -> Evidence:
        fits: list[tuple[str, ...]] = []
        loosely: list[tuple[str, ...]] = []
        base = self._lineage.base
        markers: list[tuple[tuple[str, ...], Model, int]] = [((), base, self._compared.total(base))]
        for revision in self._lineage.oldest_first:
            name = revision.revision
            markers.append(((name,), self._lineage.after[name], self._totals[name]))
        for marker in self._lineage.together():
            together = self._lineage.at(marker)
            markers.append((marker, together, self._compared.total(together)))
        newest_first = markers[::-1]
        for marker, model, total in sorted(newest_first, key=lambda one: self._says_little(*one)):
            fit = self._compared.fit_of(marker, model, total)
            if fit is not None:
                (fits if fit == "exactly" else loosely).append(marker)
        half = nearest = None
        differences: tuple[Difference, ...] = ()
        unsure = {one: unread for one in (*fits, *loosely) if (unread := self._unread_below(one)) is not None}
        if unsure.keys() == {*fits, *loosely} and self._marker not in map(frozenset, unsure):
            half = self._half()
            others = [one for one in newest_first if one[0] not in unsure]
            nearest, model, _ = min(others, key=lambda one: self._distance(*one))
            differences = self._compared.differences(model)
        elif not fits:
            half = self._begun(loosely[0])
        beneath = half.revision if half is not None and self._is_beneath_the_marker(half) else None
        half = None if beneath else half
        return Evidence(
            self._by_revision(next(iter([*fits, *loosely]), None), half),
            tuple(fits),
            tuple(loosely),
            half,
            nearest,
            differences,
            tuple(self._too_early(loosely[0])) if loosely and not fits else (),
            len(self._compared.tables),
            {marker: self._left_behind(marker) for marker in loosely},
            beneath,
            unsure,
        )

    def _left_behind(self, marker: tuple[str, ...]) -> tuple[str, ...]:
        model = self._lineage.at(marker) if marker else self._lineage.base
        there = {fact for fact, missing in self._compared.differences(model) if not missing}
        return _spoken(there, there)

    def _unread_below(self, marker: tuple[str, ...]) -> str | None:
        """The revision whose script cannot be read, where nothing is seen of it nor of what follows it."""
        while len(marker) == 1:
            [revision] = marker
            before, after = self._lineage.before[revision], self._lineage.after[revision]
            if any(self._brought(before, after)):
                return None
            if (after.open and not before.open) or any(
                table.open and (known := before.tables.get(name)) is not None and not known.open
                for name in after.changed
                if (table := after.tables.get(name)) is not None
            ):
                return revision
            marker = self._chain.by_id[revision].down_revisions
        return None

    def _distance(self, marker: tuple[str, ...], model: Model, total: int) -> tuple[int, bool]:
        """How far a marker is from what is there: what a rollback leaves counts less, and of two the recorded one is
        nearer.
        """
        missing, left = self._compared.of_enums(model)
        return 2 * (total + len(missing)) + len(left), frozenset(marker) != self._marker

    def _is_beneath_the_marker(self, half: HalfApplied) -> bool:
        """Whether the marker says that it was run whole, and others after it: then what is missing of it has gone
        since, and to finish or undo it would take the marker back over all of those.
        """
        known = [one for one in self._marker if one in self._chain.by_id]
        return half.revision not in known and half.revision in self._lineage.ancestors(known)

    def _says_little(self, marker: tuple[str, ...], model: Model, total: int) -> tuple[int, bool]:
        """The more a marker leaves open of what is there, the less it says; so does one that cannot be followed."""
        followed = all(self._recordings[revision].upgrade.undecidable is None for revision in marker)
        return self._compared.unspoken(model, total), not followed

    def _half(self) -> HalfApplied | None:
        """The revision that begun from one known state, in either direction, leads to what is there."""
        for revision in reversed(self._lineage.oldest_first):
            name = revision.revision
            before, after = self._lineage.before[name], self._lineage.after[name]
            recording = self._recordings[name]
            for direction, start, total, way in (
                ("upgrade", before, self._compared.total_before(revision, self._totals), recording.upgrade),
                ("downgrade", after, self._totals[name], recording.downgrade),
            ):
                found = self._half_way(name, direction, start, total, way)
                if found is not None:
                    return replace(found, or_else=self._not_followed(revision.down_revisions))
        return None

    def _not_followed(self, revisions: Sequence[str]) -> str | None:
        """The first of them of which no schema shows what it did."""
        return next((one for one in revisions if self._recordings[one].upgrade.undecidable is not None), None)

    def _begun(self, marker: tuple[str, ...]) -> HalfApplied | None:
        """The revision after a marker, where all that is left over are values that it adds to enum types.

        PostgreSQL commits those by themselves, so that a run which breaks off then leaves them; a rollback does too.
        """
        applied = self._lineage.ancestors(marker)
        for revision in self._lineage.oldest_first:
            name = revision.revision
            if name in applied or not applied.issuperset(revision.down_revisions):
                continue
            start = self._lineage.before[name]
            way = self._recordings[name].upgrade
            found = self._half_way(name, "upgrade", start, self._compared.total(start), way)
            if found is None:
                continue
            reached = start.applying(found.operations[place] for place in found.done)
            exactly = self._compared.fit(reached, self._compared.total(reached)) == "exactly"
            if exactly and not reached.changed and reached.enums.keys() == start.enums.keys():
                return replace(found, adds_values_alone=True)
        return None

    def _too_early(self, marker: tuple[str, ...]) -> Iterator[tuple[str, Fact]]:
        """Each value of an enum type that is there before the revision that adds it, with that revision."""
        applied = self._lineage.ancestors(marker)
        now = self._lineage.at(marker) if marker else self._lineage.base
        for revision in self._lineage.oldest_first:
            name = revision.revision
            if name in applied:
                continue
            for adding in _values_added(self._recordings[name].upgrade.operations, now.dialect):
                added = now.after(adding)
                for enum in now.enums:
                    new = added.enum_facts(enum) - now.enum_facts(enum)
                    yield from ((name, fact) for fact in new if self._compared.is_live(fact))

    def _half_way(
        self, revision: str, direction: Direction, start: Model, total: int, way: Recorded
    ) -> HalfApplied | None:
        if way.undecidable is not None or len(way.operations) < 2:
            return None
        states = [start]  # what a script does that cannot be read explains nothing of what is there
        for operation in way.operations:
            states.append(states[-1].as_far_as_read(operation))
        touched = frozenset().union(*(state.changed for state in states[1:]))
        if total > sum(self._compared.cost(start, name) for name in touched):
            return None  # something else differs
        count = len(way.operations)
        totals = [self._compared.total(state) for state in states]
        left = [self._compared.left_over(state, total) for state, total in zip(states, totals, strict=True)][1:-1]
        least = min((facts for facts in left if facts is not None), default=None)
        fitting = [place for place, facts in enumerate(left, start=1) if facts is not None and facts == least]
        if fitting:
            done, missing = range(fitting[0]), range(fitting[-1], count)
            doubt: Iterable[int] = range(fitting[0], fitting[-1])
        elif (rebuilt := self._rebuilt(way.operations, states)) is not None:
            end, unindexed = rebuilt
            made, rest = tuple(range(end)), tuple(range(end, count))
            return HalfApplied(revision, direction, way.operations, made, (), rest, unindexed)
        else:
            steps = list(enumerate(pairwise(states)))
            unseen = {place for place, step in steps if not any(self._brought(*step))}
            there = [place for place, step in steps if place not in unseen and self._is_there(*step)]
            model = start
            for place in there:
                model = model.as_far_as_read(way.operations[place])
            if not there or len(there) + len(unseen) == count:
                return None
            if not self._compared.fit(model, self._compared.total(model)):
                return None
            done, doubt = there, sorted(unseen)  # type: ignore[assignment]
            missing = [place for place in range(count) if place not in {*there, *unseen}]  # type: ignore[assignment]
        return HalfApplied(revision, direction, way.operations, tuple(done), tuple(doubt), tuple(missing))

    def _rebuilt(
        self, operations: Sequence[Operation], states: Sequence[Model]
    ) -> tuple[int, tuple[CreateIndex, ...]] | None:
        """Where a batch operation of SQLite's broke off between its copy and the copy's indexes: after how many
        operations, and the indexes. It makes those last, so that they are gone until then.
        """
        for place, operation in enumerate(operations):
            if not isinstance(operation, RebuildTable):
                continue
            name = states[0].name_of(operation)
            end = place + 1
            while end < len(operations) and states[0].name_of(operations[end]) == name:
                end += 1
            table = states[end].tables.get(name)
            if table is None or table.open:
                continue
            differing = {fact for fact, missing in self._compared.differences(states[end]) if missing}
            made = {
                index.name: index_fact(name, index.name, index.columns, unique=index.unique)
                for index in table.indexes.values()
            }
            gone = [index for index in table.indexes.values() if made[index.name] in differing]
            if gone and self._compared.total(states[end]) == len({made[index.name] for index in gone}):
                return end, tuple(CreateIndex(operation.table, operation.schema, index) for index in gone)
        return None

    def _is_there(self, before: Model, after: Model) -> bool:
        """Whether what leads from one state to the other has been done, by what is there now."""
        added, removed = self._brought(before, after)
        return all(self._compared.is_live(fact) for fact in added) and not any(
            self._compared.is_live(fact) for fact in removed
        )

    def _brought(self, before: Model, after: Model) -> tuple[set[Fact], set[Fact]]:
        """Facts that are there after one step and not before, and the other way round; open tables tell nothing."""
        added: set[Fact] = set()
        removed: set[Fact] = set()
        for name in after.changed:
            tables = before.tables.get(name), after.tables.get(name)
            if tables[1] is not None and tables[1].open:
                new = self._compared.of(tables[1], after)
                old = self._compared.of(tables[0], before) if tables[0] is not None else frozenset()
                added |= new - old if len(new) > 1 or tables[1].there else set()
                continue
            old = self._compared.of(tables[0], before) if tables[0] is not None and not tables[0].open else frozenset()
            new = self._compared.of(tables[1], after) if tables[1] is not None else frozenset()
            added |= new - old
            removed |= old - new
        for name in {*before.enums, *after.enums} if before.enums is not after.enums else ():
            old, new = before.enum_facts(name), after.enum_facts(name)
            added |= new - old
            removed |= old - new
        return added, removed

    # -- of each revision

    def _by_revision(self, candidate: tuple[str, ...] | None, half: HalfApplied | None) -> tuple[RevisionEvidence, ...]:
        applied = None if candidate is None else self._lineage.ancestors(candidate)
        if half is not None:
            applied = self._lineage.ancestors([half.revision])
        undone: set[Fact] = set()  # by later revisions that look applied
        restored: set[Fact] = set()
        found = []
        for revision in self._chain.revisions:
            name = revision.revision
            added, removed = self._brought(self._lineage.before[name], self._lineage.after[name])
            seen = (added - undone) | (removed - restored)
            there = {fact for fact in seen if self._compared.is_live(fact) is (fact in added)}
            if not added and not removed:
                state: EvidenceState = "undecidable"
            elif half is not None and half.revision == name:
                state = "partial"
            elif applied is not None:
                state = "missing" if name not in applied else "applied" if seen else "superseded"
            else:
                state = _by_itself(seen, there)
            if state in ("applied", "superseded"):
                undone |= removed
                restored |= added
            missing = seen - there
            shows = state in ("applied", "partial", "missing")
            found.append(
                RevisionEvidence(
                    name,
                    state,
                    _spoken(there, added) if shows else (),
                    _spoken(missing, added) if shows else (),
                    (self._recordings[name].upgrade.undecidable or NOTHING_SEEN) if state == "undecidable" else None,
                )
            )
        return tuple(found)


def _by_itself(seen: set[Fact], there: set[Fact]) -> EvidenceState:
    """What a revision looks like where no other tells: from what can be seen of it, and what of that is there."""
    if not seen:
        return "superseded"
    if not there:
        return "missing"
    return "applied" if there == seen else "partial"


def _values_added(operations: Iterable[Operation], dialect: str) -> Iterator[AddEnumValue]:
    """Each value that they add to an enum type and that must not be there yet."""
    for operation in operations:
        if isinstance(operation, ExecuteSql):
            for one in operations_of(operation.sql, dialect) or ():
                if isinstance(one, AddEnumValue) and not one.if_not_exists:
                    yield one


def _spoken(facts: Iterable[Fact], added: set[Fact]) -> tuple[str, ...]:
    """Sentences' ends, of whole tables rather than of each of their columns."""
    several = set(facts)
    whole = {fact.table for fact in several if fact.kind in ("table", "enum")}
    columns = {(fact.table, fact.name) for fact in several if fact.kind == "column"}
    kept = [
        fact
        for fact in several
        if fact.kind in ("table", "enum")
        or (fact.table not in whole and (fact.kind == "column" or (fact.table, fact.name) not in columns))
    ]
    return tuple(sorted(str(fact) if fact in added else f"no {fact}" for fact in kept))
