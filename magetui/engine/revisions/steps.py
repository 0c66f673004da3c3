"""The target and the steps of `migrate`, `rollback` and `stamp`, from the text that names a revision.

They take what Alembic takes, and refuse more: a verb that goes in the wrong direction, a count that several branches
answer differently, and a count that would undo more revisions than it says.
"""

from __future__ import annotations

from magetui.engine.errors import RefusedError, RevisionError, UsageError
from magetui.engine.revisions.expressions import relative
from magetui.engine.revisions.graph import Chain
from magetui.engine.revisions.version_changes import version_change
from magetui.model.plan import PlannedStep


def migrate_steps(chain: Chain, current: tuple[str, ...], revision: str | None) -> tuple[str, tuple[PlannedStep, ...]]:
    wanted = "head" if revision is None else revision
    if (counted := relative(wanted)) and counted["start"] is None and counted["steps"].startswith("-"):
        raise UsageError(f"'migrate --revision {wanted}' goes back. Use 'rollback --revision {wanted}'.")
    target = chain.resolve(wanted) if wanted == "head" else chain.upgrade_target(current, wanted)
    if target == "base" or (target in chain.applied(current) and target not in current):
        raise UsageError(f"The database is already past {target}. Use 'rollback --revision {target}' to go back.")
    return target, chain.upgrade_steps(current, target)


def rollback_steps(chain: Chain, current: tuple[str, ...], revision: str | None) -> tuple[str, tuple[PlannedStep, ...]]:
    if revision is None:
        raise UsageError("'rollback' needs a target: --revision with an id, 'base', or -1, -2 …")
    counted = relative(revision)
    from_current = counted is not None and counted["start"] is None
    if counted is not None and from_current:
        if counted["steps"].startswith("+"):
            raise UsageError(f"'rollback --revision {revision}' goes forward. Use 'migrate --revision {revision}'.")
        if not current:
            raise RefusedError(
                "The database has no current revision, so there is nothing to go back from. 'magetui evidence' shows "
                "which revision the schema matches."
            )
        if len(set(current)) > 1 and counted["branch"] is None:  # Alembic would take any of them
            raise RevisionError(
                f"'{revision}' needs exactly one current revision, but there are {len(current)} "
                f"({', '.join(current)}). Name the branch, as in '{current[0]}@{revision}', or the revision."
            )
    found = chain.resolve(revision) if revision in ("head", "heads") else chain.downgrade_target(current, revision)
    target = found if isinstance(found, str) else found.expression
    name = found if isinstance(found, str) else found.revision
    if name != "base" and name not in chain.applied(current):
        raise UsageError(f"The database has not reached {name} yet. Use 'migrate --revision {name}' to go there.")
    steps = chain.downgrade_steps(current, target) if current else ()
    if counted is not None and from_current and len(steps) != -int(counted["steps"]):
        names = ", ".join(step.revision for step in steps)
        raise RevisionError(
            f"'{revision}' crosses branches here: going back to {target} undoes {len(steps)} revisions ({names}). "
            f"If you want that, name the revision: 'rollback --revision {target}'."
        )
    return target, steps


def stamp_steps(
    chain: Chain, current: tuple[str, ...], revision: str | None, replace_unknown: str | None
) -> tuple[str, tuple[PlannedStep, ...]]:
    if revision is None:
        raise UsageError("'stamp' needs a revision: an id, 'head', 'heads' or 'base'.")
    target = chain.resolve(revision) if replace_unknown is not None else _stamp_target(chain, current, revision)
    unknown = chain.unknown(current)
    if replace_unknown is not None:
        if replace_unknown in chain.by_id:
            raise UsageError(
                f"The chain has revision {replace_unknown}. Use 'stamp' without --replace-unknown-revision, which is "
                "for revisions that the chain does not have."
            )
        if replace_unknown not in current:
            raise RefusedError(
                f"The current revision is {', '.join(current) or 'empty'}, not {replace_unknown}. Nothing was changed."
            )
        if target in current:
            raise RefusedError(f"The version table already has a row {target} beside {replace_unknown}.")
    elif unknown:
        raise RefusedError(
            f"The database is at revision {', '.join(unknown)}, which the chain does not have. To replace exactly that "
            f"current revision: magetui stamp {revision} --replace-unknown-revision {unknown[0]}"
        )
    chain.upgrade_steps((), "heads")  # a broken chain raises here, before the operator is asked
    message = chain.by_id[target].message if target in chain.by_id else ""
    return target, (PlannedStep(target, "stamp", message),)


def _stamp_target(chain: Chain, current: tuple[str, ...], wanted: str) -> str:
    """Return an id or 'base', or what Alembic reads as several revisions, or as a branch whose rows are replaced."""
    if wanted == "head":
        return chain.resolve(wanted)
    found = chain.resolve_all(wanted)
    if len(found) > 1:
        return wanted
    target = found[0] if found else "base"
    branch, at, _ = wanted.partition("@")
    if not at or relative(wanted) or chain.unknown(current):
        return target
    in_branch = f"{branch}@{target}"
    alone, all_of_it = (version_change(chain, "stamp", current, name, "").result for name in (in_branch, target))
    return in_branch if alone != all_of_it else target
