"""The verdict of the evidence: which current revision the live schema matches, and how well.

The verdict is one of six dataclasses, so that whoever reports or acts on it has to say what each means.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from magetui.model.operations import NO_CHANGES, CreateIndex, Operation

if TYPE_CHECKING:
    from magetui.engine.evidence.unused_types import TypeFate
    from magetui.engine.schema.facts import Difference, Fact

EvidenceState = Literal["applied", "missing", "partial", "undecidable", "superseded"]
OperationState = Literal["done", "missing", "different", "superseded", "hidden"]
Revisions = tuple[str, ...]  # a current revision: one id, several on branches, none before the first revision


@dataclass(frozen=True, slots=True)
class PartiallyApplied:
    """A revision of which only some operations are done, in the direction in which it was run.

    `done`, `missing` and `doubt` are indexes into `operations`; `doubt` are operations that no schema shows.
    `unindexed`: the indexes that a rebuilt table had, and has not been given again.
    """

    revision: str
    direction: str  # 'upgrade' or 'downgrade'
    operations: tuple[Operation, ...]
    done: tuple[int, ...]
    doubt: tuple[int, ...]
    missing: tuple[int, ...]
    unindexed: tuple[CreateIndex, ...] = ()
    or_else: str | None = None  # the parent, if it may have been started instead: no schema shows what it did
    adds_values_alone: bool = False  # all that is done are values of enum types, which cannot be removed

    def real(self, indexes: Iterable[int]) -> list[Operation]:
        """Return the operations at those indexes that change something by themselves."""
        return [self.operations[index] for index in indexes if not isinstance(self.operations[index], NO_CHANGES)]


@dataclass(frozen=True, slots=True)
class LooseMatch:
    """A current revision that matches, except for `leftovers` of a rollback or of a run that broke off.

    Leftovers are enum types, values of enum types, and what a downgrade forgets that undoes the rest.
    """

    revisions: Revisions
    leftovers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Nearest:
    """The current revision with the fewest differences from the live schema."""

    revisions: Revisions
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class Matches:
    """The schema matches `candidates` exactly, newest first. It would match `loose` too, except for leftovers."""

    candidates: tuple[Revisions, ...]
    loose: tuple[LooseMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class MatchesLoosely:
    """The schema matches nothing exactly, and `candidates` except for leftovers.

    `started`: the next revision, if the leftovers are values that it adds to enum types. `too_early`: values of enum
    types that exist already, each with the revision that will fail because of it.
    """

    candidates: tuple[LooseMatch, ...]
    started: PartiallyApplied | None = None
    too_early: tuple[tuple[str, Fact], ...] = ()


@dataclass(frozen=True, slots=True)
class MatchesPartially:
    """The schema matches no current revision. It is what `partial` leaves if it stops half-way."""

    partial: PartiallyApplied
    nearest: Nearest


@dataclass(frozen=True, slots=True)
class NoMatch:
    """The schema matches no current revision, and no partially applied revision explains it."""

    nearest: Nearest


@dataclass(frozen=True, slots=True)
class Unsure:
    """The schema matches only current revisions of which it shows nothing, and the recorded one is not among them.

    The script of revision `unread` cannot be read, so it may have done anything: it matches any schema. That is no
    reason to stamp such a revision. `partial` and `nearest` are what the schema shows if those candidates are left out.
    """

    unread: str
    candidates: tuple[Revisions, ...]
    loose: tuple[LooseMatch, ...]
    partial: PartiallyApplied | None
    nearest: Nearest


@dataclass(frozen=True, slots=True)
class MadeFromModels:
    """The application created the tables from its models, not with the scripts: the order of columns shows it.

    `tables` are those that show it. The schema has what a database at `revisions` has, except for `differences` of the
    kind that models and scripts have by design: names, defaults, nulls.
    """

    revisions: Revisions
    tables: tuple[str, ...]
    differences: tuple[Difference, ...]


Verdict = Matches | MatchesLoosely | MatchesPartially | NoMatch | Unsure | MadeFromModels


@dataclass(frozen=True, slots=True)
class OperationEvidence:
    """What the live schema shows of one operation.

    `different`: a part of it is done. `superseded`: later revisions have changed what it did. `hidden`: no schema
    shows it. `lacking` are the facts that it should have added and that are not live; `live` are the live facts at
    their places.
    """

    operation: Operation
    state: OperationState
    lacking: tuple[Fact, ...] = ()
    live: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class RevisionEvidence:
    """The evidence for one revision: `there` and `missing` are the changes it makes that a schema can still show.

    `operations` are those of the upgrade, or of a partially applied downgrade, in the order of the script.
    """

    revision: str
    state: EvidenceState
    there: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    why: str | None = None
    operations: tuple[OperationEvidence, ...] = ()

    @property
    def found(self) -> tuple[int, int]:
        """Return how many operations the schema shows, and how many it can show."""
        states = [operation.state for operation in self.operations]
        shown = [state for state in states if state in ("done", "missing", "different")]
        return states.count("done"), len(shown)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The verdict on the complete schema, and the evidence for each revision."""

    revisions: tuple[RevisionEvidence, ...]  # newest first
    verdict: Verdict
    tables: int  # how many tables the chain is known to make; 0 if a schema shows nothing of it
    strangers: tuple[str, ...] = ()  # live tables that no revision makes
    damaged: str | None = None  # a revision below the current one, of which a part has gone since it was run
    type_fates: Mapping[str, TypeFate] = field(default_factory=dict)  # of the live enum types, by name
    other_schemas: tuple[str, ...] = ()  # schemas that have tables with the names of the chain's
    copies: tuple[str, ...] = ()  # tables of which only the copy of a batch operation exists
    invalid: frozenset[str] = frozenset()  # indexes that exist, and that no query uses: an operation makes them again

    @property
    def fits(self) -> tuple[Revisions, ...]:
        """The current revisions that the schema matches exactly, newest first."""
        return self.verdict.candidates if isinstance(self.verdict, Matches | Unsure) else ()

    @property
    def loosely(self) -> tuple[Revisions, ...]:
        """The current revisions that the schema matches except for leftovers, newest first."""
        match self.verdict:
            case Matches(loose=loose) | Unsure(loose=loose) | MatchesLoosely(candidates=loose):
                return tuple(match.revisions for match in loose)
            case MadeFromModels(revisions=revisions):
                return (revisions,)
            case _:
                return ()

    @property
    def partial(self) -> PartiallyApplied | None:
        match self.verdict:
            case MatchesPartially(partial=partial) | Unsure(partial=partial) | MatchesLoosely(started=partial):
                return partial
            case _:
                return None

    @property
    def nearest(self) -> Revisions | None:
        """The current revision with the fewest differences; None if the schema matches a current revision."""
        nearest = self._nearest
        return None if nearest is None else nearest.revisions

    @property
    def _nearest(self) -> Nearest | None:
        return self.verdict.nearest if isinstance(self.verdict, MatchesPartially | NoMatch | Unsure) else None

    @property
    def differences(self) -> tuple[Difference, ...]:
        """The differences from the nearest current revision, or from the one that the models were made for."""
        if isinstance(self.verdict, MadeFromModels):
            return self.verdict.differences
        return () if self._nearest is None else self._nearest.differences

    @property
    def candidate(self) -> Revisions | None:
        """The current revision that explains most of the live schema; None if no current revision matches."""
        return next(iter((*self.fits, *self.loosely)), None)

    @property
    def is_elsewhere(self) -> bool:
        """Return whether no table of the chain exists, but others do: this may be another application's database."""
        return self.fits == ((),) and bool(self.strangers)

    def contradicts(self, current: Sequence[str]) -> bool:
        """Return True if the schema does not match that current revision, not even loosely."""
        return sorted(current) not in map(sorted, (*self.fits, *self.loosely))
