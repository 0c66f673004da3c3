"""A migration in slices: each revision of a consented plan is a run of its own, with its own locks, limits and retries.

Between two runs nothing is locked, and the way can be stopped. Each slice is planned on the database as it is then, and
must be exactly the next step of the plan that the operator consented to, with the same scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from magetui.engine.errors import MagetuiError, RefusedError
from magetui.engine.plan import make_plan
from magetui.engine.preview.preview import Preview, preview_plan
from magetui.engine.runs.record import RunRecord
from magetui.engine.schema.snapshot import open_reading
from magetui.engine.workspace import Workspace
from magetui.model.plan import Plan
from magetui.text.consent import lost
from magetui.text.preflight import conclusion

NOTE = (
    "Each revision is committed by itself. If one fails or is cancelled, those before it stay, and an application that "
    "is at work meanwhile meets each schema in between."
)
RunPlan = Callable[[Workspace, Plan, Preview | None], RunRecord]


@dataclass(frozen=True, slots=True)
class Slice:
    """One step of the plan, and the revision that it leads to."""

    revision: str
    target: str


def slices_of(workspace: Workspace, plan: Plan) -> tuple[Slice, ...]:
    """Return the slices in the order of the plan. Raises `RefusedError` if a step cannot be a run of its own."""
    if plan.kept_scripts is not None:
        raise RefusedError(
            "--commit-each cannot use scripts of earlier runs. Roll back without it. Nothing was changed."
        )
    if plan.verb == "rollback" and len(plan.current) > 1:
        raise RefusedError(
            "--commit-each cannot go back from several current revisions: the revision between two runs would be "
            "ambiguous. Roll back without it. Nothing was changed."
        )
    by_id = workspace.chain.by_id
    slices = []
    for step in plan.steps:
        if step.direction == "upgrade":
            slices.append(Slice(step.revision, step.revision))
            continue
        parents = by_id[step.revision].down_revisions
        if len(parents) > 1:
            raise RefusedError(
                f"--commit-each cannot go back over {step.revision}, which merges {len(parents)} branches: the "
                "revision between two runs would be ambiguous. Roll back without it. Nothing was changed."
            )
        slices.append(Slice(step.revision, parents[0] if parents else "base"))
    return tuple(slices)


def run_slices(
    workspace: Workspace, plan: Plan, consented: Preview | None, run: RunPlan, *, despite_preflight: bool
) -> Iterator[RunRecord]:
    """Yield the record of each run, until one does not end as done, or was to be cancelled.

    Raises `RefusedError` if a slice is not what was consented to, or if it will fail.
    """
    digests = {content.file: content.digest for content in plan.contents}
    known = lost(consented.losses) if consented is not None else None
    slices = slices_of(workspace, plan)
    for number, part in enumerate(slices):
        where = f"{number} of {len(slices)} revisions are committed, and the others were not run."
        with open_reading(workspace) as reading:
            try:
                one = make_plan(reading, plan.verb, part.target)
                preview = preview_plan(reading, one)
            except MagetuiError as error:
                raise RefusedError(f"{error.message} {where}") from error
            if [step.revision for step in one.steps] != [part.revision] or one.url != plan.url:
                raise RefusedError(f"Somebody else has changed the current revision meanwhile. {where}")
            if any(digests.get(content.file) != content.digest for content in one.contents):
                raise RefusedError(f"The script of {part.revision} has changed since you saw the plan. {where}")
            if known is not None and not lost(preview.losses) <= known:
                raise RefusedError(f"{part.revision} would lose rows that the plan did not name. {where}")
            if preview.preflight is not None and preview.preflight.answer == "fails" and not despite_preflight:
                raise RefusedError(f"{conclusion(preview.preflight)} {where}")
        record = run(workspace, one, preview)
        yield record
        if record.outcome != "done" or record.cancel_requested:
            return
