"""The plan: what a verb would do from the present state. Nothing is changed without one, and a run holds to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.errors import RefusedError, RevisionError, UsageError
from magetui.engine.preflight import forbidden, missing_schema
from magetui.engine.revisions.graph import Chain
from magetui.engine.schema.snapshot import DatabaseState, read_state
from magetui.engine.workspace import Workspace
from magetui.model.plan import ChangeVerb, Plan, PlannedStep, PlanStep, Repair
from magetui.protocol.requests import RenderRepairRequest, RenderRequest

if TYPE_CHECKING:
    from magetui.engine.repair.plan import InDoubt
    from magetui.engine.revisions.version_changes import VersionChange


RELATIVE = re.compile(r"^([+-])(\d+)$")


def make_plan(
    workspace: Workspace,
    verb: ChangeVerb,
    revision: str | None,
    replace_unknown: str | None = None,
    in_doubt: InDoubt | None = None,
) -> Plan:
    """The plan of a verb from what the database says now; `in_doubt` is for 'finish' (see `repair`).

    Raises `RevisionError` for a revision that does not exist or is ambiguous, `ChainError` for broken scripts,
    `UsageError` for a revision that is missing or on the wrong side, `RefusedError` where the current revision forbids it.
    """
    if verb in ("finish", "undo"):
        from magetui.engine.repair.plan import plan_repair  # gathers evidence, and loads what only that needs

        return plan_repair(workspace, verb, in_doubt)
    chain = workspace.chain
    state = read_state(workspace, workspace.project)
    _require_readable(state)
    current = state.current
    if verb == "stamp":
        target, steps = _stamp(chain, current, revision, replace_unknown)
    else:
        _require_known(chain, current)
        target, steps = (_migrate if verb == "migrate" else _rollback)(chain, current, revision)
    change = _version_change(workspace, verb, current, target, replace_unknown)
    return Plan(
        verb=verb,
        current=current,
        target_revision=target,
        steps=steps,
        database=Path(state.server.database).name if workspace.backend.name == "sqlite" else state.server.database,
        url=workspace.target.redacted,
        result=change.result,
        version_table_sql=change.statements,
        purge=change.purge,
        replace_unknown=replace_unknown,
        forbidden=forbidden(state, verb),
        creates_schema=missing_schema(state) if verb == "migrate" else None,
        notes=(state.server.experimental,) if state.server.experimental else (),
    )


def _version_change(
    workspace: Workspace, verb: ChangeVerb, current: tuple[str, ...], target: str, replace_unknown: str | None
) -> VersionChange:
    from magetui.engine.revisions.version_changes import VersionChange, version_change  # loads Alembic, so only now

    scripts = workspace.project.scripts
    table = ".".join(part for part in (scripts.version_table_schema, scripts.version_table) if part)
    if replace_unknown is None:
        return version_change(workspace.chain, verb, current, target, table)
    others = tuple(one for one in current if one != replace_unknown)
    where = f" WHERE version_num = '{replace_unknown}'"
    if target == "base":
        return VersionChange(others, (f"DELETE FROM {table}{where}",))
    return VersionChange((*others, target), (f"UPDATE {table} SET version_num = '{target}'{where}",))


def _require_readable(state: DatabaseState) -> None:
    table = state.version_table
    if table is not None and table.rows is None:
        raise RefusedError(f"The version table cannot be read: {table.problem} Nothing can be planned on it.")


def _require_known(chain: Chain, current: tuple[str, ...]) -> None:
    unknown = chain.unknown(current)
    if unknown and not chain.broken:
        raise RefusedError(
            f"The database is at revision {', '.join(unknown)}, which the chain does not have: no way leads from it. "
            f"If the schema matches a known revision R: magetui stamp R --replace-unknown-revision {unknown[0]}"
        )


def _migrate(chain: Chain, current: tuple[str, ...], revision: str | None) -> tuple[str, tuple[PlannedStep, ...]]:
    wanted = revision or "head"
    if relative := RELATIVE.match(wanted):
        if relative[1] == "-":
            raise UsageError(f"'migrate --revision {wanted}' goes back. Use 'rollback --revision {wanted}'.")
        target = chain.after(current, int(relative[2]))
    else:
        target = chain.resolve(wanted)
    if target == "base" or (target in chain.applied(current) and target not in current):
        raise UsageError(f"The database is already past {target}. Use 'rollback --revision {target}' to go back.")
    return target, chain.upgrade_steps(current, target)


def _rollback(chain: Chain, current: tuple[str, ...], revision: str | None) -> tuple[str, tuple[PlannedStep, ...]]:
    if revision is None:
        raise UsageError("'rollback' wants to know how far: --revision with an id, 'base', or -1, -2 …")
    if relative := RELATIVE.match(revision):
        if relative[1] == "+":
            raise UsageError(f"'rollback --revision {revision}' goes forward. Use 'migrate --revision {revision}'.")
        if not current:
            raise RefusedError("Nothing is applied, so there is nothing to roll back.")
        target = chain.before(current, int(relative[2]))
    else:
        target = chain.resolve(revision)
    if target != "base" and target not in chain.applied(current):
        raise UsageError(f"The database has not reached {target} yet. Use 'migrate --revision {target}' to go there.")
    steps = chain.downgrade_steps(current, target) if current else ()
    if relative and len(steps) != int(relative[2]):
        names = ", ".join(step.revision for step in steps)
        raise RevisionError(
            f"'{revision}' crosses branches here: going back to {target} undoes {len(steps)} revisions ({names}). "
            f"If that is meant, name it: 'rollback --revision {target}'."
        )
    return target, steps


def _stamp(
    chain: Chain, current: tuple[str, ...], revision: str | None, replace_unknown: str | None
) -> tuple[str, tuple[PlannedStep, ...]]:
    if revision is None:
        raise UsageError("'stamp' wants a revision: an id, 'head' or 'base'.")
    target = chain.resolve(revision)
    unknown = chain.unknown(current)
    if replace_unknown is not None:
        if replace_unknown in chain.by_id:
            raise UsageError(
                f"The chain has revision {replace_unknown}; --replace-unknown-revision is for one that it does not "
                "have. Use 'stamp' without it."
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
    chain.upgrade_steps((), "heads")  # a broken chain raises here, before anything is asked
    message = chain.by_id[target].message if target in chain.by_id else ""
    return target, (PlannedStep(target, "stamp", message),)


def render_plan(workspace: Workspace, plan: Plan) -> tuple[PlanStep, ...]:
    """The plan's steps with the SQL that Alembic renders offline; it runs the scripts' code, in a child.

    Raises `MagetuiError` where the child does not answer.
    """
    if plan.verb == "stamp":
        sql = ";\n".join(plan.version_table_sql)
        return tuple(PlanStep(s.revision, s.direction, s.message, sql) for s in plan.steps)
    if plan.repair is not None:
        return (_rendered_repair(workspace, plan, plan.repair),)
    request = RenderRequest(scripts=workspace.project.scripts, dialect=workspace.target.dialect, steps=plan.steps)
    rendered = workspace.ask(request, "render their SQL")
    return tuple(
        PlanStep(
            s.revision,
            s.direction,
            s.message,
            _clean(workspace, one["sql"]),
            _clean(workspace, one["problem"]),
        )
        for s, one in zip(plan.steps, rendered, strict=True)
    )


def _rendered_repair(workspace: Workspace, plan: Plan, repair: Repair) -> PlanStep:
    with workspace.reading() as connection:
        schema = workspace.backend.definitions(connection)
    request = RenderRepairRequest(workspace.project.scripts, workspace.target.dialect, repair, schema)
    said = workspace.ask(request, "render their SQL")
    sql = _clean(workspace, said["sql"])
    if sql is not None:
        sql = "\n\n".join((sql, *(f"{statement};" for statement in plan.version_table_sql)))
    step = plan.steps[0]
    return PlanStep(step.revision, step.direction, step.message, sql, _clean(workspace, said["problem"]))


def _clean(workspace: Workspace, text: str | None) -> str | None:
    """What a script said, without the credentials that it may have repeated."""
    return None if text is None else workspace.clean(text)
