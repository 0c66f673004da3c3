"""Revisions as Alembic's command line names them: an id or its start, a label, `head`, `left@head`, `ae10+2`, `-1`.

Only an upgrade and a downgrade count `+1` and `-1` from the current revision. Alembic's own functions resolve the texts
here. Their errors are too terse to act on, so this module works out the reason again and says it in a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from magetui.engine.errors import RevisionError

if TYPE_CHECKING:
    from alembic.script.revision import Revision, RevisionMap

BASE = "base"
RELATIVE = re.compile(r"(?:(?P<branch>.+?)@)?(?P<start>\w+)?(?P<steps>[+-]\d+)")


@dataclass(frozen=True, slots=True)
class DowngradeTarget:
    """The revision to go back to, or 'base'. If `branch` is set, only revisions of that branch are undone."""

    revision: str
    branch: str | None = None

    @property
    def expression(self) -> str:
        """Return the target as Alembic reads it, without a count."""
        return self.revision if self.branch is None else f"{self.branch}@{self.revision}"


def relative(wanted: str) -> re.Match[str] | None:
    """Return the parts of an expression that counts steps. `start` is None if it counts from the current revision."""
    return RELATIVE.fullmatch(wanted)


def upgrade_targets(revisions: RevisionMap, current: Sequence[str], wanted: str) -> tuple[str, ...]:
    """Return the ids that `alembic upgrade` would go to from `current`; () for base. Raises `RevisionError`."""
    return _resolved(revisions, tuple(current), wanted, lambda: _upgrade_target(revisions, current, wanted))


def named(revisions: RevisionMap, wanted: str) -> tuple[str, ...]:
    """Return the ids that a text names by itself, without a current revision; () for base. Raises `RevisionError`.

    `head-1` and `ae10+2` count from a named revision, which Alembic accepts only for an upgrade or a downgrade. A bare
    `-1` is refused: `alembic stamp -1` counts from the heads if the version table is empty, and fails if it is not.
    """
    if (match := relative(wanted)) and match["start"] is None:
        raise RevisionError(
            f"'{wanted}' counts from the current revision, which only 'migrate' and 'rollback' do. Name where to count "
            "from, as in 'head-1', or the revision."
        )
    return _resolved(revisions, (), wanted, lambda: _upgrade_target(revisions, (), wanted))


def downgrade_target(revisions: RevisionMap, current: Sequence[str], wanted: str) -> DowngradeTarget:
    """Return what `alembic downgrade` would go back to from `current`. Raises `RevisionError`."""
    branch: list[str | None] = []

    def target() -> Sequence[Any]:
        label, row = revisions._parse_downgrade_target(tuple(current), wanted, assert_relative_length=True)
        branch.append(label)
        if label is not None:
            revisions._resolve_branch(label)
        return () if row is None else (row,)

    found = _resolved(revisions, tuple(current), wanted, target)
    return DowngradeTarget(found[0] if found else BASE, branch[0])


def _upgrade_target(revisions: RevisionMap, current: Sequence[str], wanted: str) -> Sequence[Any]:
    return revisions._parse_upgrade_target(tuple(current), wanted, assert_relative_length=True)


def _resolved(revisions: RevisionMap, current: tuple[str, ...], wanted: str, find: Any) -> tuple[str, ...]:
    from alembic.script.revision import RevisionError as AlembicRevisionError

    match = relative(wanted)
    if not wanted.strip() or (match is None and re.search(r"[+-]", wanted)):  # Alembic ignores what follows a number
        raise _unknown(revisions, wanted)
    try:
        rows = find()
    except (AlembicRevisionError, AssertionError) as error:  # it asserts that there is one current revision, say
        raise _explained(revisions, current, wanted, error) from error
    if any(row is None for row in rows):
        raise _explained(revisions, current, wanted, None)
    ids = tuple(dict.fromkeys(row if isinstance(row, str) else row.revision for row in rows))
    return () if ids == (BASE,) else ids


# -- why it names no revision


def _explained(revisions: RevisionMap, current: tuple[str, ...], wanted: str, error: Exception | None) -> RevisionError:
    from alembic.script.revision import MultipleHeads, ResolutionError

    match = relative(wanted)
    try:
        if isinstance(error, (MultipleHeads, ResolutionError)):
            raise error
        if match is not None:
            return RevisionError(_miscounted(revisions, current, wanted, match))
    except MultipleHeads as several:
        return several_heads(wanted, tuple(several.heads))
    except ResolutionError as unresolved:
        return _unresolved(revisions, wanted, unresolved)
    return RevisionError(f"'{wanted}' names no revision: {str(error).rstrip('.')}.")


def _miscounted(revisions: RevisionMap, current: tuple[str, ...], wanted: str, match: re.Match[str]) -> str:
    """Return why a count names no revision. Raises Alembic's errors if its start names none."""
    steps, branch, start = int(match["steps"]), match["branch"], match["start"]
    if branch is not None and current:
        in_branch = _in_branch(revisions, current, branch)
        if not in_branch and start is None and steps < 0:
            return f"No current revision is in the branch '{branch}', so '{wanted}' has nothing to go back from."
        current = in_branch or current
    if start is None and len(current) > 1:
        return (
            f"'{wanted}' needs exactly one current revision, but there are {len(current)} ({', '.join(current)}). "
            f"Name the branch, as in '{current[0]}@{match['steps']}', or the revision."
        )
    if start is None and not current and steps < 0:
        return f"'{wanted}' counts from the current revision, and there is none. Name the revision."
    at = revisions.get_revision(start or next(iter(current), None))
    return _obstacle(revisions, wanted, at, steps, branch)


