"""A plan as lines of text for the plan screen, in the order in which the operator needs to know them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.text import formats
from magetui.tui.theme import CRITICAL, QUIET, SQL, STRONG, WARNING
from magetui.tui.widgets.hanging import hanging

if TYPE_CHECKING:
    from magetui.engine.preview.preview import Preview
    from magetui.engine.runs.follow import EarlierStep
    from magetui.model.plan import OnDisconnect, Plan, PlanStep

SQL_LINES_A_STEP = 200
SESSIONS_SHOWN = 5
DISCONNECT_WORDS: Mapping[OnDisconnect, str] = {
    "continue": "If SSH disconnects, the run continues. o changes that.",
    "cancel": "If SSH disconnects, the run is cancelled. o changes that.",
}


@dataclass(frozen=True)
class PlanFacts:
    """The facts beside the plan itself. `steps` and `preview` are None until the engine has answered."""

    lock_holders: tuple[tuple[int | None, str], ...] = ()  # pid and line of each session that holds locks
    earlier: Mapping[tuple[str, str], EarlierStep] = field(default_factory=dict)  # by revision and direction
    steps: tuple[PlanStep, ...] | None = None
    sql_problem: str | None = None  # why there is no SQL
    preview: Preview | None = None
    preview_problem: str | None = None  # why the locks and the data loss are not known


def plan_lines(
    plan: Plan, facts: PlanFacts, on_disconnect: OnDisconnect, width: int, advise: Callable[[str], str]
) -> Content:
    """Return the complete plan for a screen of `width` columns. `advise` puts the screen's keys into a text."""
    return Content("\n").join(
        [
            *_summary(plan, on_disconnect, width, advise),
            *_preview(plan, facts, width, advise),
            *(_blockers(facts, width) if plan.verb != "stamp" and not plan.empty else ()),
            Content(""),
            *_steps(plan, facts, width, advise),
        ]
    )


def _summary(plan: Plan, on_disconnect: OnDisconnect, width: int, advise: Callable[[str], str]) -> Iterator[Content]:
    from magetui.text import operations

    yield from hanging("", plan.summary, width, STRONG)
    for line in formats.created_first(plan):
        yield from hanging("", line, width)
    if not plan.empty:
        yield Content.styled(DISCONNECT_WORDS[on_disconnect], QUIET)
    if plan.verb == "stamp" and not plan.empty:
        verifies = f"v verifies first that the schema is what {plan.target_revision} makes."
        yield from hanging("", verifies, width, QUIET)
    for step in plan.repair.all_steps if plan.repair is not None else ():
        yield from hanging("    ", operations.doing(step.operation), width)
    for note in plan.notes:
        yield from hanging("  ! ", advise(note), width, WARNING, WARNING)


def _preview(plan: Plan, facts: PlanFacts, width: int, advise: Callable[[str], str]) -> Iterator[Content]:
    """Yield the lock forecast and the data loss, when they are known."""
    from magetui.text import preview as previews

    if facts.preview_problem:
        yield from hanging("", advise(previews.unavailable(plan, facts.preview_problem)), width, WARNING)
    elif facts.preview is None:
        if not plan.empty and plan.verb != "stamp":
            yield Content.styled("reading the locks and the data loss …", QUIET)
    else:
        for heading, text in previews.overview(facts.preview, "a backup (B)"):
            style = WARNING if heading in ("waits", "doubt", "loses", "fails", "owner") else ""
            yield from hanging(f"{heading:<7}", advise(text), width, style, STRONG)


def _blockers(facts: PlanFacts, width: int) -> Iterator[Content]:
    """Yield the sessions that would block the run now. Before these are known, yield every session with locks."""
    pids = facts.preview.blockers if facts.preview is not None else None
    sessions = [line for pid, line in facts.lock_holders if pids is None or pid in pids]
    if sessions:
        what = "hold locks now and may block this plan" if pids is None else "block this plan now"
        yield Content.styled(f"Sessions that {what}:", WARNING)
    for line in sessions[:SESSIONS_SHOWN]:
        first, *more = hanging("  ", line, width)
        yield from (first, *(Content("    ") + rest for rest in more))
    if len(sessions) > SESSIONS_SHOWN:
        yield Content(f"  and {len(sessions) - SESSIONS_SHOWN} more: l shows them")


def _steps(plan: Plan, facts: PlanFacts, width: int, advise: Callable[[str], str]) -> Iterator[Content]:
    from magetui.text import preflight
    from magetui.text import preview as previews

    for number, step in enumerate(plan.steps, start=1):
        before = facts.earlier.get((step.revision, step.direction))
        took = f"   took {formats.duration(before.elapsed_ms)} in run {before.run}" if before else ""
        head = f"{step.direction:<9} {step.revision}  {step.message}"
        *lines, last = hanging(f"{number:>3}  ", head, width, label="")
        yield from (*lines, Content.assemble(last, (took, QUIET)))
        if facts.preview is not None and facts.preview.steps:
            for warning in facts.preview.steps[number - 1].warnings:
                yield from hanging("       ! ", advise(warning), width, WARNING, WARNING)
        for cause in previews.causes(facts.preview, number) if facts.preview is not None else ():
            first, *more = preflight.cause_lines(cause)
            style = CRITICAL if cause.answer == "fails" else WARNING
            yield from hanging("       ! ", advise(first), width, style, style)
            for line in more:
                yield from hanging("         ", line, width, QUIET)
        if facts.steps is not None and number <= len(facts.steps):
            yield from _sql(facts.steps[number - 1], width, advise)
    if facts.sql_problem:
        yield from hanging("", advise(facts.sql_problem), width, QUIET)
    elif facts.steps is None and not plan.empty:
        yield Content.styled("       rendering the SQL …", QUIET)


def _sql(step: PlanStep, width: int, advise: Callable[[str], str]) -> Iterator[Content]:
    shown = [line for line in (step.sql or "").splitlines() if line.strip()]
    yield from (Content.styled(f"       {formats.plain(line)}", SQL) for line in shown[:SQL_LINES_A_STEP])
    if len(shown) > SQL_LINES_A_STEP:
        yield Content.styled(f"       and {len(shown) - SQL_LINES_A_STEP} more lines", QUIET)
    if step.problem:
        yield from hanging("       ", advise(formats.one_line(step.problem)), width, QUIET)
