"""The chain: the graph that Alembic makes of the scripts' headers, none of them being run.

The graph itself (heads, partial ids, relative steps, branches) is Alembic's `RevisionMap` over those rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magetui.engine.errors import ChainError, RevisionError
from magetui.engine.importing import ALEMBIC, load
from magetui.engine.revisions.headers import ChainProblem, Revision, read_script
from magetui.model.plan import PlannedStep

if TYPE_CHECKING:
    from alembic.script.revision import RevisionMap

# What Alembic takes for a script: alembic/script/base.py, _only_source_rev_file.
SCRIPT_NAME = re.compile(r"(?!\.#|__init__).*\.py$")


@dataclass(frozen=True)
class Chain:
    """The revisions as a graph. Methods raise `ChainError` where the scripts' problems leave no graph."""

    revisions: tuple[Revision, ...]  # newest first, parents after their children
    problems: tuple[ChainProblem, ...]

    @cached_property
    def by_id(self) -> dict[str, Revision]:
        return {revision.revision: revision for revision in self.revisions}

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """Revisions that no other one follows, in the order of `revisions`."""
        followed = {parent for revision in self.revisions for parent in revision.down_revisions}
        return tuple(r.revision for r in self.revisions if r.revision not in followed)

    @cached_property
    def _is_a_line(self) -> bool:
        """Whether each revision stands on the one before it and on nothing else: then no graph has to be loaded."""
        stands_on = [(*revision.down_revisions, *revision.depends_on) for revision in self.revisions]
        return stands_on == [*((revision.revision,) for revision in self.revisions[1:]), ()]

    @property
    def broken(self) -> bool:
        """Whether Alembic itself would refuse to work with these scripts."""
        return any(problem.code != "several-heads" for problem in self.problems)

    @cached_property
    def revision_map(self) -> RevisionMap:
        """Alembic's graph over the headers that were read. Raises `ChainError`."""
        load(*ALEMBIC)
        from alembic.script.revision import Revision as Row
        from alembic.script.revision import RevisionMap

        def rows() -> Iterable[Row]:
            for r in self.revisions:
                yield Row(
                    r.revision,
                    r.down_revisions or None,
                    dependencies=r.depends_on or None,
                    branch_labels=r.branch_labels or None,
                )

        self.require_graph()
        return RevisionMap(rows)

    def require_graph(self) -> None:
        """Raises `ChainError` where the scripts are no graph that Alembic could work with."""
        broken = next((problem for problem in self.problems if problem.code != "several-heads"), None)
        if broken is not None:
            raise ChainError(f"{broken.message} Alembic cannot work with these scripts until that is mended.")

    def resolve(self, wanted: str) -> str:
        """The full id for an id, a part of one, a label, 'head', the head of a branch ('label@head') or 'base'.

        Raises `RevisionError` where there is none, or several.
        """
        if wanted == "base":
            return "base"
        if wanted in ("head", "heads"):
            self.require_graph()
            if len(self.heads) != 1:
                heads = ", ".join(self.heads)
                raise RevisionError(
                    f"The chain has {len(self.heads)} heads ({heads}), so '{wanted}' says too little. Name one.",
                    self.heads,
                )
            return self.heads[0]
        if wanted.endswith("@head"):
            return self._head_of(wanted)
        matches = [wanted] if wanted in self.by_id else [r for r in self.by_id if r.startswith(wanted)]
        if len(matches) > 1:
            raise RevisionError(
                f"Several revisions begin with '{wanted}': {', '.join(sorted(matches))}. Give more of the id.",
                sorted(matches),
            )
        if matches:
            return matches[0]
        labelled = [r.revision for r in self.revisions if wanted in r.branch_labels]
        if labelled:
            return labelled[0]
        raise RevisionError(
            f"There is no revision '{wanted}' in the chain of {len(self.revisions)}. "
            "'magetui history' lists those there are."
        )

    def _head_of(self, wanted: str) -> str:
        """The head of a branch, by its label or one of its ids."""
        branch = self.resolve(wanted.removesuffix("@head"))
        heads = [head for head in self.heads if branch in self.applied((head,))]
        if len(heads) != 1:
            raise RevisionError(f"'{wanted}' is not one revision: {', '.join(heads) or 'none'}. Name it.", heads)
        return heads[0]

    def upgrade_steps(self, current: Sequence[str], target: str) -> tuple[PlannedStep, ...]:
        """The steps from `current` to `target` (an id, or 'heads'), in the order in which they run."""
        ids = self._iterate(target, tuple(current), down=False)
        return tuple(PlannedStep(id, "upgrade", self.by_id[id].message) for id in reversed(ids))

    def downgrade_steps(self, current: Sequence[str], target: str) -> tuple[PlannedStep, ...]:
        """The steps from `current` back to `target` (an id or 'base'), in the order in which they run."""
        ids = self._iterate(tuple(current), target, down=True)
        return tuple(PlannedStep(id, "downgrade", self.by_id[id].message) for id in ids)

    def before(self, current: Sequence[str], count: int) -> str:
        """Where going back `count` steps from `current` ends: an id, or 'base'.

        Raises `RevisionError` where the chain is shorter than that, or the current revision is not one revision.
        """
        if len(current) != 1:
            raise RevisionError(
                f"'-{count}' needs one current revision to count from, and there are {len(current)} ({', '.join(current)}). "
                "Name the revision to go back to."
            )
        steps = self.downgrade_steps(current, "base")
        if count > len(steps):
            raise RevisionError(f"'-{count}' goes further back than the chain: {len(steps)} steps lead to its base.")
        parents = self.by_id[steps[count - 1].revision].down_revisions
        if len(parents) > 1:
            raise RevisionError(f"'-{count}' crosses a merge of {', '.join(parents)}. Name the revision to go back to.")
        return parents[0] if parents else "base"

    def after(self, current: Sequence[str], count: int) -> str:
        """Where going forward `count` steps from `current` ends."""
        steps = self.upgrade_steps(current, self.resolve("head"))
        if count > len(steps):
            raise RevisionError(f"'+{count}' goes beyond the head, which is {len(steps)} away.")
        return steps[count - 1].revision

    def pending(self, current: Sequence[str]) -> tuple[str, ...]:
        """The revisions an upgrade would run, in order; none where scripts or current revision leave that open."""
        if self.broken or self.unknown(current) or not self.heads:
            return ()
        if self._is_a_line and len(current) <= 1:
            line = [revision.revision for revision in reversed(self.revisions)]
            return tuple(line[line.index(current[0]) + 1 :] if current else line)
        try:
            return tuple(step.revision for step in self.upgrade_steps(current, "heads"))
        except RevisionError:
            return ()  # current revisions that contradict one another

    def contradicts(self, current: Sequence[str]) -> bool:
        """Whether the rows cannot all be true: one twice, or one that another already includes."""
        if self.unknown(current):
            return False
        return len(set(current)) != len(current) or any(
            one in self.applied((other,)) for one in current for other in current if one != other
        )

    def unknown(self, current: Iterable[str]) -> tuple[str, ...]:
        """Those of `current` that the chain does not have."""
        return tuple(one for one in current if one not in self.by_id)

    def applied(self, current: Sequence[str]) -> frozenset[str]:
        """The revisions that a database at `current` went through."""
        if self.broken or not current or self.unknown(current):
            return frozenset()
        if self._is_a_line and len(current) == 1:
            return frozenset(self.by_id) - frozenset(self.pending(current))
        return frozenset(step.revision for step in self.downgrade_steps(current, "base"))

    def _iterate(self, upper: Any, lower: Any, *, down: bool) -> list[str]:
        revisions = self.revision_map
        from alembic.script.revision import RevisionError as AlembicRevisionError

        try:
            found = revisions.iterate_revisions(
                upper, lower if lower else None, implicit_base=not down, select_for_downgrade=down
            )
            return [row.revision for row in found if row is not None]
        except AlembicRevisionError as error:
            raise RevisionError(f"{str(error).rstrip('.')}.") from error