def several_heads(wanted: str, heads: tuple[str, ...]) -> RevisionError:
    """Return the error of a text that names all these heads where one is needed."""
    listed = ", ".join(heads)
    if "@" in wanted:
        return RevisionError(f"'{wanted}' does not match exactly one revision: {listed}. Name the revision.", heads)
    return RevisionError(
        f"The chain has {len(heads)} heads ({listed}), so '{wanted}' is ambiguous. Name one, or migrate to 'heads': "
        "all of them.",
        heads,
    )


def _unresolved(revisions: RevisionMap, wanted: str, error: Any) -> RevisionError:
    part = str(error.argument)
    matches = sorted(key for key in revisions._revision_map if key and part and key.startswith(part))
    if str(error).startswith("Multiple"):
        return RevisionError(
            f"Several revisions start with '{part}': {', '.join(matches)}. Give more of the id.", tuple(matches)
        )
    if "not a member" in str(error):
        return RevisionError(f"{str(error).rstrip('.')}.")
    return _unknown(revisions, part or wanted)


def _unknown(revisions: RevisionMap, wanted: str) -> RevisionError:
    count = len({row.revision for row in revisions._revision_map.values() if row is not None})
    return RevisionError(f"There is no revision '{wanted}' in the chain of {count}. 'magetui history' lists all.")


def _obstacle(revisions: RevisionMap, wanted: str, at: Revision | None, steps: int, branch: str | None) -> str:
    """Return why one cannot count so many steps from a revision: the end of the chain, a branch point, or a merge."""
    for walked in range(abs(steps)):
        if steps < 0:
            options = tuple(at._versioned_down_revisions) if at is not None else ()
            if not options and walked + 1 < abs(steps):
                return f"'{wanted}' goes further back than the chain: {walked + 1} steps lead to its base."
        else:
            options = tuple(sorted(revisions.bases if at is None else at.nextrev))
            options = _in_branch(revisions, options, branch) if branch else options
            if not options:
                return f"'{wanted}' goes beyond the head, which is {walked} away."
        if len(options) > 1:
            where = "a merge of" if steps < 0 else "a branch point, before"
            return f"'{wanted}' crosses {where} {', '.join(options)}. Name the revision."
        at = revisions.get_revision(options[0]) if options else None
    return f"'{wanted}' names no revision."


def _in_branch(revisions: RevisionMap, ids: tuple[str, ...], branch: str) -> tuple[str, ...]:
    from alembic.script.revision import ResolutionError

    found = []
    for id in ids:
        with suppress(ResolutionError):  # it is not a member of the branch
            revisions.get_revision(f"{branch}@{id}")
            found.append(id)
    return tuple(found)
