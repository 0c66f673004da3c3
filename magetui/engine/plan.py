"""Planning: the steps of a verb from the current revision. Nothing changes without a plan, and a run keeps to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from magetui.engine.errors import RefusedError
from magetui.engine.prerequisites import (
    consent_name,
    forbidden,
    missing_schema,
    missing_version_table,
    version_table_name,
)
from magetui.engine.revisions.steps import migrate_steps, rollback_steps, stamp_steps
from magetui.model.names import literal
from magetui.model.plan import ChangeVerb, Plan, PlanStep, ScriptContent
from magetui.protocol.contents import content_of
from magetui.protocol.requests import RenderRepairRequest, RenderRequest

if TYPE_CHECKING:
    from magetui.engine.repair.plan import InDoubt
    from magetui.engine.revisions.version_changes import VersionChange
    from magetui.engine.schema.snapshot import Reading
    from magetui.engine.workspace import Workspace


def make_plan(
    reading: Reading,
    verb: ChangeVerb,
    revision: str | None,
    replace_unknown: str | None = None,
    in_doubt: InDoubt | None = None,
) -> Plan:
    """Return the plan of a verb for the database as it is now. `in_doubt` is for 'finish': see `plan_repair`.

    Raises `RevisionError` if the revision does not exist or is ambiguous, `ChainError` for broken scripts, `UsageError`
    if the revision is missing or on the wrong side, `RefusedError` if the current revision forbids the verb, and
    `UntrustedError` if the project's code may not run.
    """
    reading.workspace.require_trust()
    if verb == "clean":
        from magetui.engine.repair.leftovers import plan_clean  # loads what only repairs need

        return plan_clean(reading)
    if verb == "repair":
        from magetui.engine.repair.several import plan_several  # loads what only repairs need

        plan = plan_several(reading, revision, in_doubt)
    elif verb in ("finish", "undo"):
        from magetui.engine.repair.plan import plan_repair  # gathers evidence, and loads what only that needs

        plan = plan_repair(reading, verb, in_doubt)
    else:
        plan = _plan(reading, verb, revision, replace_unknown)
    return replace(plan, contents=tuple(_contents(reading.workspace, plan)))


def _contents(workspace: Workspace, plan: Plan) -> Iterator[ScriptContent]:
    """Yield the content of each script that the plan runs, and of the env.py that runs them."""
    by_id, scripts = workspace.chain.by_id, workspace.project.scripts
    running = [step.revision for step in plan.steps if step.direction != "stamp"]
    if plan.repair is not None and plan.verb == "repair":
        running = [part.revision for part in plan.repair.parts]
    yield from (content_of(by_id[revision].path) for revision in running if revision in by_id)
    if scripts.kind == "alembic" and plan.repair is None and plan.replace_unknown is None:
        yield content_of(Path(scripts.script_location) / "env.py")


def _with_kept_scripts(reading: Reading, revision: str | None, unknown: Sequence[str]) -> Plan | None:
    """Return the plan of a rollback with the scripts that runs kept; None if they kept not all of them.

    The reading then has a workspace with these scripts, as all that shows the plan needs them.
    """
    from magetui.engine.runs.applied_scripts import kept_sentence, way_back  # seldom needed

    workspace = reading.workspace
    back = way_back(workspace, unknown)
    if back is None:
        return None
    extended = workspace.with_scripts(back.folder)
    if extended.chain.broken or extended.chain.unknown(unknown):
        return None
    reading.workspace = extended
    plan = _plan(reading, "rollback", revision, None)
    return replace(plan, kept_scripts=str(back.folder), notes=(*plan.notes, kept_sentence(back.scripts)))


def _plan(reading: Reading, verb: ChangeVerb, revision: str | None, replace_unknown: str | None) -> Plan:
    workspace = reading.workspace
    if workspace.python.problem is not None:
        raise RefusedError(f"The scripts cannot be run by {workspace.python.path}. {workspace.python.problem}")
    chain = workspace.chain
    state = reading.overview
    if (table := state.version_table) is not None and table.rows is None:
        raise RefusedError(f"The version table cannot be read: {table.problem} Nothing can be planned.")
    current = state.current
    if verb == "stamp":
        target, steps = stamp_steps(chain, current, revision, replace_unknown)
    else:
        unknown = chain.unknown(current)
        if unknown and not chain.broken:
            if verb == "rollback" and (plan := _with_kept_scripts(reading, revision, unknown)) is not None:
                return plan
            raise RefusedError(
                f"The database is at revision {', '.join(unknown)}, which the chain does not have, so no step leads "
                "from it. 'magetui evidence' says which revision the schema matches. If it is R: magetui stamp R "
                f"--replace-unknown-revision {unknown[0]}"
            )
        if chain.contradicts(current):
            raise RefusedError(
                f"The version table has {len(current)} rows ({', '.join(current)}), and not all of them can be right: "
                "one includes another. Stamp the right revision first: magetui stamp R"
            )
        target, steps = (migrate_steps if verb == "migrate" else rollback_steps)(chain, current, revision)
    change = _version_change(workspace, verb, current, target, replace_unknown)
    return Plan(
        verb=verb,
        current=current,
        target_revision=target,
        steps=steps,
        database=consent_name(workspace, state),
        url=workspace.target.redacted,
        result=change.result,
        version_table_sql=change.statements,
        purge=change.purge,
        replace_unknown=replace_unknown,
        forbidden=forbidden(state, verb),
        creates_schema=missing_schema(state) if verb == "migrate" else None,
        creates_version_table=missing_version_table(workspace, state),
        notes=(state.server.experimental,) if state.server.experimental else (),
    )


def _version_change(
    workspace: Workspace, verb: ChangeVerb, current: tuple[str, ...], target: str, replace_unknown: str | None
) -> VersionChange:
    from magetui.engine.revisions.version_changes import VersionChange, version_change  # loads Alembic, so only now

    table = version_table_name(workspace)
    if replace_unknown is None:
        return version_change(workspace.chain, verb, current, target, table)
    others = tuple(revision for revision in current if revision != replace_unknown)
    where = f" WHERE version_num = {literal(replace_unknown)}"
    if target == "base":
        return VersionChange(others, (f"DELETE FROM {table}{where}",))
    return VersionChange((*others, target), (f"UPDATE {table} SET version_num = {literal(target)}{where}",))


def render_plan(reading: Reading, plan: Plan) -> tuple[PlanStep, ...]:
    """Return the plan's steps with the SQL that Alembic renders offline. A child process runs the scripts' code.

    It closes the reading's connection first, so that no connection idles while the child works. Raises `MagetuiError`
    if the child does not answer.
    """
    workspace = reading.workspace
    if plan.verb == "stamp":
        stamp = ";\n".join(plan.version_table_sql)
        return tuple(PlanStep(s.revision, s.direction, s.message, stamp) for s in plan.steps)
    scripts, dialect = workspace.project.scripts, workspace.target.dialect
    if plan.repair is None:
        reading.close()
        answers = workspace.ask(RenderRequest(scripts, dialect, plan.steps), "render their SQL")
    else:
        request = RenderRepairRequest(scripts, dialect, plan.repair, reading.definitions)
        reading.close()
        answers = [workspace.ask(request, "render their SQL")]
    steps = []
    for step, answer in zip(plan.steps, answers, strict=True):
        # The text of a script may repeat credentials.
        sql = None if answer["sql"] is None else workspace.clean(answer["sql"])
        problem = None if answer["problem"] is None else workspace.clean(answer["problem"])
        if plan.repair is not None and sql is not None:
            sql = "\n\n".join((sql, *(f"{statement};" for statement in plan.version_table_sql)))
        steps.append(PlanStep(step.revision, step.direction, step.message, sql, problem))
    return tuple(steps)
