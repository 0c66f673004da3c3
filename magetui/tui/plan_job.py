"""What the plan screen asks the engine, in a worker: the plan, what it costs, and whether it still holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from magetui.engine.errors import MagetuiError
from magetui.tui.widgets.plan_lines import PlanFacts

if TYPE_CHECKING:
    from magetui.engine.preview.preview import Preview
    from magetui.engine.repair.plan import InDoubt
    from magetui.engine.schema.snapshot import Reading
    from magetui.model.plan import ChangeVerb, Plan


@dataclass(frozen=True, slots=True)
class PlanQuestion:
    """What the operator wants a plan for. An empty `revision` leaves the target revision to the verb."""

    verb: ChangeVerb
    revision: str
    replace_unknown: str | None = None
    in_doubt: InDoubt | None = None

    def plan(self, reading: Reading) -> Plan:
        """Return the plan. Raises as `make_plan` does."""
        from magetui.engine.plan import make_plan

        return make_plan(reading, self.verb, self.revision or None, self.replace_unknown, self.in_doubt)


def first_facts(reading: Reading, environment: Mapping[str, str], plan: Plan) -> PlanFacts:
    """Return the facts that are quickly read: the sessions that hold locks, and how long the steps took before."""
    from magetui.engine.runs import follow
    from magetui.engine.sessions import listing
    from magetui.text import formats

    sessions = listing.shown_sessions(reading.workspace, reading.overview.sessions)
    holders = tuple((session.pid, formats.session_line(session)) for session in sessions if session.holds)
    steps = [(step.revision, step.direction) for step in plan.steps]
    return PlanFacts(holders, follow.earlier_steps(environment, plan.url, steps))


def with_preview(reading: Reading, plan: Plan, facts: PlanFacts) -> PlanFacts:
    """Return the facts with the preview, or with the reason why there is none."""
    from magetui.engine.preview.preview import preview_plan

    try:
        return replace(facts, preview=preview_plan(reading, plan))
    except MagetuiError as error:
        return replace(facts, preview_problem=error.message)


def with_sql(reading: Reading, plan: Plan, facts: PlanFacts) -> PlanFacts:
    """Return the facts with the SQL of the steps, or with the reason why there is none."""
    from magetui.engine.plan import render_plan

    try:
        return replace(facts, steps=render_plan(reading, plan))
    except MagetuiError as error:
        return replace(facts, sql_problem=error.message)


def plan_again(reading: Reading, question: PlanQuestion) -> tuple[Plan, Preview | None]:
    """Return the plan as it is now, with its preview, to be compared with what was consented to."""
    plan = question.plan(reading)
    return plan, with_preview(reading, plan, PlanFacts()).preview
