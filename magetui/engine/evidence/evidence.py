"""The evidence: which revision the live schema looks to be at, and what it shows of each revision.

The schema of every revision is worked out from what the scripts do (`schema_state`), and compared with the live schema
fact by fact (`facts`). A schema does not show rows that a script changed, nor what a script decided by looking at the
database. So every current revision that nothing contradicts is a candidate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from magetui.engine.errors import MagetuiError
from magetui.engine.evidence import verdict as verdicts
from magetui.engine.evidence.birth import are_by_design, made_from_models
from magetui.engine.evidence.diff import Live, SchemaDiff, live_schema
from magetui.engine.evidence.inspection import through_chain
from magetui.engine.evidence.operation_evidence import weigh_operations, weigh_partial
from magetui.engine.evidence.partial import PartialRevisions
from magetui.engine.evidence.recording import record_revisions
from magetui.engine.evidence.schema_history import SchemaHistory
from magetui.engine.evidence.schema_state import SchemaState
from magetui.engine.evidence.unused_types import TypeFate, fates_of_types
from magetui.engine.evidence.verdict import Evidence, LooseMatch, PartiallyApplied, Revisions
from magetui.engine.schema.facts import Fact, telling, without_parts
from magetui.engine.sql.ddl import parts_of
from magetui.model.operations import AddEnumValue, Recording

if TYPE_CHECKING:
    from magetui.engine.revisions.graph import Chain
    from magetui.engine.revisions.headers import Revision
    from magetui.engine.schema.snapshot import Reading
    from magetui.engine.workspace import Workspace

NOTHING_SHOWN = "it changes nothing that a schema shows"


def record_chain(workspace: Workspace) -> Mapping[str, Recording]:
    """Record what every script of the chain does, by revision. It needs no database, but starts a child process.

    Raises `ChainError` for broken scripts, and `MagetuiError` if they cannot be recorded or compared with a schema.
    """
    if workspace.backend.name == "mssql":
        raise MagetuiError("On SQL Server, the schema is not compared with the revisions yet.")
    workspace.chain.require_graph()
    recordings = record_revisions(workspace, [revision.revision for revision in workspace.chain.revisions])
    return through_chain(workspace, recordings)


def gather_evidence(
    reading: Reading, recordings: Mapping[str, Recording] | None = None, *, by_operation: bool = False
) -> Evidence:
    """Return the evidence from the scripts and the live schema; `by_operation`: for each operation too (takes longer).

    The scripts are recorded before the database is read, if `recordings` are not given. Raises as `record_chain`;
    `MagetuiError` if the schema cannot be read; and `ConnectError`.
    """
    workspace = reading.workspace
    chain = workspace.chain
    recordings = record_chain(workspace) if recordings is None else recordings
    snapshot = reading.snapshot
    base = SchemaState(workspace.target.dialect, snapshot.server.schema)
    try:
        live = live_schema(workspace, snapshot)
        return weigh(chain, recordings, live, base, snapshot.current, by_operation=by_operation)
    except Exception as error:  # a fault of ours in an unusual schema must not hide the other facts
        raise MagetuiError(
            f"The scripts could not be compared with the schema: {type(error).__name__}: {error}. "
            "This is a fault of magetui."
        ) from error


def weigh(
    chain: Chain,
    recordings: Mapping[str, Recording],
    live: Live,
    base: SchemaState,
    current: Sequence[str] = (),
    *,
    by_operation: bool = False,
) -> Evidence:
    """Return the evidence from the recorded operations and the live facts; `base` is the schema before any revision.

    `current` is what the version table says. Whether a revision matches does not depend on it. It decides which
    revision can be partially applied, and which of two equally distant revisions is the nearer one.
    """
    return _Weighing(chain, recordings, live, base, current, by_operation=by_operation).evidence()


_Candidate = tuple[Revisions, SchemaState]  # a current revision, with the schema that it should have


class _Weighing:
    def __init__(
        self,
        chain: Chain,
        recordings: Mapping[str, Recording],
        live: Live,
        base: SchemaState,
        current: Sequence[str],
        *,
        by_operation: bool = False,
    ) -> None:
        self._chain = chain
        self._recordings = recordings
        self._current = frozenset(current)
        self._by_operation = by_operation
        self._history = SchemaHistory(chain, recordings, base)
        self._live = live
        self._diff = SchemaDiff(self._history, live)
        self._partial_revisions = PartialRevisions(self._history, recordings, self._diff)

    # -- the verdict

    def evidence(self) -> Evidence:
        newest_first = self._candidates()
        exact: list[Revisions] = []
        loose: list[LooseMatch] = []
        for revisions, state in sorted(newest_first, key=self._says_little):
            fit = self._diff.fit_of(revisions, state)
            if fit == "exactly":
                exact.append(revisions)
            elif fit == "loosely":
                extra = {fact for fact, missing in self._diff.differences(state) if not missing}
                loose.append(LooseMatch(revisions, _describe_changes(extra, extra)))
        verdict, damaged = self._verdict(newest_first, tuple(exact), tuple(loose))
        evidence = Evidence(
            (),
            verdict,
            len(self._diff.tables),
            self._diff.strangers,
            damaged,
            self._type_fates(),
            self._diff.other_schemas,
            self._live.copies,
            self._live.invalid,
        )
        if (from_models := self._from_models(evidence)) is not None:
            evidence = replace(evidence, verdict=from_models, damaged=None)
        return replace(evidence, revisions=self._by_revision(evidence.candidate, evidence.partial))

    def _candidates(self) -> list[_Candidate]:
        """Return each current revision that the database may be at, newest first."""
        history = self._history
        candidates: list[_Candidate] = [((), history.base)]
        candidates += [((name,), state) for name, state in history.after.items()]
        together = list(history.together())
        current = tuple(revision for revision in self._current if revision in self._chain.by_id)
        # There may be too many combinations, so that `together` has only that of all heads.
        is_possible = len(current) > 1 and not self._chain.contradicts(current)
        if is_possible and self._current not in map(frozenset, together):
            together.append(tuple(sorted(current)))
        candidates += [(revisions, history.at(revisions)) for revisions in together]
        return candidates[::-1]

    def _verdict(
        self, newest_first: Sequence[_Candidate], exact: tuple[Revisions, ...], loose: tuple[LooseMatch, ...]
    ) -> tuple[verdicts.Verdict, str | None]:
        """Return the verdict, and a revision that would be partially applied if the current one did not need it."""
        matching = (*exact, *(match.revisions for match in loose))
        unread = {revisions: name for revisions in matching if (name := self._unread_below(revisions)) is not None}
        if unread.keys() != {*matching} or self._current in map(frozenset, unread):
            if exact:
                return verdicts.Matches(exact, loose), None
            started, damaged = self._unless_damaged(self._partial_revisions.begun(loose[0].revisions))
            return verdicts.MatchesLoosely(loose, started, tuple(self._too_early(loose[0].revisions))), damaged
        partial, damaged = self._unless_damaged(self._partial_revisions.found(self._current))
        revisions, state = min((pair for pair in newest_first if pair[0] not in unread), key=self._distance)
        nearest = verdicts.Nearest(revisions, self._diff.differences(state))
        if unread:
            return verdicts.Unsure(next(iter(unread.values())), exact, loose, partial, nearest), damaged
        if partial is not None:
            return verdicts.MatchesPartially(partial, nearest), damaged
        return verdicts.NoMatch(nearest), damaged

    def _from_models(self, evidence: Evidence) -> verdicts.MadeFromModels | None:
        """Return the verdict on a schema that was made from models; None if it matches the current revision anyway."""
        if self._current and self._current <= self._chain.by_id.keys():
            revisions = tuple(sorted(self._current)) if evidence.contradicts(tuple(self._current)) else None
        else:
            revisions = evidence.nearest if evidence.candidate is None else None
        if revisions is None:
            return None
        state = self._history.at(revisions) if revisions else self._history.base
        tables = made_from_models(state, self._history.made, self._live.columns)
        differences = self._diff.differences(state)
        return (
            verdicts.MadeFromModels(revisions, tables, differences) if tables and are_by_design(differences) else None
        )

    def _unless_damaged(self, partial: PartiallyApplied | None) -> tuple[PartiallyApplied | None, str | None]:
        """Return a partially applied revision, or else its id if the current revision stands on it.

        Then it was run completely, and others after it: a part of it has gone since. To finish or undo it would take
        the current revision back over all later ones.
        """
        if partial is None:
            return None, None
        known = [revision for revision in self._current if revision in self._chain.by_id]
        is_damaged = partial.revision not in known and partial.revision in self._history.ancestors(known)
        return (None, partial.revision) if is_damaged else (partial, None)

    def _unread_below(self, revisions: Revisions) -> str | None:
        """Return the revision whose script cannot be read, if the schema shows nothing of it nor of later revisions."""
        while len(revisions) == 1:
            [revision] = revisions
            before, after = self._history.before[revision], self._history.after[revision]
            if any(self._diff.brought(before, after)):
                return None
            if (after.open and not before.open) or any(
                table.open and (known := before.tables.get(name)) is not None and not known.open
                for name in after.changed
                if (table := after.tables.get(name)) is not None
            ):
                return revision
            revisions = self._chain.by_id[revision].down_revisions
        return None

    def _distance(self, candidate: _Candidate) -> tuple[int, bool]:
        """Return a sort key: the distance (a leftover of a rollback counts half), then the recorded revision first."""
        revisions, state = candidate
        missing, left = self._diff.of_enums(state)
        return 2 * (self._diff.total(state) + len(missing)) + len(left), frozenset(revisions) != self._current

    def _type_fates(self) -> Mapping[str, TypeFate]:
        known = [revision for revision in self._current if revision in self._chain.by_id]
        applied = self._history.ancestors(known)
        now = self._history.at(sorted(known)) if known else self._history.base
        pending = [revision for revision in self._history.oldest_first if revision.revision not in applied]
        return fates_of_types(self._live.enums, now, map(self._history.operations, pending))

    def _says_little(self, candidate: _Candidate) -> tuple[int, bool]:
        """Return a sort key: candidates that leave facts open, or cannot be followed, explain less and come last."""
        revisions, state = candidate
        followed = all(self._recordings[name].upgrade.undecidable is None for name in revisions)
        return self._diff.unmentioned(state), not followed

    def _too_early(self, revisions: Revisions) -> Iterator[tuple[str, Fact]]:
        """Yield each value of an enum type that exists before the revision that adds it, with that revision."""
        applied = self._history.ancestors(revisions)
        now = self._history.at(revisions) if revisions else self._history.base
        for revision in self._history.oldest_first:
            name = revision.revision
            if name in applied:
                continue
            for operation in self._recordings[name].upgrade.operations:
                for part in parts_of(operation, now.dialect):
                    if isinstance(part, AddEnumValue) and not part.if_not_exists:
                        enum, value = now.type_of(part), part.value
                        fact = Fact("enum-value", enum, value, value)
                        if value not in now.enums.get(enum, (value,)) and self._diff.is_live(fact):
                            yield name, fact

    # -- each revision

    def _by_revision(
        self, candidate: Revisions | None, partial: PartiallyApplied | None
    ) -> tuple[verdicts.RevisionEvidence, ...]:
        applied = None if candidate is None else self._history.ancestors(candidate)
        if partial is not None:
            applied = self._history.ancestors([partial.revision])
        undone: set[Fact] = set()  # by later revisions that look applied
        restored: set[Fact] = set()
        evidence = []
        for revision in self._chain.revisions:
            name = revision.revision
            added, removed = self._diff.brought(self._history.before[name], self._history.after[name])
            visible = (added - undone) | (removed - restored)
            done = {fact for fact in visible if self._diff.is_live(fact) is (fact in added)}
            if not added and not removed:
                state: verdicts.EvidenceState = "undecidable"
            elif partial is not None and partial.revision == name:
                state = "partial"
            elif applied is not None:
                state = "missing" if name not in applied else "applied" if visible else "superseded"
            elif not visible:
                state = "superseded"
            else:
                state = "applied" if done == visible else "partial" if done else "missing"
            if state in ("applied", "superseded"):
                undone |= removed
                restored |= added
            shows = state in ("applied", "partial", "missing")
            evidence.append(
                verdicts.RevisionEvidence(
                    name,
                    state,
                    _describe_changes(done, added) if shows else (),
                    _describe_changes(visible - done, added) if shows else (),
                    (self._recordings[name].upgrade.undecidable or NOTHING_SHOWN) if state == "undecidable" else None,
                    self._operations(revision, partial, visible) if self._by_operation else (),
                )
            )
        return tuple(evidence)

    def _operations(
        self, revision: Revision, partial: PartiallyApplied | None, visible: set[Fact]
    ) -> tuple[verdicts.OperationEvidence, ...]:
        history, name = self._history, revision.revision
        if partial is None or partial.revision != name:
            return weigh_operations(self._diff, history.before[name], history.operations(revision), visible)
        start = history.before if partial.direction == "upgrade" else history.after
        return weigh_partial(self._diff, start[name], partial)


def _describe_changes(facts: Iterable[Fact], added: set[Fact]) -> tuple[str, ...]:
    """Return the facts as the ends of sentences, the most telling first. The parts of a new thing are left out."""
    changes = sorted(without_parts(facts), key=telling)
    return tuple(str(fact) if fact in added else f"no {fact}" for fact in changes)