def read_chain(version_locations: Iterable[Path]) -> Chain:
    """Read the headers of all scripts in the folders. Nothing is imported; problems are in the result."""
    revisions: list[Revision] = []
    problems: list[ChainProblem] = []
    for folder in version_locations:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if SCRIPT_NAME.match(path.name) and path.is_file():
                found = read_script(path)
                if isinstance(found, Revision):
                    revisions.append(found)
                else:
                    problems.append(found)
    if not revisions and not problems:
        places = ", ".join(str(folder) for folder in version_locations)
        problems.append(ChainProblem("no-scripts", f"There are no migration scripts in {places}."))
    ordered, graph_problems = _ordered(revisions)
    return Chain(ordered, (*problems, *graph_problems))


def _ordered(revisions: list[Revision]) -> tuple[tuple[Revision, ...], list[ChainProblem]]:
    """Newest first, each revision before its parents; and what is wrong with the graph."""
    problems: list[ChainProblem] = []
    by_id: dict[str, Revision] = {}
    for revision in revisions:
        if revision.revision in by_id:
            other = by_id[revision.revision]
            problems.append(
                ChainProblem(
                    "duplicate-revision",
                    f"Two scripts are both revision {revision.revision}: {other.path.name} and {revision.path.name}.",
                    (other.path, revision.path),
                    (revision.revision,),
                )
            )
        else:
            by_id[revision.revision] = revision
    _resolve_parents(by_id)
    for revision in by_id.values():
        for parent in (*revision.down_revisions, *revision.depends_on):
            if parent not in by_id:
                problems.append(
                    ChainProblem(
                        "missing-parent",
                        f"{revision.path.name} follows revision {parent}, and no script declares that.",
                        (revision.path,),
                        (revision.revision, parent),
                    )
                )
    newest_first, left_over = _sorted_newest_first(by_id)
    in_cycle = [revision for revision in left_over if _on_cycle(revision.revision, by_id)]
    if in_cycle:
        problems.append(
            ChainProblem(
                "cycle",
                f"The scripts follow one another in a circle: {', '.join(r.path.name for r in in_cycle)}.",
                tuple(r.path for r in in_cycle),
                tuple(r.revision for r in in_cycle),
            )
        )
    chain = Chain((*newest_first, *left_over), ())
    if len(chain.heads) > 1:
        heads = ", ".join(chain.heads)
        problems.append(
            ChainProblem(
                "several-heads",
                f"The chain has {len(chain.heads)} heads: {heads}.",
                tuple(by_id[head].path for head in chain.heads),
                chain.heads,
            )
        )
    return chain.revisions, problems


