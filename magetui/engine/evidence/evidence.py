"""What the live schema says of each revision, and from it which revision the database looks to be at.

Every revision's schema is worked out from what the scripts do (`model`), and compared with the live one fact by fact
(`facts`). That is evidence and no proof: rows that a script changed are not seen, nor what a script decided by looking
at the database. So a candidate is every revision that nothing contradicts, and where there are several it is said
that the schema cannot tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from magetui.engine.errors import MagetuiError
from magetui.engine.evidence.diff import Difference, SchemaDiff
from magetui.engine.evidence.partial import PartiallyApplied, PartialRevisions
from magetui.engine.evidence.recording import Recording, record_revisions
from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.revisions.graph import Chain
from magetui.engine.schema.facts import Fact
from magetui.engine.schema.live import Live, read_live
from magetui.engine.sql.ddl import operations_of
from magetui.engine.workspace import Workspace
from magetui.model.operations import AddEnumValue, ExecuteSql, Operation

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
class Evidence:
    """`fits`: the current revisions that nothing contradicts, newest first; () is base. `loosely`: those that nothing speaks
    against but what a rollback leaves behind: enum types, and what a downgrade forgets that undoes the rest. `nearest`
    is, where nothing fits, the current revision with the fewest differences, which are `differences`: each with whether it is
    missing (else it is too much). `half`: where nothing fits, or fits but for values of enum types that the revision
    after it adds. `too_early`: values of enum types that are there already, each with the revision that fails on it.
    `beneath`: a revision that would be half there, were it not that the current revision stands on it, so that all of it was run.
    `unsure`: current revisions of which nothing is seen, that fit only because a script that cannot be read, of the revision that
    is given with each, may have done anything. They speak for a current revision that names them, and are no reason to set one:
    where all that fit are such, and the current revision is none of them, `nearest` and `half` are told as if nothing did.
    """

    revisions: tuple[RevisionEvidence, ...]  # newest first
    fits: tuple[tuple[str, ...], ...]
    loosely: tuple[tuple[str, ...], ...]
    half: PartiallyApplied | None
    nearest: tuple[str, ...] | None
    differences: tuple[Difference, ...]
    too_early: tuple[tuple[str, Fact], ...]
    tables: int  # how many tables the chain is known to make
    left: Mapping[tuple[str, ...], tuple[str, ...]]  # what is there besides at each of `loosely`
    beneath: str | None = None
    unsure: Mapping[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def candidate(self) -> tuple[str, ...] | None:
        """The current revision that explains most of what is there, or None where nothing fits."""
        return next(iter((*self.fits, *self.loosely)), None)

    @property
    def is_unsure(self) -> bool:
        """Whether something fits, and only what would fit anything, which the current revision does not say."""
        return self.nearest is not None and bool(self.fits or self.loosely)

    def contradicts(self, current: Sequence[str]) -> bool:
        """Whether the schema speaks against that current revision."""
        wanted = sorted(current)
        return not any(sorted(one) == wanted for one in (*self.fits, *self.loosely))


def gather_evidence(workspace: Workspace) -> Evidence:
    """Ask the scripts and the schema. Raises `ChainError` for broken scripts, `MagetuiError`, `ConnectError`."""
    if workspace.backend.name == "mssql":
        raise MagetuiError("What the schema says of the revisions is not weighed on SQL Server yet.")
    chain = workspace.chain
    chain.require_graph()
    recordings = record_revisions(workspace, [revision.revision for revision in chain.revisions])
    live, usual = read_live(workspace)
    current = _recorded_current(workspace)
    try:
        return weigh(chain, recordings, live, SchemaState(workspace.target.dialect, usual), current)
    except Exception as error:  # there is more to say about the database than what fits here
        said = f"{type(error).__name__}: {error}"
        raise MagetuiError(
            f"What the scripts do could not be compared with the schema: {said}. That is a fault of magetui's."
        ) from error


def _recorded_current(workspace: Workspace) -> tuple[str, ...]:
    scripts = workspace.project.scripts
    with workspace.reading() as connection:
        tables = workspace.backend.version_tables(connection, scripts.version_table, scripts.version_table_schema)
    return next((table.rows for table in tables if table.effective and table.rows is not None), ())


def weigh(
    chain: Chain, recordings: Mapping[str, Recording], live: Live, base: SchemaState, current: Sequence[str] = ()
) -> Evidence:
    """The evidence, from what the scripts do and what is there; `base` is the schema before any revision.

    `current` is what the version table says. What fits does not hang on it: only what is taken for broken off does, and
    which of two revisions that are as far from what is there is the nearer one.
    """
    return _Weighing(chain, recordings, live, base, current).evidence()


class _Weighing:
    def __init__(
        self, chain: Chain, recordings: Mapping[str, Recording], live: Live, base: SchemaState, current: Sequence[str]
    ) -> None:
        self._chain = chain
        self._recordings = recordings
        self._current = frozenset(current)
        self._lineage = SchemaHistory(chain, recordings, base)
        self._compared = SchemaDiff(self._lineage, live)
        self._totals = self._compared.totals()
        self._halves = PartialRevisions(self._lineage, recordings, self._compared, self._totals)

    # -- the answer

    def evidence(self) -> Evidence:
        fits: list[tuple[str, ...]] = []
        loosely: list[tuple[str, ...]] = []
        base = self._lineage.base
        candidates: list[tuple[tuple[str, ...], SchemaState, int]] = [((), base, self._compared.total(base))]
        for revision in self._lineage.oldest_first:
            name = revision.revision
            candidates.append(((name,), self._lineage.after[name], self._totals[name]))
        for current in self._lineage.together():
            together = self._lineage.at(current)
            candidates.append((current, together, self._compared.total(together)))
        newest_first = candidates[::-1]
        for current, model, total in sorted(newest_first, key=lambda one: self._says_little(*one)):
            fit = self._compared.fit_of(current, model, total)
            if fit is not None:
                (fits if fit == "exactly" else loosely).append(current)
        half = nearest = None
        differences: tuple[Difference, ...] = ()
        unsure = {one: unread for one in (*fits, *loosely) if (unread := self._unread_below(one)) is not None}
        if unsure.keys() == {*fits, *loosely} and self._current not in map(frozenset, unsure):
            half = self._halves.found()
            others = [one for one in newest_first if one[0] not in unsure]
            nearest, model, _ = min(others, key=lambda one: self._distance(*one))
            differences = self._compared.differences(model)
        elif not fits:
            half = self._halves.begun(loosely[0])
        beneath = half.revision if half is not None and self._is_below_current(half) else None
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
            {current: self._left_behind(current) for current in loosely},
            beneath,
            unsure,
        )

    def _left_behind(self, current: tuple[str, ...]) -> tuple[str, ...]:
        model = self._lineage.at(current) if current else self._lineage.base
        there = {fact for fact, missing in self._compared.differences(model) if not missing}
        return _spoken(there, there)

    def _unread_below(self, current: tuple[str, ...]) -> str | None:
        """The revision whose script cannot be read, where nothing is seen of it nor of what follows it."""
        while len(current) == 1:
            [revision] = current
            before, after = self._lineage.before[revision], self._lineage.after[revision]
            if any(self._compared.brought(before, after)):
                return None
            if (after.open and not before.open) or any(
                table.open and (known := before.tables.get(name)) is not None and not known.open
                for name in after.changed
                if (table := after.tables.get(name)) is not None
            ):
                return revision
            current = self._chain.by_id[revision].down_revisions
        return None

    def _distance(self, current: tuple[str, ...], model: SchemaState, total: int) -> tuple[int, bool]:
        """How far a current revision is from what is there: what a rollback leaves counts less, and of two the recorded one is
        nearer.
        """
        missing, left = self._compared.of_enums(model)
        return 2 * (total + len(missing)) + len(left), frozenset(current) != self._current

    def _is_below_current(self, half: PartiallyApplied) -> bool:
        """Whether the current revision says that it was run whole, and others after it: then what is missing of it has gone
        since, and to finish or undo it would take the current revision back over all of those.
        """
        known = [one for one in self._current if one in self._chain.by_id]
        return half.revision not in known and half.revision in self._lineage.ancestors(known)

    def _says_little(self, current: tuple[str, ...], model: SchemaState, total: int) -> tuple[int, bool]:
        """The more a current revision leaves open of what is there, the less it says; so does one that cannot be followed."""
        followed = all(self._recordings[revision].upgrade.undecidable is None for revision in current)
        return self._compared.unspoken(model, total), not followed

    def _too_early(self, current: tuple[str, ...]) -> Iterator[tuple[str, Fact]]:
        """Each value of an enum type that is there before the revision that adds it, with that revision."""
        applied = self._lineage.ancestors(current)
        now = self._lineage.at(current) if current else self._lineage.base
        for revision in self._lineage.oldest_first:
            name = revision.revision
            if name in applied:
                continue
            for adding in _values_added(self._recordings[name].upgrade.operations, now.dialect):
                added = now.after(adding)
                for enum in now.enums:
                    new = added.enum_facts(enum) - now.enum_facts(enum)
                    yield from ((name, fact) for fact in new if self._compared.is_live(fact))

    # -- of each revision

    def _by_revision(
        self, candidate: tuple[str, ...] | None, half: PartiallyApplied | None
    ) -> tuple[RevisionEvidence, ...]:
        applied = None if candidate is None else self._lineage.ancestors(candidate)
        if half is not None:
            applied = self._lineage.ancestors([half.revision])
        undone: set[Fact] = set()  # by later revisions that look applied
        restored: set[Fact] = set()
        found = []
        for revision in self._chain.revisions:
            name = revision.revision
            added, removed = self._compared.brought(self._lineage.before[name], self._lineage.after[name])
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
