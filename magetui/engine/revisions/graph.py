"""The chain: the graph of a project's revisions, read from their headers without running a script.

The graph itself (heads, partial ids, relative steps, branches) is Alembic's `RevisionMap` over these headers. It is
only built if it is needed: a chain without branches answers most questions from its list of revisions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magetui.engine.errors import ChainError, RevisionError
from magetui.engine.importing import ALEMBIC, load
from magetui.engine.revisions import expressions
from magetui.engine.revisions.expressions import DowngradeTarget
from magetui.engine.revisions.headers import (
    ORDER,
    ChainProblem,
    Headers,
    Revision,
    computed_problem,
    read_script,
)

if TYPE_CHECKING:
    from alembic.script.revision import RevisionMap

    from magetui.model.plan import PlannedStep

# The names that Alembic accepts for scripts: alembic/script/base.py, _only_source_rev_file.
SCRIPT_NAME = re.compile(r"(?!\.#|__init__).*\.py$")

# The words of SQL before the name of an index, a table or a type, and a schema.
SQL_BEFORE_NAME = r"""\b(?:table|index|type|on|into|update|concurrently|exists)\s+(?:\w+\.)?["`]?"""


@dataclass(frozen=True)
class Chain:
    """The revisions as a graph. Methods raise `ChainError` if the scripts' problems leave no graph."""

    revisions: tuple[Revision, ...]  # newest first, parents after their children
    problems: tuple[ChainProblem, ...]

    @cached_property
    def by_id(self) -> dict[str, Revision]:
        return {revision.revision: revision for revision in self.revisions}

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Return the revisions that no other revision follows, in the order of `revisions`; () if that is not known."""
        if self.lacks_order:
            return ()
        followed = {parent for revision in self.revisions for parent in revision.down_revisions}
        return tuple(r.revision for r in self.revisions if r.revision not in followed)

    @cached_property
    def _is_linear(self) -> bool:
        """Return True if each revision has exactly one parent, the one before it. Then no graph has to be built."""
        parents = [revision.parents for revision in self.revisions]
        return parents == [*((revision.revision,) for revision in self.revisions[1:]), ()]

    def naming(self, name: str, revisions: Iterable[str] | None = None) -> list[str]:
        """Return the revisions, by default of all, whose scripts have the name as a string, or in SQL as a name."""
        named = re.compile(rf"""(['"]){re.escape(name)}\1|{SQL_BEFORE_NAME}{re.escape(name)}\b""", re.IGNORECASE)
        wanted = self.by_id if revisions is None else revisions
        texts = {r: self.by_id[r].path.read_text(encoding="utf-8", errors="replace") for r in wanted}
        return [revision for revision, text in texts.items() if named.search(text)]

    @property
    def broken(self) -> bool:
        """Return True if Alembic would refuse to work with these scripts."""
        return any(problem.code != "several-heads" for problem in self.problems)

    @cached_property
    def revision_map(self) -> RevisionMap:
        """Return Alembic's graph over the headers. Raises `ChainError`."""
        load(*ALEMBIC)
        from alembic.script.revision import Revision as Row
        from alembic.script.revision import RevisionMap

        self.require_graph()
        return RevisionMap(
            lambda: (
                Row(r.revision, r.down_revisions or None, r.depends_on or None, r.branch_labels or None)
                for r in self.revisions
            )
        )

    def require_graph(self) -> None:
        """Raise `ChainError` if the scripts have no graph: Alembic cannot work with them, or they must run first."""
        for problem in self.problems:
            if problem.code != "several-heads":
                unusable = "Alembic cannot use these scripts until this is fixed."
                raise ChainError(f"{problem.message} {problem.advice if problem.is_ours else unusable}")

    @property
    def computed(self) -> tuple[Path, ...]:
        """Return the scripts with a header that only running the script can tell."""
        known = {revision.path for revision in self.revisions if revision.computed}
        return tuple(sorted(known | {file for problem in self.problems if problem.is_ours for file in problem.files}))

    @property
    def lacks_order(self) -> bool:
        """Return True if a computed header leaves the place of a revision open, and not only a label."""
        return any(problem.is_ours for problem in self.problems)

    def resolve(self, wanted: str) -> str:
        """Return the one revision that a text names for any verb, or 'base'. Raises `RevisionError`."""
        if wanted in ("head", "heads"):
            self.require_graph()
            if len(self.heads) == 1:
                return self.heads[0]
            raise expressions.several_heads(wanted, self.heads)
        if wanted == expressions.BASE or wanted in self.by_id:
            return wanted
        found = expressions.named(self.revision_map, wanted)
        if len(found) > 1:
            raise RevisionError(f"'{wanted}' names several revisions: {', '.join(found)}. Name one.", found)
        return found[0] if found else expressions.BASE

    def resolve_all(self, wanted: str) -> tuple[str, ...]:
        """Return the revisions that a text names for any verb: several for 'heads', () for 'base'."""
        if wanted in self.by_id:
            return (wanted,)
        return expressions.named(self.revision_map, wanted)

    def upgrade_target(self, current: Sequence[str], wanted: str) -> str:
        """Return what `upgrade_steps` takes for a text: an id or 'base', or the text if it names several revisions."""
        if wanted in self.by_id:
            return wanted
        found = expressions.upgrade_targets(self.revision_map, current, wanted)
        return wanted if len(found) > 1 else found[0] if found else expressions.BASE

    def downgrade_target(self, current: Sequence[str], wanted: str) -> DowngradeTarget:
        """Return the revision that a text names to go back to. Its branch is set only if that changes the steps."""
        if wanted == expressions.BASE or wanted in self.by_id:
            return DowngradeTarget(wanted)
        found = expressions.downgrade_target(self.revision_map, current, wanted)
        if found.branch is None or not current:
            return found
        alone, all_of_it = (
            {step.revision for step in self.downgrade_steps(current, target)}
            for target in (found.expression, found.revision)
        )
        return found if alone != all_of_it else DowngradeTarget(found.revision)

    def upgrade_steps(self, current: Sequence[str], target: str) -> tuple[PlannedStep, ...]:
        """Return the steps from `current` to `target`, in the order in which they run; see `upgrade_target`."""
        from magetui.model.plan import PlannedStep

        ids = self._iterate(target, tuple(current), down=False)
        return tuple(PlannedStep(id, "upgrade", self.by_id[id].message) for id in reversed(ids))

    def downgrade_steps(self, current: Sequence[str], target: str) -> tuple[PlannedStep, ...]:
        """Return the steps from `current` back to `target`, in the order in which they run; see `downgrade_target`."""
        from magetui.model.plan import PlannedStep

        ids = self._iterate(tuple(current), target, down=True)
        return tuple(PlannedStep(id, "downgrade", self.by_id[id].message) for id in ids)

    def pending(self, current: Sequence[str]) -> tuple[str, ...]:
        """Return the revisions that an upgrade would run, in order; empty if the scripts or `current` are broken."""
        if self.broken or self.unknown(current) or not self.heads:
            return ()
        if self._is_linear and len(current) <= 1:
            line = [revision.revision for revision in reversed(self.revisions)]
            return tuple(line[line.index(current[0]) + 1 :] if current else line)
        try:
            return tuple(step.revision for step in self.upgrade_steps(current, "heads"))
        except RevisionError:
            return ()  # the current revisions contradict one another

    def contradicts(self, current: Sequence[str]) -> bool:
        """Return True if the rows contradict each other: a revision twice, or a revision that another one includes."""
        if self.unknown(current):
            return False
        return len(set(current)) != len(current) or any(
            revision in self.applied((other,)) for revision in current for other in current if revision != other
        )

    def unknown(self, current: Iterable[str]) -> tuple[str, ...]:
        """Return the current revisions that the chain does not have."""
        return tuple(revision for revision in current if revision not in self.by_id)

    def applied(self, current: Sequence[str]) -> frozenset[str]:
        """Return the revisions that a database at `current` has applied."""
        if self.broken or not current or self.unknown(current):
            return frozenset()
        if self._is_linear and len(current) == 1:
            return frozenset(self.by_id) - frozenset(self.pending(current))
        return frozenset(step.revision for step in self.downgrade_steps(current, "base"))

    def _iterate(self, upper: Any, lower: Any, *, down: bool) -> list[str]:
        revisions = self.revision_map
        from alembic.script.revision import RevisionError as AlembicRevisionError

        try:
            rows = revisions.iterate_revisions(
                upper, lower if lower else None, implicit_base=not down, select_for_downgrade=down
            )
            return [row.revision for row in rows if row is not None]
        except AlembicRevisionError as error:
            raise RevisionError(f"{str(error).rstrip('.')}.") from error


def read_chain(
    version_locations: Iterable[Path], roots: tuple[Path, ...] = (), answered: Headers | None = None
) -> Chain:
    """Read the headers of all scripts in the folders. Nothing is imported, and problems are part of the result.

    Constants of other modules are searched in `roots`, too. `answered` are the headers that scripts compute, from the
    child process.
    """
    paths = (path for folder in version_locations if folder.is_dir() for path in sorted(folder.iterdir()))
    files = [path for path in paths if SCRIPT_NAME.match(path.name) and path.is_file()]
    known = answered or {}
    scripts = [read_script(path, roots, known.get(path)) for path in files]
    problems = [script for script in scripts if isinstance(script, ChainProblem)]
    revisions = [script for script in scripts if isinstance(script, Revision)]
    problems += [
        replace(computed_problem(script.path, names, known.get(script.path)), revisions=(script.revision,))
        for script in revisions
        if (names := [name for name in script.computed if name in ORDER])
    ]
    if not scripts:
        folders = ", ".join(str(folder) for folder in version_locations)
        problems.append(ChainProblem("no-scripts", f"There are no migration scripts in {folders}."))
    ordered, graph_problems = _ordered(revisions)
    if any(problem.is_ours for problem in problems):  # a revision may follow a head without saying so
        graph_problems = [
            problem for problem in graph_problems if problem.code not in ("several-heads", "missing-parent")
        ]
    return Chain(ordered, (*problems, *graph_problems))


def _ordered(revisions: list[Revision]) -> tuple[tuple[Revision, ...], list[ChainProblem]]:
    """Return the revisions newest first, each before its parents, and the problems of their graph."""
    by_id, problems = _unique(revisions)
    _resolve_dependencies(by_id)
    problems += _missing_parents(by_id)
    newest_first, left_over = _sorted_newest_first(by_id)
    if in_cycle := [revision for revision in left_over if _on_cycle(revision.revision, by_id)]:
        paths = tuple(revision.path for revision in in_cycle)
        message = f"The scripts follow one another in a circle: {', '.join(path.name for path in paths)}."
        problems.append(ChainProblem("cycle", message, paths, tuple(revision.revision for revision in in_cycle)))
    chain = Chain((*newest_first, *left_over), ())
    if len(chain.heads) > 1:
        message = f"The chain has {len(chain.heads)} heads: {', '.join(chain.heads)}."
        paths = tuple(by_id[head].path for head in chain.heads)
        problems.append(ChainProblem("several-heads", message, paths, chain.heads))
    return chain.revisions, problems


def _unique(revisions: Iterable[Revision]) -> tuple[dict[str, Revision], list[ChainProblem]]:
    """Return the first script of each revision id, and a problem for each further script."""
    by_id: dict[str, Revision] = {}
    problems = [
        ChainProblem(
            "duplicate-revision",
            f"Two scripts are both revision {revision.revision}: {first.path.name} and {revision.path.name}.",
            (first.path, revision.path),
            (revision.revision,),
        )
        for revision in revisions
        if (first := by_id.setdefault(revision.revision, revision)) is not revision
    ]
    return by_id, problems


def _missing_parents(by_id: Mapping[str, Revision]) -> list[ChainProblem]:
    by_file = {revision.path.stem: revision.revision for revision in by_id.values()}

    def meant(parent: str) -> str:
        """Return the revision of the file that the header names in place of a revision, as a sentence."""
        stem = parent.removesuffix(".py")
        return f" {stem}.py is a file; its revision is {by_file[stem]}." if stem in by_file else ""

    return [
        ChainProblem(
            "missing-parent",
            f"{revision.path.name} follows revision {parent}, but no script declares that revision.{meant(parent)}",
            (revision.path,),
            (revision.revision, parent),
        )
        for revision in by_id.values()
        for parent in revision.parents
        if parent not in by_id
    ]


def _resolve_dependencies(by_id: dict[str, Revision]) -> None:
    """Replace labels and partial ids in `depends_on` by full ids, as Alembic does."""
    labels = {label: r.revision for r in by_id.values() for label in r.branch_labels}

    def full(wanted: str) -> str:
        if wanted in by_id:
            return wanted
        if wanted in labels:
            return labels[wanted]
        matches = [revision for revision in by_id if revision.startswith(wanted)]
        return matches[0] if len(matches) == 1 else wanted

    for revision in list(by_id.values()):
        if revision.depends_on:
            by_id[revision.revision] = replace(revision, depends_on=tuple(full(d) for d in revision.depends_on))


def _sorted_newest_first(by_id: dict[str, Revision]) -> tuple[list[Revision], list[Revision]]:
    """Return children before parents, and the rest: revisions in cycles and their ancestors. Uses no recursion."""
    parents = {id: {p for p in revision.parents if p in by_id} for id, revision in by_id.items()}
    children = dict.fromkeys(by_id, 0)
    for id in by_id:
        for parent in parents[id]:
            children[parent] += 1
    ready = sorted((id for id in by_id if not children[id]), key=lambda id: by_id[id].created or "")
    ordered: list[Revision] = []
    while ready:
        id = ready.pop()
        ordered.append(by_id[id])
        for parent in sorted(parents[id]):
            children[parent] -= 1
            if not children[parent]:
                ready.append(parent)
    placed = {revision.revision for revision in ordered}
    return ordered, [revision for revision in by_id.values() if revision.revision not in placed]


def _on_cycle(start: str, by_id: Mapping[str, Revision]) -> bool:
    seen: set[str] = set()
    frontier = list(by_id[start].parents)
    while frontier:
        id = frontier.pop()
        if id == start:
            return True
        if id in by_id and id not in seen:
            seen.add(id)
            frontier.extend(by_id[id].parents)
    return False