def _resolve_parents(by_id: dict[str, Revision]) -> None:
    """Replace labels and partial ids in `depends_on` and `down_revision` by full ids, as Alembic does."""
    labels = {label: r.revision for r in by_id.values() for label in r.branch_labels}

    def full(wanted: str) -> str:
        if wanted in by_id:
            return wanted
        if wanted in labels:
            return labels[wanted]
        matches = [one for one in by_id if one.startswith(wanted)]
        return matches[0] if len(matches) == 1 else wanted

    for revision in list(by_id.values()):
        if revision.depends_on:
            by_id[revision.revision] = replace(revision, depends_on=tuple(full(d) for d in revision.depends_on))


def _sorted_newest_first(by_id: dict[str, Revision]) -> tuple[list[Revision], list[Revision]]:
    """Children before parents (depth of the walk kept off the stack), and what is left over: cycles and all below."""
    parents = {
        revision.revision: {p for p in (*revision.down_revisions, *revision.depends_on) if p in by_id}
        for revision in by_id.values()
    }
    children = dict.fromkeys(by_id, 0)
    for one in by_id:
        for parent in parents[one]:
            children[parent] += 1
    ready = sorted((one for one in by_id if not children[one]), key=lambda one: by_id[one].created or "")
    ordered: list[Revision] = []
    while ready:
        one = ready.pop()
        ordered.append(by_id[one])
        for parent in sorted(parents[one]):
            children[parent] -= 1
            if not children[parent]:
                ready.append(parent)
    placed = {revision.revision for revision in ordered}
    return ordered, [revision for revision in by_id.values() if revision.revision not in placed]


def _on_cycle(start: str, by_id: dict[str, Revision]) -> bool:
    seen: set[str] = set()
    frontier = _parents(by_id[start])
    while frontier:
        one = frontier.pop()
        if one == start:
            return True
        if one in by_id and one not in seen:
            seen.add(one)
            frontier.extend(_parents(by_id[one]))
    return False


def _parents(revision: Revision) -> list[str]:
    """What has to run before it."""
    return [*revision.down_revisions, *revision.depends_on]
